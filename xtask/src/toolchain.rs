//! Finds a CUDA toolkit of the wanted major version, or fetches one into `target/toolchain/`.
//!
//! CUDA 13's compiler comes whole as Python packages. CUDA 12's packages lack `nvcc` and `cicc` themselves, which Debian packages; the two together
//! make a toolkit. Everything is fetched by ordinary package clients (pip, apt-get) without root; a finished toolkit is never touched again, so
//! that later runs need no network.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::sh;

/// The packages of CUDA 13's compiler, runtime and headers.
const WHEELS_13: &[&str] = &[
    "nvidia-cuda-nvcc==13.0.*",
    "nvidia-nvvm==13.0.*",
    "nvidia-cuda-crt==13.0.*",
    "nvidia-cuda-runtime==13.0.*",
    "nvidia-cuda-cccl==13.0.*",
];

/// CUDA 12.4's headers, runtime and libdevice; the version that Debian's compiler has.
const WHEELS_12: &[&str] = &[
    "nvidia-cuda-nvcc-cu12==12.4.*",
    "nvidia-cuda-runtime-cu12==12.4.*",
    "nvidia-cuda-cccl-cu12==12.4.*",
];

/// The last runtime of CUDA 12: the one whose exports our `libcudart.so.12` has.
const RUNTIME_12: &[&str] = &["nvidia-cuda-runtime-cu12==12.9.*"];

/// Debian 13's package of nvcc 12.4, by version and SHA-256 (which is why no archive key is needed).
const DEB_12: (&str, &str) = (
    "nvidia-cuda-toolkit=12.4.131~12.4.1-2",
    "cd5fe85aee38d108b315f408a688641478f2402622a10c677478eb7a6c4e5319",
);

/// A CUDA toolkit that compiles and links programs with `--cudart=shared`.
#[derive(Debug, Clone)]
pub struct Toolkit {
    /// CUDA's major version: 12 or 13.
    pub major: u32,
    /// The compiler driver.
    pub nvcc: PathBuf,
    /// Where `libcudart.so` lies.
    pub lib: PathBuf,
    /// The host compiler that this nvcc accepts.
    pub host_compiler: PathBuf,
    /// Whether it is ours under `target/`, or was found installed.
    pub fetched: bool,
}

impl Toolkit {
    /// The toolkit of that major version: an installed one if it works, else a fetched one.
    pub fn find(major: u32) -> Result<Toolkit> {
        for dir in installed_roots(major) {
            let Some(toolkit) = Toolkit::at(&dir, major, false)? else {
                continue;
            };
            match toolkit.verify() {
                Ok(()) => return Ok(toolkit),
                Err(error) => eprintln!(
                    "note: the CUDA toolkit in {} does not work here, fetching another: {error:#}",
                    dir.display()
                ),
            }
        }
        Toolkit::fetched(major)
    }

    /// `nvcc`, told to use the host compiler that it accepts and to link the shared runtime.
    pub fn nvcc(&self) -> Command {
        let mut command = self.compiler();
        command.arg("--cudart=shared");
        command
    }

    /// `nvcc` as it links by default: NVIDIA's runtime goes into the program.
    pub fn nvcc_static(&self) -> Result<Command> {
        let mut command = self.compiler();
        let archive = "libcudart_static.a";
        if !self.lib.join(archive).exists() {
            // The package of CUDA 12.4's runtime lacks it, that of the last CUDA 12 has it.
            let runtime = vendor_cudart(self.major)?;
            let dir = runtime.parent().filter(|dir| dir.join(archive).exists());
            let dir =
                dir.with_context(|| format!("there is no {archive} of CUDA {}", self.major))?;
            command.arg("-L").arg(dir);
        }
        Ok(command)
    }

    fn compiler(&self) -> Command {
        let mut command = Command::new(&self.nvcc);
        command.arg("-ccbin").arg(&self.host_compiler);
        command.arg("-L").arg(&self.lib);
        if !self.lib.join("libcudadevrt.a").exists() {
            // The packages of CUDA 12 do not carry the device runtime, which nvcc links unless told not to.
            command.arg("-cudadevrt=none");
        }
        command
    }

    /// A toolkit that lies in this directory, if it is one of that major version.
    fn at(dir: &Path, major: u32, fetched: bool) -> Result<Option<Toolkit>> {
        let nvcc = dir.join("bin/nvcc");
        if !nvcc.is_file() || nvcc_major(&nvcc) != Some(major) {
            return Ok(None);
        }
        let libs = ["lib64", "lib", "targets/x86_64-linux/lib"];
        let Some(lib) = libs
            .iter()
            .map(|lib| dir.join(lib))
            .find(|lib| lib.join("libcudart.so").exists())
        else {
            return Ok(None);
        };
        Ok(Some(Toolkit {
            major,
            nvcc,
            lib,
            host_compiler: host_compiler(major)?,
            fetched,
        }))
    }

    /// Our own toolkit of that major version, fetched if it is not there yet.
    fn fetched(major: u32) -> Result<Toolkit> {
        let dir = sh::target_dir()
            .join("toolchain")
            .join(format!("cuda-{major}"));
        let (root, fetch): (PathBuf, fn(&Path) -> Result<()>) = match major {
            13 => (dir.join("nvidia/cu13"), fetch_13),
            12 => (dir.clone(), fetch_12),
            _ => bail!("CUDA {major} is not supported: 12 or 13"),
        };
        let done = dir.join(".complete");
        if !done.exists() {
            // Said before an hour is lost on a download.
            host_compiler(major)?;
            eprintln!(
                "fetching the CUDA {major} compiler into {} (once)",
                dir.display()
            );
            sh::remove(&dir)?;
            fetch(&dir).with_context(|| format!("cannot fetch a CUDA {major} toolkit"))?;
        }
        let toolkit = Toolkit::at(&root, major, true)?
            .ok_or_else(|| anyhow!("{} is not a whole CUDA {major} toolkit", root.display()))?;
        if !done.exists() {
            toolkit.verify()?;
            std::fs::write(&done, "")?;
        }
        Ok(toolkit)
    }

    /// Compiles and links a program.
    fn verify(&self) -> Result<()> {
        let dir = sh::target_dir().join("toolchain").join("verify");
        sh::mkdir(&dir)?;
        let stem = dir.join(format!("cuda{}-{}", self.major, std::process::id()));
        let source = stem.with_extension("cu");
        std::fs::write(
            &source,
            "#include <cuda_runtime.h>\n__global__ void k(int *p) { *p = 1; }\nint main() { k<<<1, 1>>>(nullptr); return cudaGetLastError(); }\n",
        )?;
        let result = sh::output(
            self.nvcc()
                .arg("-arch=compute_75")
                .arg(&source)
                .arg("-o")
                .arg(&stem),
        );
        sh::remove(&source)?;
        sh::remove(&stem)?;
        result.map(drop)
    }
}

/// NVIDIA's own runtime library whose exports ours must match: `libcudart.so.12` or `libcudart.so.13`.
pub fn vendor_cudart(major: u32) -> Result<PathBuf> {
    let toolchain = sh::target_dir().join("toolchain");
    let (specs, dir, path): (&[&str], _, _) = match major {
        12 => (
            RUNTIME_12,
            "runtime-12",
            "nvidia/cuda_runtime/lib/libcudart.so.12",
        ),
        13 => (
            &["nvidia-cuda-runtime==13.0.*"],
            "runtime-13",
            "nvidia/cu13/lib/libcudart.so.13",
        ),
        _ => bail!("there is no reference for libcudart.so.{major}"),
    };
    let dir = toolchain.join(dir);
    let library = dir.join(path);
    if !library.exists() {
        pip_install(specs, &dir)?;
    }
    if !library.exists() {
        bail!("the package {} has no {path}", specs[0]);
    }
    Ok(library)
}

/// Where a toolkit may be installed, best first.
fn installed_roots(major: u32) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = ["CUDA_HOME", "CUDA_PATH"]
        .iter()
        .filter_map(std::env::var_os)
        .map(PathBuf::from)
        .collect();
    roots.push("/usr/local/cuda".into());
    roots.push(format!("/usr/local/cuda-{major}").into());
    if let Some(nvcc) = sh::which("nvcc").and_then(|path| path.canonicalize().ok())
        && let Some(dir) = nvcc.parent().and_then(Path::parent)
    {
        roots.push(dir.to_path_buf());
    }
    roots
}

/// The major version that `nvcc --version` tells ("release 13.0").
fn nvcc_major(nvcc: &Path) -> Option<u32> {
    let text = sh::output(Command::new(nvcc).arg("--version")).ok()?;
    let (_, rest) = text.split_once("release ")?;
    rest.split('.').next()?.parse().ok()
}

/// A `g++` that this CUDA accepts: 12.4 takes GCC up to 13, 13.0 up to 15.
fn host_compiler(cuda_major: u32) -> Result<PathBuf> {
    let newest = if cuda_major >= 13 { 15 } else { 13 };
    let mut too_new = None;
    let numbered = (9..=newest).rev().map(|version| format!("g++-{version}"));
    for name in std::iter::once("g++".to_owned()).chain(numbered) {
        let Some(path) = sh::which(&name) else {
            continue;
        };
        let version = sh::output(Command::new(&path).arg("-dumpversion"))?;
        match version
            .trim()
            .split('.')
            .next()
            .and_then(|major| major.parse::<u32>().ok())
        {
            Some(major) if major <= newest => return Ok(path),
            _ => too_new = Some(version.trim().to_owned()),
        }
    }
    match too_new {
        Some(version) => bail!(
            "g++ {version} is too new for CUDA {cuda_major}'s nvcc: install g++-{newest} or older (Debian, Ubuntu: apt install g++-{newest})"
        ),
        None => bail!(
            "nvcc needs a C++ compiler and there is none: install g++ (Debian, Ubuntu: apt install g++)"
        ),
    }
}

/// Installs Python packages under `dir` (`pip install --target`), whose `nvidia/` then holds their files.
fn pip_install(specs: &[&str], dir: &Path) -> Result<()> {
    let mut pip = pip()?;
    pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ])
    .args(["--no-compile", "--only-binary=:all:", "--upgrade"])
    .arg("--target")
    .arg(dir)
    .args(specs);
    sh::run(&mut pip)
}

/// A pip: that of a virtual environment of ours, or else the system's.
fn pip() -> Result<Command> {
    let venv = sh::target_dir().join("toolchain/venv");
    let own = venv.join("bin/pip");
    if !own.exists() {
        sh::remove(&venv)?;
        if sh::which("python3").is_none() {
            bail!(
                "python3 is needed to fetch packages: install it (Debian, Ubuntu: apt install python3 python3-venv)"
            );
        }
        let made = sh::output(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        if let Err(error) = made {
            // Debian and Ubuntu ship python3 without ensurepip; a system pip does as well.
            let works =
                sh::output(Command::new("python3").args(["-m", "pip", "--version"])).is_ok();
            if !works {
                bail!(
                    "python3 can neither make a virtual environment nor run pip: install one of them \
                     (Debian, Ubuntu: apt install python3-venv)\n{error:#}"
                );
            }
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip"]);
            return Ok(pip);
        }
    }
    Ok(Command::new(own))
}

fn fetch_13(dir: &Path) -> Result<()> {
    pip_install(WHEELS_13, dir)?;
    link_cudart(&dir.join("nvidia/cu13/lib"), 13)
}

/// `libcudart.so`, by which programs link, is not in the packages.
fn link_cudart(lib: &Path, major: u32) -> Result<()> {
    let link = lib.join("libcudart.so");
    if !link.exists() {
        std::os::unix::fs::symlink(format!("libcudart.so.{major}"), &link)?;
    }
    Ok(())
}

fn fetch_12(dir: &Path) -> Result<()> {
    let parts = dir.join("parts");
    let wheels = parts.join("wheels");
    pip_install(WHEELS_12, &wheels)?;
    let deb = fetch_deb_12(&parts.join("deb"))?;

    for package in ["cuda_runtime", "cuda_nvcc", "cuda_cccl"] {
        sh::copy_tree(
            &wheels.join("nvidia").join(package).join("include"),
            &dir.join("include"),
        )?;
    }
    sh::copy_tree(&wheels.join("nvidia/cuda_runtime/lib"), &dir.join("lib64"))?;
    link_cudart(&dir.join("lib64"), 12)?;

    let debian = deb.join("usr/lib/nvidia-cuda-toolkit");
    for tool in [
        "cudafe++",
        "fatbinary",
        "nvlink",
        "ptxas",
        "bin2c",
        "cuobjdump",
    ] {
        sh::install(&deb.join("usr/bin").join(tool), &dir.join("bin").join(tool))?;
    }
    sh::install(&debian.join("bin/nvcc"), &dir.join("bin/nvcc"))?;
    sh::copy_tree(&debian.join("bin/crt"), &dir.join("bin/crt"))?;
    sh::install(&debian.join("bin/cicc"), &dir.join("nvvm/bin/cicc"))?;
    sh::copy_tree(&debian.join("libdevice"), &dir.join("nvvm/libdevice"))?;
    std::fs::write(
        dir.join("bin/nvcc.profile"),
        "TOP = $(_HERE_)/..\n\
         CICC_PATH = $(TOP)/nvvm/bin\n\
         NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice\n\
         PATH += $(CICC_PATH):$(_HERE_):\n\
         INCLUDES += \"-I$(TOP)/include\" $(_SPACE_)\n\
         LIBRARIES =+ $(_SPACE_) \"-L$(TOP)/lib64\"\n",
    )?;
    sh::remove(&parts)
}

/// Fetches and unpacks Debian's nvcc 12.4 with apt's own tools, apart from the system's package state and without root.
fn fetch_deb_12(dir: &Path) -> Result<PathBuf> {
    if sh::which("apt-get").is_none() || sh::which("dpkg-deb").is_none() {
        bail!(
            "nvcc 12 is fetched with apt-get and dpkg-deb, which this system lacks: install a CUDA 12 toolkit and set CUDA_HOME"
        );
    }
    for sub in ["lists/partial", "archives/partial"] {
        sh::mkdir(&dir.join(sub))?;
    }
    let path = dir
        .to_str()
        .ok_or_else(|| anyhow!("{} is not UTF-8", dir.display()))?;
    std::fs::write(dir.join("status"), "")?;
    std::fs::write(
        dir.join("sources.list"),
        "deb [arch=amd64 trusted=yes] http://deb.debian.org/debian trixie non-free\n",
    )?;
    std::fs::write(
        dir.join("apt.conf"),
        format!(
            "Dir::Etc::sourcelist \"{path}/sources.list\";\nDir::Etc::sourceparts \"-\";\nDir::State::Lists \"{path}/lists\";\n\
             Dir::State::status \"{path}/status\";\nDir::Cache \"{path}\";\nDir::Cache::archives \"archives\";\nAPT::Architecture \"amd64\";\n\
             APT::Sandbox::User \"\";\nDebug::NoLocking \"1\";\nAcquire::Languages \"none\";\nAPT::Get::AllowUnauthenticated \"1\";\n"
        ),
    )?;
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .env("APT_CONFIG", dir.join("apt.conf"))
            .current_dir(dir);
        command
    };
    sh::output(apt().arg("update"))?;
    sh::output(apt().args(["download", DEB_12.0]))?;
    let deb = std::fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| anyhow!("apt-get download left no package"))?;
    let found = sha256(&deb)?;
    if found != DEB_12.1 {
        bail!(
            "{} has SHA-256 {found}, not the expected {}",
            deb.display(),
            DEB_12.1
        );
    }
    let out = dir.join("root");
    sh::output(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&out))?;
    Ok(out)
}

fn sha256(path: &Path) -> Result<String> {
    use sha2::Digest;
    let mut hasher = sha2::Sha256::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// Builds containers as nvcc does.
struct Builder(Vec<u8>);

impl Builder {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn entry(mut self, kind: u16, architecture: u32, flags: u64, data: &[u8], size: u64) -> Self {
        let compressed = if flags & 0xa000 != 0 {
            u32::try_from(data.len()).unwrap()
        } else {
            0
        };
        let mut payload = data.to_vec();
        payload.resize(data.len().next_multiple_of(8), 0);
        self.0.extend(kind.to_le_bytes());
        self.0.extend(0x101u16.to_le_bytes());
        self.0.extend(64u32.to_le_bytes());
        self.0.extend((payload.len() as u64).to_le_bytes());
        self.0.extend(compressed.to_le_bytes());
        self.0.extend(0u32.to_le_bytes());
        self.0.extend(0u32.to_le_bytes());
        self.0.extend(architecture.to_le_bytes());
        self.0.extend([0; 8]);
        self.0.extend(flags.to_le_bytes());
        self.0.extend([0; 8]);
        self.0.extend(size.to_le_bytes());
        self.0.extend(payload);
        self
    }

    fn elf(self, architecture: u32, text: &[u8; 8]) -> Self {
        self.entry(2, architecture, 0x11, text, 0)
    }

    fn ptx(self, architecture: u32, text: &[u8]) -> Self {
        self.entry(1, architecture, 0x11, text, 0)
    }

    fn build(self) -> Vec<u8> {
        let mut out = CONTAINER_MAGIC.to_le_bytes().to_vec();
        out.extend(1u16.to_le_bytes());
        out.extend(16u16.to_le_bytes());
        out.extend((self.0.len() as u64).to_le_bytes());
        out.extend(self.0);
        out
    }
}

fn chosen(container: &[u8], capability: (u32, u32)) -> Vec<u8> {
    choose(container, capability, false).unwrap().into_owned()
}

#[test]
fn the_closest_cubin_below_the_device() {
    let container = Builder::new()
        .elf(80, b"cubin 80")
        .elf(86, b"cubin 86")
        .elf(90, b"cubin 90")
        .ptx(90, b".version 90")
        .build();
    assert_eq!(chosen(&container, (8, 0)), b"cubin 80");
    assert_eq!(chosen(&container, (8, 6)), b"cubin 86");
    assert_eq!(chosen(&container, (8, 9)), b"cubin 86");
    assert_eq!(chosen(&container, (9, 0)), b"cubin 90");
    assert_eq!(chosen(&container, (10, 0)), b".version 90\0");
    assert_eq!(choose(&container, (7, 5), false), Err(ImageError::NoBinary));
    assert_eq!(
        choose(&container, (9, 0), true).unwrap().as_ref(),
        b".version 90\0"
    );
    assert_eq!(choose(&container, (8, 9), true), Err(ImageError::NoBinary));
    let contents = "machine code for sm_80, sm_86, sm_90, PTX for compute_90";
    assert_eq!(Source::of(&container).unwrap().contents(), contents);
}

#[test]
fn the_highest_ptx_below_the_device() {
    let container = Builder::new()
        .ptx(50, b".v50")
        .ptx(75, b".v75")
        .ptx(90, b".v90")
        .build();
    assert_eq!(chosen(&container, (8, 9)), b".v75\0");
    assert_eq!(chosen(&container, (6, 1)), b".v50\0");
    assert_eq!(chosen(&container, (12, 0)), b".v90\0");
}

#[test]
fn code_for_one_architecture_alone() {
    let container = Builder::new()
        .elf(90, b"cubin 90")
        .entry(2, 90, 0x10_0011, b"cubin90a", 0)
        .entry(2, 100, 0x10_0011, b"cubn100a", 0)
        .entry(2, 120, 0x20_0011, b"cubn120f", 0)
        .entry(1, 100, 0x10_0011, b".v100a", 0)
        .build();
    assert_eq!(chosen(&container, (9, 0)), b"cubin90a");
    assert_eq!(chosen(&container, (10, 0)), b"cubn100a");
    assert_eq!(
        choose(&container, (10, 3), false),
        Err(ImageError::NoBinary)
    );
    assert_eq!(chosen(&container, (12, 0)), b"cubn120f");
    assert_eq!(chosen(&container, (12, 1)), b"cubn120f");
}

#[test]
fn compressed_entries() {
    let text = b".version 8.0\n.target sm_80\n".repeat(50);
    let lz4 = lz4_flex::block::compress(&text);
    let container = Builder::new()
        .entry(1, 80, 0x2011, &lz4, text.len() as u64)
        .build();
    let mut expected = text.clone();
    expected.push(0);
    assert_eq!(chosen(&container, (8, 0)), expected);
    for wrong in [0, text.len() as u64 - 1, text.len() as u64 + 1, u64::MAX] {
        let container = Builder::new().entry(1, 80, 0x2011, &lz4, wrong).build();
        assert_eq!(
            choose(&container, (8, 0), false),
            Err(ImageError::Invalid),
            "{wrong}"
        );
    }
    let container = Builder::new()
        .entry(1, 80, 0x8011, b"no zstd at all", 100)
        .build();
    assert_eq!(choose(&container, (8, 0), false), Err(ImageError::Invalid));
}

#[test]
fn unknown_kinds_are_passed_over() {
    let container = Builder::new()
        .entry(8, 80, 0x11, b"lto code", 0)
        .elf(80, b"cubin 80")
        .build();
    assert_eq!(chosen(&container, (8, 0)), b"cubin 80");
}

#[test]
fn broken_containers_are_refused() {
    let good = Builder::new()
        .elf(80, b"cubin 80")
        .ptx(80, b".version")
        .build();
    for cut in 0..good.len() {
        assert!(choose(&good[..cut], (8, 0), false).is_err(), "cut at {cut}");
    }
    // Every byte of the headers, set to extremes: any result but a crash or a read out of bounds.
    for at in 0..good.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            let _ = choose(&bad, (8, 0), false);
            let _ = choose(&bad, (9, 0), true);
        }
    }
}

/// A small generator of numbers, the same at every run.
fn numbers() -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[test]
fn noise_is_no_image() {
    let mut next = numbers();
    for _ in 0..20_000 {
        let length = (next() % 300) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        let _ = choose(&bytes, (9, 0), false);
        if bytes.len() >= 16 {
            bytes[..4].copy_from_slice(&CONTAINER_MAGIC.to_le_bytes());
            bytes[6..8].copy_from_slice(&16u16.to_le_bytes());
            let rest = (bytes.len() - 16) as u64;
            bytes[8..16].copy_from_slice(&rest.to_le_bytes());
            let _ = choose(&bytes, (9, 0), false);
            bytes[..4].copy_from_slice(&elf::MAGIC.to_le_bytes());
        }
        let _ = elf::size(&bytes);
        let _ = kernel_names(&bytes);
    }
}

#[test]
fn kernels_of_ptx() {
    let text = b"// .entry commented\n.version 8.0\n.visible .entry first(\n.param .u64 p) { ret; }\n/* .entry no */ .entry\n  second() {}\n.file 1 \"a.entry x\"\n.entryish third\n.weak .entry _Z5thirdIiEvv()";
    assert_eq!(kernel_names(text), ["first", "second", "_Z5thirdIiEvv"]);
    assert!(ptx::looks_like(b"\n// c\n/* d */ .version 7.0"));
    assert!(!ptx::looks_like(b"hello"));
    assert!(!ptx::looks_like(b""));
    assert!(!ptx::looks_like(b"/* .version"));
}

#[test]
fn what_lies_at_an_address() {
    let container = Builder::new().elf(80, b"cubin 80").build();
    #[repr(C)]
    struct Wrapper {
        magic: u32,
        version: u32,
        data: *const u8,
        more: *const u8,
    }
    let wrapper = Wrapper {
        magic: WRAPPER_MAGIC,
        version: 1,
        data: container.as_ptr(),
        more: std::ptr::null(),
    };
    let empty = Wrapper {
        data: std::ptr::null(),
        ..wrapper
    };
    // SAFETY: each points to what CUDA allows.
    unsafe {
        assert_eq!(
            Source::at((&raw const wrapper).cast()),
            Ok(Source::Container(&container))
        );
        assert_eq!(
            Source::at((&raw const empty).cast()),
            Err(ImageError::Invalid)
        );
        assert_eq!(
            Source::at(container.as_ptr().cast()),
            Ok(Source::Container(&container))
        );
        assert_eq!(
            Source::at(c".version 8.0".as_ptr().cast()),
            Ok(Source::Ptx(b".version 8.0"))
        );
        assert_eq!(Source::at(c"".as_ptr().cast()), Err(ImageError::Invalid));
        assert_eq!(Source::at(c"ab".as_ptr().cast()), Err(ImageError::Invalid));
    }
    let _ = (wrapper.magic, wrapper.version, wrapper.more);
}

#[test]
fn a_wrapper_of_linked_code_names_its_parts() {
    let linked = Builder::new().elf(90, b"cubin 90").build();
    let parts = [
        Builder::new().ptx(75, b".version 75").build(),
        Builder::new().ptx(80, b".version 80").build(),
    ];
    let list = [parts[0].as_ptr(), parts[1].as_ptr(), std::ptr::null()];
    let broken = [linked[16..].as_ptr(), std::ptr::null()];
    let wrapper = |version: u32, list: *const *const u8| {
        let words = [
            u64::from(version) << 32 | u64::from(WRAPPER_MAGIC),
            linked.as_ptr() as u64,
        ];
        [words[0], words[1], list as u64]
    };
    let at = |wrapper: [u64; 3]| {
        let wrapper = Box::leak(Box::new(wrapper));
        // SAFETY: it points to what CUDA allows, or to bytes that are no container.
        unsafe { Source::at(wrapper.as_ptr().cast()) }.unwrap()
    };
    let found = at(wrapper(2, list.as_ptr()));
    assert_eq!(found.parts().unwrap(), [&parts[0][..], &parts[1][..]]);
    assert_eq!(found.choose((8, 0), false), Err(ImageError::NoBinary));
    let cubin = found.choose((9, 0), false).unwrap();
    assert_eq!(cubin.extract().unwrap().as_ref(), b"cubin 90");
    // Other wrappers have no list, whatever stands behind them.
    assert!(at(wrapper(1, list.as_ptr())).parts().unwrap().is_empty());
    assert!(at(wrapper(2, std::ptr::null())).parts().unwrap().is_empty());
    let found = at(wrapper(2, broken.as_ptr()));
    assert_eq!(found.parts(), Err(ImageError::Invalid));
}

/// An `nvcc` to test with: `NVCC`, or the one on the path. Tests that need it say so and pass without.
fn nvcc() -> Option<PathBuf> {
    let candidate = std::env::var_os("NVCC").map_or_else(|| PathBuf::from("nvcc"), PathBuf::from);
    let works = Command::new(&candidate)
        .arg("--version")
        .output()
        .is_ok_and(|o| o.status.success());
    if !works {
        eprintln!("skipped: no nvcc (set NVCC)");
    }
    works.then_some(candidate)
}

const KERNELS: &str = r#"
extern "C" __global__ void first(int a, double *b, char c) { if (b) *b = a + c; }
__device__ __noinline__ int helper(int x) { return x * x; }
extern "C" __global__ void second(int *p) { *p = helper(*p); }
"#;

fn compile(nvcc: &Path, directory: &Path, name: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let source = directory.join("kernels.cu");
    std::fs::write(&source, KERNELS).unwrap();
    let out = directory.join(name);
    let done = Command::new(nvcc)
        .args(["-fatbin", "-o"])
        .arg(&out)
        .args(arguments)
        .arg(&source)
        .output()
        .unwrap();
    if !done.status.success() {
        eprintln!(
            "this nvcc cannot {arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        return None;
    }
    Some(std::fs::read(out).unwrap())
}

#[test]
fn real_containers() {
    let Some(nvcc) = nvcc() else { return };
    let directory = std::env::temp_dir().join(format!("gvirtus-fatbin-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let both = ["-gencode", "arch=compute_80,code=[sm_80,compute_80]"];
    let cases: &[(&str, &[&str])] = &[
        ("plain", &[]),
        ("all", &["-Xfatbin", "-compress-all"]),
        (
            "lz4",
            &["-Xfatbin", "-compress-all", "--compress-mode=speed"],
        ),
        (
            "zstd",
            &["-Xfatbin", "-compress-all", "--compress-mode=size"],
        ),
        (
            "none",
            &["-Xfatbin", "-compress-all", "--compress-mode=none"],
        ),
        ("debug", &["-G"]),
    ];
    for (name, more) in cases {
        let arguments = [&both[..], more].concat();
        let Some(container) = compile(&nvcc, &directory, name, &arguments) else {
            continue;
        };
        let mut followed = container.clone();
        followed.extend([0xee; 64]);
        // SAFETY: a container, with other bytes behind it.
        let source = unsafe { Source::at(followed.as_ptr().cast()) }.unwrap();
        assert_eq!(source, Source::Container(&container), "{name}");
        let cubin = choose(&container, (8, 6), false).unwrap();
        assert_eq!(elf::size(&cubin), Some(cubin.len() as u64), "{name}");
        let mut names = kernel_names(&cubin);
        names.sort();
        assert_eq!(names, ["first", "second"], "{name}");
        let text = choose(&container, (9, 0), false).unwrap();
        assert!(ptx::looks_like(&text), "{name}");
        assert_eq!(text.iter().filter(|b| **b == 0).count(), 1, "{name}");
        let mut names = kernel_names(&text);
        names.sort();
        assert_eq!(names, ["first", "second"], "{name}");
        assert_eq!(choose(&container, (8, 0), true).unwrap(), text, "{name}");
        assert_eq!(
            choose(&container, (7, 5), false),
            Err(ImageError::NoBinary),
            "{name}"
        );

        let mut followed = cubin.to_vec();
        followed.extend([0xee; 64]);
        // SAFETY: a cubin with other bytes behind it.
        let source = unsafe { Source::at(followed.as_ptr().cast()) }.unwrap();
        assert_eq!(source, Source::Elf(&cubin), "{name}");

        let mut next = numbers();
        for _ in 0..2_000 {
            let mut bad = container.clone();
            let at = (next() as usize) % bad.len();
            bad[at] ^= 1 << (next() % 8);
            if let Ok(image) = choose(&bad, (8, 0), false) {
                let _ = kernel_names(&image);
                let _ = elf::size(&image);
            }
        }
    }
    let several = [
        "-gencode",
        "arch=compute_80,code=sm_80",
        "-gencode",
        "arch=compute_90a,code=[sm_90a,compute_90a]",
    ];
    if let Some(container) = compile(&nvcc, &directory, "several", &several) {
        assert!(
            choose(&container, (9, 0), false)
                .unwrap()
                .starts_with(b"\x7fELF")
        );
        assert!(ptx::looks_like(&choose(&container, (9, 0), true).unwrap()));
        assert_eq!(
            choose(&container, (10, 0), false),
            Err(ImageError::NoBinary),
            "sm_90a runs on 9.0 alone"
        );
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

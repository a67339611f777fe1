//! `ptx-corpus`: records what a device answers for each form of each PTX instruction, or compares with a record.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gvirtus_ptx_corpus::device::{Device, Driver};
use gvirtus_ptx_corpus::{forms, kernel, record};

#[derive(Parser)]
#[command(about = "Runs every form of every PTX instruction on the first device of a CUDA driver")]
struct Arguments {
    /// The driver: a path, or a name that the loader finds.
    #[arg(long, default_value = "libcuda.so.1", global = true)]
    driver: String,
    /// Only forms whose text holds this.
    #[arg(long, global = true)]
    only: Option<String>,
    /// Not the forms whose text holds this.
    #[arg(long, global = true)]
    except: Vec<String>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Runs all forms and writes what came out.
    Record {
        /// The record.
        file: PathBuf,
        /// All results, to look differences up.
        #[arg(long)]
        full: Option<PathBuf>,
    },
    /// Runs all forms and says where results differ from a record.
    Compare {
        /// The record.
        file: PathBuf,
        /// All results, recorded together with it.
        #[arg(long)]
        full: Option<PathBuf>,
        /// Differences shown per form.
        #[arg(long, default_value_t = 4)]
        show: usize,
    },
    /// Writes each form as a module of its own into a folder, for other assemblers.
    Emit {
        /// The folder.
        folder: PathBuf,
    },
}

fn run() -> Result<bool, String> {
    let arguments = Arguments::parse();
    let all = forms()?;
    let forms: Vec<_> = all
        .into_iter()
        .filter(|f| {
            !arguments
                .except
                .iter()
                .any(|e| f.name().contains(e.as_str()))
        })
        .filter(|f| {
            arguments
                .only
                .as_ref()
                .is_none_or(|o| f.name().contains(o.as_str()))
        })
        .collect();
    if let What::Emit { folder } = &arguments.what {
        for (k, form) in forms.iter().enumerate() {
            let text = format!(
                "// {}\n{}",
                form.name(),
                kernel::module(std::iter::once(form))
            );
            std::fs::write(folder.join(format!("{k:05}.ptx")), text).map_err(|e| e.to_string())?;
        }
        println!("{} forms", forms.len());
        return Ok(true);
    }
    // SAFETY: a CUDA driver, by the user's word.
    let library =
        unsafe { libloading::Library::new(&arguments.driver) }.map_err(|e| e.to_string())?;
    // SAFETY: the symbols of a CUDA driver are CUDA's functions.
    let driver = unsafe {
        Driver::new(|name| {
            library
                .get::<*const std::ffi::c_void>(name.as_bytes())
                .ok()
                .map(|s| *s)
        })
    }?;
    let device = Device::open(driver)?;
    let answers = device.run(&forms)?;
    // The driver has threads of its own: it stays.
    std::mem::forget(library);
    let refused = answers.iter().filter(|a| a.is_err()).count();
    match arguments.what {
        What::Record { file, full } => {
            std::fs::write(&file, record::write(&device.name, &forms, &answers))
                .map_err(|e| e.to_string())?;
            if let Some(full) = full {
                std::fs::write(full, record::write_full(&forms, &answers))
                    .map_err(|e| e.to_string())?;
            }
            for (form, why) in forms
                .iter()
                .zip(&answers)
                .filter_map(|(f, a)| Some((f, a.as_ref().err()?)))
            {
                println!("refused: {} — {}", form.name(), why);
            }
            println!("{}: {} forms, {refused} refused", device.name, forms.len());
            Ok(true)
        }
        What::Compare { file, full, show } => {
            let text = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
            let recorded = record::read(&text)?;
            let full = match full {
                Some(path) => Some(record::read_full(
                    &std::fs::read(path).map_err(|e| e.to_string())?,
                )?),
                None => None,
            };
            let (mut differ, mut unknown) = (0, 0);
            for (form, answer) in forms.iter().zip(&answers) {
                let Some(known) = recorded.get(&form.name()) else {
                    unknown += 1;
                    continue;
                };
                let Some(why) = record::compare(form, known, answer) else {
                    continue;
                };
                differ += 1;
                println!("{}", form.name());
                let values = full
                    .as_ref()
                    .and_then(|all| all.get(&record::name_hash(form)));
                match (values, answer) {
                    (Some(values), Ok(answer)) => {
                        let (count, words) = record::compare_full(form, values, answer, show);
                        println!("    {count} differ");
                        words.iter().for_each(|w| println!("    {w}"));
                    }
                    _ => println!("    {why}"),
                }
            }
            println!(
                "{}: {} forms, {differ} differ, {refused} refused, {unknown} not recorded",
                device.name,
                forms.len()
            );
            Ok(differ == 0)
        }
        What::Emit { .. } => Ok(true),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("ptx-corpus: {e}");
            ExitCode::from(2)
        }
    }
}

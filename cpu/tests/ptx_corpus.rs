//! Compiles every `.ptx` file of the folder named by `GVIRTUS_PTX_CORPUS` (skipped when it is not set).

#![allow(missing_docs, reason = "a test")]

#[test]
fn corpus_compiles() {
    let Ok(folder) = std::env::var("GVIRTUS_PTX_CORPUS") else {
        return;
    };
    let (mut good, mut bad) = (0, 0);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|f| f.path())
        .filter(|p| p.extension().is_some_and(|e| e == "ptx"))
        .collect();
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let start = std::time::Instant::now();
        match gvirtus_cpu::engine::compile(&text) {
            Ok(_) => good += 1,
            Err(e) => {
                bad += 1;
                println!(
                    "{}: {}: {} [{}]",
                    path.file_name().unwrap().to_string_lossy(),
                    e.line,
                    e.message,
                    e.text
                );
            }
        }
        if start.elapsed().as_millis() > 50 {
            println!(
                "{}: {:?}, {} lines",
                path.display(),
                start.elapsed(),
                text.lines().count()
            );
        }
    }
    println!("{good} compile, {bad} do not");
    if std::env::var_os("GVIRTUS_PTX_STRICT").is_some() {
        assert_eq!(bad, 0);
    }
}

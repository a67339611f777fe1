//! One of several processes that launch at the same time. It says `ready` on standard output, waits for a line on standard input, launches, waits for the end, and says how
//! long that took.

use std::io::{BufRead, Write};

use serde_json::json;

use crate::gpu::{Context, Failed, Result};
use crate::measure::time;

pub(crate) fn run(launches: u32) -> Result<()> {
    let context = Context::first()?;
    let module = context.module()?;
    let stream = context.stream()?;
    module.launch_nothing(&stream)?;
    stream.synchronize()?;

    let io = |e: std::io::Error| Failed::new(e.to_string());
    println!("ready");
    std::io::stdout().flush().map_err(io)?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).map_err(io)? == 0 {
        return Err(Failed::new("nobody said go"));
    }
    let took = time(|| {
        for _ in 0..launches {
            module.launch_nothing(&stream)?;
        }
        stream.synchronize()
    })?;
    println!(
        "{}",
        json!({"launches": launches, "seconds": took.as_secs_f64()})
    );
    Ok(())
}

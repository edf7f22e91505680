//! What reading costs. The numbers are kept by the benches; these show them at hand.

use std::hint::black_box;
use std::time::Instant;

use super::*;

#[test]
#[ignore = "prints times; run with --release"]
fn reading_a_body() {
    for (name, file) in [
        ("dimilinks", "dimilinks_in_progress.json"),
        ("dimilinks", "dimilinks_succeeded.json"),
        ("lemondata", "lemondata_completed.json"),
        ("lemondata", "lemondata_tasks_completed_billing.json"),
    ] {
        let (dialect, body) = (builtin(name), sample(file));
        let mut best = f64::MAX;
        for _ in 0..200 {
            let room = || {
                let mut copy = String::with_capacity(body.len() + 1);
                copy.push_str(&body);
                copy
            };
            let bodies: Vec<String> = (0..1000).map(|_| room()).collect();
            let start = Instant::now();
            for body in bodies {
                black_box(dialect.read_look(body).is_ok());
            }
            best = best.min(start.elapsed().as_secs_f64() * 1e6 / 1000.0);
        }
        println!("{file}: {best:.2} us for {} bytes", body.len());
    }
}

#[test]
#[ignore = "prints the peak of this process's memory; run alone with --release"]
fn reading_14_megabytes() {
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB").to_owned();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
    };
    let dialect = builtin("dimilinks");
    let before = peak();
    let pixels = "A".repeat(14 << 20);
    let mut body = String::with_capacity(pixels.len() + 200);
    body.push_str(r#"{"id":"a","status":"succeeded","result":{"data":[{"url":"data:image/png;base64,"#);
    body.push_str(&pixels);
    body.push_str(r#""}]}}"#);
    drop(pixels);
    let start = Instant::now();
    let task = dialect.read_look(body).expect("readable").task;
    println!("14 MiB data URL: {:?}, peak {:.1} MiB over the start", start.elapsed(), peak() - before);
    drop(task);

    let many = format!(r#"{{"status":"queued","ignored":[{}{{}}]}}"#, "{},".repeat(999_999));
    let before = peak();
    let start = Instant::now();
    dialect.read_look(many).expect("readable");
    println!("a million ignored objects: {:?}, {:.1} MiB over the peak before", start.elapsed(), peak() - before);
}

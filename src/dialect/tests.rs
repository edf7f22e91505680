//! A first look at the built-in dialects.

use super::*;

#[test]
fn every_built_in_dialect_is_a_valid_document() {
    let names: Vec<&str> = Dialect::builtins().iter().map(|dialect| &*dialect.profile().name).collect();
    assert_eq!(names, ["dimilinks", "dimilinks-legacy", "lemondata"]);
}

#[test]
#[ignore = "prints times"]
fn cost() {
    for (name, body) in [
        ("dimilinks", include_str!("../../tests/data/dimilinks_succeeded.json")),
        ("lemondata", include_str!("../../tests/data/lemondata_completed.json")),
    ] {
        let dialect = Dialect::builtin(name).unwrap();
        let mut best = f64::MAX;
        for _ in 0..200 {
            let bodies: Vec<String> = (0..1000)
                .map(|_| {
                    let mut s = String::with_capacity(body.len() + 1);
                    s.push_str(body);
                    s
                })
                .collect();
            let start = std::time::Instant::now();
            for body in bodies {
                std::hint::black_box(dialect.read_look(body).unwrap());
            }
            best = best.min(start.elapsed().as_secs_f64() * 1e9 / 1000.0);
        }
        println!("{name}: {best:.0} ns for {} bytes", body.len());
    }
}

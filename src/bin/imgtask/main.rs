//! The command line `imgtask`.

fn main() {}

//! The command line `imgtask`.

use clap::{Parser, Subcommand};

mod sandbox;

/// Gets your image back from an asynchronous image API.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A gateway on this machine that speaks the providers' documented contracts, and misbehaves on request.
    #[command(after_long_help = sandbox::help())]
    Sandbox(sandbox::SandboxOptions),
}

fn main() -> std::process::ExitCode {
    let Command::Sandbox(options) = Arguments::parse().command;
    match sandbox::run(&options) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("imgtask sandbox: {error}");
            std::process::ExitCode::from(2)
        }
    }
}

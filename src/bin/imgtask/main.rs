//! The command line `imgtask`.

mod cancel;
mod completions;
mod demo;
mod dialect;
mod download;
mod duration;
mod exit;
mod fetch;
mod finish;
mod interrupt;
mod man;
mod providers;
mod report;
mod sandbox;
mod save;
mod service;
mod shell;
mod submit;
mod ui;
mod wait;
mod watch;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};

use crate::exit::{Exit, Outcome, Problem};
use crate::ui::Ui;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const MORE: &str = "\
Keys:
  From the provider's variable (`imgtask providers` names it) or from the first
  line of --key-file FILE; never from an argument, which every user of the
  machine can read.

Environment:
  IMGTASK_PROVIDER   the provider when --provider is not given
  DIMILINKS_API_KEY, LEMONDATA_API_KEY     the keys
  DIMILINKS_BASE_URL, LEMONDATA_BASE_URL   other addresses of the services
  NO_COLOR           no colours

Output:
  Results go to the standard output, everything else to the standard error.

  --json prints one object a line. Every member is always there; what is not
  known is null.
    id, ref            the service's id, and what to give to look again
    provider           as in --provider
    state              unknown queued running succeeded failed cancelled expired
    final              true when the service will not change it any more
    provider_status    the service's own word
    progress           0 to 100
    images[]           index, source_index, url, inline, file_id,
                       revised_prompt, expires_at, width, height, byte_size,
                       file: path, media_type, extension, width, height,
                             byte_size, sha256 (when it was saved)
    failure            code, type, message, action: none resubmit
                       change_request check_account
    created_at, completed_at (Unix seconds), looked_at_ms (milliseconds)
    revised_prompt, model, conversation_id, billing_id, credit_cost
    error              why the command has no result: status, message,
                       http_status, retry_after_ms (-1 fails again, 0 at any
                       time), provider_code, request_id, task_id
  `imgtask watch` puts two members before these: event, line.

Examples:
  imgtask demo
  imgtask submit -p dimilinks --prompt 'a lighthouse in fog' --out fog.png
  imgtask wait -p lemondata \"$id\" --timeout 10m --json
  imgtask watch -p dimilinks --from ids.txt --download pictures/ --manifest done.jsonl

";

/// Gets your image back from an asynchronous image API
#[derive(Debug, Parser)]
#[command(
    name = "imgtask",
    version,
    styles = STYLES,
    max_term_width = 100,
    propagate_version = true,
    infer_subcommands = false,
    after_help = exit::TABLE,
    after_long_help = format!("{MORE}{}", exit::TABLE),
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Providers(providers::Providers),
    Submit(submit::Submit),
    Fetch(fetch::Fetch),
    Wait(wait::Wait),
    Watch(Box<watch::Watch>),
    Download(download::Download),
    Cancel(cancel::Cancel),
    Dialect(dialect::Dialect),
    /// A gateway on this machine that speaks the providers' documented contracts, and misbehaves on request
    #[command(after_long_help = sandbox::help())]
    Sandbox(sandbox::SandboxOptions),
    Completions(completions::Completions),
    Man(man::ManPages),
}

fn main() -> ExitCode {
    // A panic has spoken for itself; what is left is its exit code.
    let exit = std::panic::catch_unwind(start).unwrap_or(Exit::Bug);
    ExitCode::from(exit as u8)
}

fn start() -> Exit {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let outcome = refuse_keys(&arguments).and_then(|()| run(Cli::parse_from(arguments).command));
    outcome.unwrap_or_else(|problem| {
        Ui::new(false).problem(&problem);
        problem.exit
    })
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Demo(demo) => demo.run(),
        Command::Providers(providers) => providers.run(),
        Command::Submit(submit) => submit.run(),
        Command::Fetch(fetch) => fetch.run(),
        Command::Wait(wait) => wait.run(),
        Command::Watch(watch) => watch.run(),
        Command::Download(download) => download.run(),
        Command::Cancel(cancel) => cancel.run(),
        Command::Dialect(dialect) => dialect.run(),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
        // The code is the command's own, and not one of ours.
        Command::Sandbox(options) if !options.command.is_empty() => match sandbox::run_command(&options) {
            Ok(code) => std::process::exit(code.into()),
            Err(error) => Err(Problem::usage(error.to_string())),
        },
        Command::Sandbox(options) => match sandbox::run(&options) {
            Ok(()) => Ok(Exit::Done),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(Problem::usage(error.to_string())),
            Err(error) => Err(Problem::new(Exit::Network, format!("the sandbox cannot be served: {error}"))),
        },
    }
}

/// Refuses a key among the arguments before anything else reads, and perhaps repeats, them.
fn refuse_keys(arguments: &[OsString]) -> Outcome<()> {
    const NAMES: [&str; 7] = ["--api-key", "--apikey", "--api_key", "--key", "--token", "--bearer", "--auth"];
    let named = arguments.iter().skip(1).take_while(|argument| *argument != "--").find_map(|argument| {
        let text = argument.to_str()?;
        let name = text.split('=').next().unwrap_or(text);
        NAMES.into_iter().find(|known| name.eq_ignore_ascii_case(known))
    });
    match named {
        None => Ok(()),
        Some(name) => Err(Problem::usage(format!(
            "there is no {name}: every user of this machine can read the arguments of a command, and the shell keeps them"
        ))
        .hint("put the key into the provider's variable (`imgtask providers` names it), or into a file for --key-file")
        .hint("if the key was real, make a new one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_key_among_the_arguments_is_refused_and_not_repeated() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        for arguments in [["imgtask", "--api-key", "sk-canary"], ["imgtask", "wait", "--API-KEY=sk-canary"]] {
            let problem = refuse_keys(&words(&arguments)).expect_err("refused");
            assert_eq!(problem.exit, Exit::Usage);
            assert!(!format!("{problem:?}").contains("canary"));
        }
        assert!(refuse_keys(&words(&["imgtask", "wait", "--key-file", "key.txt"])).is_ok());
        assert!(refuse_keys(&words(&["imgtask", "wait", "--", "--key"])).is_ok());
    }
}

//! The command line `imgtask`.

mod access;
mod cancel;
mod completions;
mod config;
mod context;
mod demo;
mod dialect;
mod doctor;
mod download;
mod duration;
mod exit;
mod fetch;
mod finish;
mod interrupt;
mod lines;
mod man;
mod providers;
mod report;
mod sandbox;
mod save;
mod service;
mod settings;
mod shell;
mod submit;
mod ui;
mod wait;
mod watch;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::context::Context;
use crate::exit::{Exit, Outcome, Problem};
use crate::settings::{Globals, Set, Settings, Source};
use crate::ui::{Color, Ui, Voice};

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

Settings:
  An argument goes before the environment, that before the file, and that before
  what the provider itself says. `imgtask config` shows what holds and who said
  it; `imgtask config --new` prints a file to start from.

Environment:
  IMGTASK_PROVIDER, IMGTASK_TIMEOUT, IMGTASK_INTERVAL, IMGTASK_PROXY,
  IMGTASK_CA_FILE, IMGTASK_MAX_REQUESTS_PER_MINUTE, IMGTASK_NAME_PATTERN,
  IMGTASK_JSON, IMGTASK_QUIET, IMGTASK_VERBOSE, IMGTASK_COLOR
                                           as the options of these names
  IMGTASK_OUT                              as --out, for `download` alone
  DIMILINKS_API_KEY, LEMONDATA_API_KEY     the keys
  DIMILINKS_BASE_URL, LEMONDATA_BASE_URL   other addresses of the services
  NO_COLOR, CLICOLOR_FORCE                 no colours; colours everywhere

Files:
  The file of settings is that of --config, of IMGTASK_CONFIG, or
  imgtask/config.toml in $XDG_CONFIG_HOME or ~/.config.

Output:
  Results go to the standard output, everything else to the standard error.
  Colours and progress are for terminals alone.

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
  imgtask demo --speed 100
  imgtask submit -p dimilinks --prompt 'a lighthouse in fog' --out fog.png
  id=$(imgtask submit -p lemondata --prompt 'a fox' --set model=gpt-image-2)
  imgtask wait -p lemondata \"$id\" --timeout 10m --json
  imgtask doctor -p dimilinks

";

const SHORT: &str = "\
Each command has a --help of its own, with examples; `imgtask --help` has settings, members of --json and exit codes.";

/// Gets your image back from an asynchronous image API
#[derive(Debug, Parser)]
#[command(
    name = "imgtask",
    version,
    styles = STYLES,
    max_term_width = 100,
    propagate_version = true,
    infer_subcommands = false,
    after_help = SHORT,
    after_long_help = format!("{MORE}{}", exit::TABLE),
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,

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
    Config(Box<config::Config>),
    Doctor(Box<doctor::Doctor>),
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
    // Before anything is known: a problem is told in the colours that the arguments themselves ask for.
    let color = early_color(&arguments);
    let early = Ui::new(Voice { color, ..Voice::default() });
    let cli = refuse_keys(&arguments).and_then(|()| parse(arguments, color));
    let context = cli.and_then(|cli| Ok((context(&cli)?, cli.command)));
    let (context, command) = match context {
        Ok(both) => both,
        Err(problem) => {
            early.problem(&problem);
            return problem.exit;
        }
    };
    run(command, &context).unwrap_or_else(|problem| {
        context.ui.problem(&problem);
        problem.exit
    })
}

/// The arguments, read. Help and what is wrong with them end the process here.
fn parse(arguments: Vec<OsString>, color: Color) -> Outcome<Cli> {
    let choice = match color {
        // Left to itself, it would colour a dumb terminal wherever `CI` is set.
        Color::Auto if ui::is_dumb() => ColorChoice::Never,
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    let matches = Cli::command().color(choice).try_get_matches_from(arguments);
    let error = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    match error.print().and_then(|()| io::stdout().flush()) {
        Err(failed) if !error.use_stderr() && failed.kind() != io::ErrorKind::BrokenPipe => {
            Err(Problem::new(Exit::File, "cannot write the help to the standard output"))
        }
        _ => std::process::exit(error.exit_code()),
    }
}

/// `--color`, looked for before the arguments are read, for what is said of the arguments themselves.
fn early_color(arguments: &[OsString]) -> Color {
    let words = || arguments.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    let apart = words().zip(words().skip(1)).filter(|(name, _)| *name == "--color").map(|(_, value)| value);
    let joined = words().filter_map(|word| word.strip_prefix("--color="));
    let given = apart.chain(joined).find_map(|value| Color::read(value).ok());
    let variable = || std::env::var("IMGTASK_COLOR").ok().and_then(|value| Color::read(&value).ok());
    let source = Source::Argument(String::new());
    Color::decide(given.or_else(variable).map(|value| Set { value, source }))
}

fn context(cli: &Cli) -> Outcome<Context> {
    // These work, or tell what is wrong, whatever the file of settings says.
    let needs_no_file = match &cli.command {
        Command::Completions(_) | Command::Man(_) | Command::Sandbox(_) | Command::Doctor(_) => true,
        Command::Config(config) => config.new,
        _ => false,
    };
    let settings = match Settings::load(&cli.globals) {
        Err(fault) if needs_no_file => Settings::without_file(&cli.globals, fault),
        settings => settings?,
    };
    Ok(Context::new(settings))
}

fn run(command: Command, context: &Context) -> Outcome {
    match command {
        Command::Demo(demo) => demo.run(context),
        Command::Providers(providers) => providers.run(context),
        Command::Submit(submit) => submit.run(context),
        Command::Fetch(fetch) => fetch.run(context),
        Command::Wait(wait) => wait.run(context),
        Command::Watch(watch) => watch.run(context),
        Command::Download(download) => download.run(context),
        Command::Cancel(cancel) => cancel.run(context),
        Command::Dialect(dialect) => dialect.run(context),
        Command::Config(config) => config.run(context),
        Command::Doctor(doctor) => doctor.run(context),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(context),
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

//! `imgtask completions`: what a shell completes.

use std::io::{self, Write};

use clap::{Args, Command, CommandFactory};
use clap_complete::{Shell, generate};

use crate::Cli;
use crate::exit::{Exit, Outcome, Problem};

/// Print what bash, zsh or fish completes after `imgtask`
#[derive(Debug, Args)]
#[command(after_long_help = "\
Subcommands, options, files, and the names of the built-in providers are completed. `make install` puts \
the three scripts where the shells look for them; by hand it is one of the examples, in a new shell.

Examples:
  mkdir -p ~/.local/share/bash-completion/completions
  imgtask completions bash \\
    > ~/.local/share/bash-completion/completions/imgtask
  # with fpath+=~/.zfunc before compinit in ~/.zshrc
  mkdir -p ~/.zfunc && imgtask completions zsh > ~/.zfunc/_imgtask
  mkdir -p ~/.config/fish/completions
  imgtask completions fish > ~/.config/fish/completions/imgtask.fish")]
pub(crate) struct Completions {
    /// The shell: bash, zsh or fish
    #[arg(value_name = "SHELL", value_parser = ["bash", "zsh", "fish"], hide_possible_values = true)]
    shell: String,
}

impl Completions {
    pub(crate) fn run(self) -> Outcome {
        let shell = match self.shell.as_str() {
            "bash" => Shell::Bash,
            "zsh" => Shell::Zsh,
            _ => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut command(), "imgtask", &mut script);
        if shell == Shell::Fish {
            script.extend(fish_values(&command()).into_bytes());
        }
        match io::stdout().lock().write_all(&script) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Problem::new(Exit::File, "cannot write the script to the standard output"))
            }
            _ => Ok(Exit::Done),
        }
    }
}

/// The command as its users know it: `help` is `--help`, and no page or word of its own.
pub(crate) fn command() -> Command {
    Cli::command().disable_help_subcommand(true)
}

/// The values of arguments without a dash, which the generator leaves out for fish alone.
fn fish_values(command: &Command) -> String {
    let mut lines = String::new();
    for one in command.get_subcommands() {
        let seen = format!("__fish_imgtask_using_subcommand {}", one.get_name());
        lines.extend(fish_line(one, &seen));
        for other in one.get_subcommands() {
            lines.extend(fish_line(other, &format!("{seen}; and __fish_seen_subcommand_from {}", other.get_name())));
        }
    }
    lines
}

/// What is completed for a command, once the condition says that it was typed.
fn fish_line(command: &Command, condition: &str) -> Option<String> {
    let values: Vec<String> = command
        .get_positionals()
        .flat_map(|arg| arg.get_value_parser().possible_values().into_iter().flatten())
        .map(|value| value.get_name().to_string())
        .collect();
    let line = format!("complete -c imgtask -n \"{condition}\" -f -a \"{}\"\n", values.join(" "));
    (!values.is_empty()).then_some(line)
}

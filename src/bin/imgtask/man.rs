//! `imgtask man`: the manual as pages for `man`, made from the same declarations as `--help`.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Command, ValueHint};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::completions::command;
use crate::context::Context;
use crate::exit::{Exit, Outcome, Problem};
use crate::ui::Ui;

/// Write the man pages into a folder
#[derive(Debug, Args)]
#[command(after_long_help = "\
Writes imgtask.1 and a page for each subcommand, such as imgtask-watch.1 and imgtask-dialect-try.1, and prints \
their paths. Pages that are there already are replaced.

Examples:
  imgtask man share/man/man1")]
pub(crate) struct ManPages {
    /// The folder, which is made where it is missing
    #[arg(value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    folder: PathBuf,
}

impl ManPages {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let ui = &context.ui;
        fs::create_dir_all(&self.folder).map_err(|error| Problem::file("make the folder", &self.folder, &error))?;
        let mut command = command();
        command.build();
        self.write(ui, &command, &[])?;
        Ok(Exit::Done)
    }

    /// The page of a command, then those of its subcommands. `above`: the names of the commands that it belongs to.
    fn write(&self, ui: &Ui, command: &Command, above: &[&str]) -> Outcome<()> {
        let names: Vec<&str> = above.iter().copied().chain([command.get_name()]).collect();
        let path = self.folder.join(file_name(&names));
        let text = page(command, above).map_err(|_| Problem::new(Exit::Bug, "a page could not be written"))?;
        fs::write(&path, text).map_err(|error| Problem::file("write", &path, &error))?;
        ui.result(&path.display().to_string())?;
        for subcommand in subcommands(command) {
            self.write(ui, subcommand, &names)?;
        }
        Ok(())
    }
}

fn subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set())
}

fn file_name(names: &[&str]) -> String {
    format!("{}.1", names.join("-"))
}

/// A page: what clap knows in the order of a manual, and the text that `--help` ends with. Its first paragraphs describe the
/// command, the rest has headings of its own.
fn page(command: &Command, above: &[&str]) -> io::Result<Vec<u8>> {
    let name = above.iter().copied().chain([command.get_name()]).collect::<Vec<_>>().join("-");
    let text = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string).unwrap_or_default();
    let (described, sections) = text.split_at(first_heading(&text));
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    // Without a date: a page is the same whenever it is made.
    let version = env!("CARGO_PKG_VERSION");
    writeln!(page, ".TH {} 1 \"\" \"imgtask {version}\" \"User Commands\"", name.to_uppercase())?;
    man.render_name_section(&mut page)?;
    // As `-h` says it: the generator shows options without their values.
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    for (place, line) in usage.trim_start_matches("Usage:").lines().filter(|line| !line.trim().is_empty()).enumerate() {
        if place > 0 {
            roff.control("br", []);
        }
        roff.text([roman(line.trim())]);
    }
    roff.control("SH", ["DESCRIPTION"]);
    match described.trim() {
        "" => prose(&mut roff, &command.get_about().map(ToString::to_string).unwrap_or_default()),
        _ => prose(&mut roff, described),
    }
    roff.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::new();
    if subcommands(command).next().is_some() {
        roff.control("SH", ["COMMANDS"]);
        for subcommand in subcommands(command) {
            roff.control("TP", []);
            roff.text([bold(format!("{name}-{}", subcommand.get_name())), roman("(1)")]);
            roff.text([roman(subcommand.get_about().map(ToString::to_string).unwrap_or_default())]);
        }
    }
    prose(&mut roff, sections);
    roff.control("SH", ["SEE ALSO"]);
    let parents = above.iter().scan(String::new(), |path, part| {
        path.push_str(if path.is_empty() { "" } else { "-" });
        path.push_str(part);
        Some(path.clone())
    });
    let children = subcommands(command).map(|subcommand| format!("{name}-{}", subcommand.get_name()));
    let others: Vec<String> = parents.chain(children).map(|other| format!("{other}(1)")).collect();
    roff.text([roman(others.join(", "))]);
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// Where the first line stands that is a heading.
fn first_heading(text: &str) -> usize {
    let mut at = 0;
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        if is_heading(line.trim_end(), lines.peek()) {
            break;
        }
        at += line.len();
    }
    at
}

/// A few words that end in a colon, before a line that is indented.
fn is_heading(line: &str, next: Option<&&str>) -> bool {
    let few = line.starts_with(char::is_uppercase) && line.split(' ').count() <= 4;
    few && line.ends_with(':') && next.is_some_and(|next| next.starts_with(' '))
}

/// Text as `--help` shows it: headings, lines that are indented and are kept, and paragraphs.
fn prose(roff: &mut Roff, text: &str) {
    let mut blocks = Blocks { roff, open: Block::Nothing };
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek();
        match line {
            "" if blocks.open == Block::Example && next.is_some_and(|next| next.starts_with(' ')) => {
                blocks.roff.text([roman("")])
            }
            "" => blocks.begin(Block::Gap),
            line if line.starts_with(' ') => blocks.begin(Block::Example).text([roman(line)]),
            line if is_heading(line, next) => {
                blocks.begin(Block::Heading).control("SH", [line.trim_end_matches(':').to_uppercase().as_str()])
            }
            line => blocks.begin(Block::Paragraph).text([roman(line)]),
        };
    }
    blocks.begin(Block::Nothing);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Nothing,
    Heading,
    Gap,
    Example,
    Paragraph,
}

/// The end of a page in the making, and what its last line belongs to.
struct Blocks<'a> {
    roff: &'a mut Roff,
    open: Block,
}

impl Blocks<'_> {
    /// Goes over to the next block, or on with the same one.
    fn begin(&mut self, next: Block) -> &mut Roff {
        let open = self.open;
        if open == Block::Example && next != Block::Example {
            self.roff.control("EE", []);
        }
        match next {
            Block::Example if open != Block::Example => self.roff.control("EX", []),
            Block::Paragraph if matches!(open, Block::Gap | Block::Example) => self.roff.control("PP", []),
            _ => self.roff,
        };
        // Nothing is between a heading and what stands first.
        self.open = if open == Block::Nothing && next == Block::Gap { open } else { next };
        self.roff
    }
}

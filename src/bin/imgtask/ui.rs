//! What the user sees: results on stdout, everything else on stderr.
//!
//! Bars and colours only where a terminal is; plain lines otherwise.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imgtask::{Error, LogLevel, LogSink, State, Task};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::duration;
use crate::exit::{Exit, Outcome, Problem};
use crate::settings::{Set, Source};
use crate::shell::clean;

/// Without a terminal: a line when the state changes, and each so many per cent.
const LINE_EVERY_PERCENT: i32 = 25;
/// Columns that a bar takes beside the name of its task: a spinner, a gauge, a state and a time.
const BESIDE_NAME: usize = 55;
/// A service's own status word is shown so far, characters.
const LONGEST_WORD: usize = 32;

/// The faces of a word. Names say what a thing is, not how it looks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Face {
    Good,
    Bad,
    Hint,
    Strong,
}

impl Face {
    fn code(self) -> &'static str {
        match self {
            Face::Good => "32",
            Face::Bad => "1;31",
            Face::Hint => "36",
            Face::Strong => "1",
        }
    }
}

/// When words are coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Color {
    /// On a terminal.
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    pub(crate) fn read(text: &str) -> Result<Color, String> {
        match text {
            "auto" => Ok(Color::Auto),
            "always" => Ok(Color::Always),
            "never" => Ok(Color::Never),
            _ => Err("give auto, always or never".to_string()),
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Color::Auto => "auto",
            Color::Always => "always",
            Color::Never => "never",
        }
    }

    /// What holds: `--color` and `IMGTASK_COLOR`, then `NO_COLOR` (no-color.org), `CLICOLOR_FORCE` and `CLICOLOR`, then the file.
    pub(crate) fn decide(said: Option<Set<Color>>) -> Color {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let on = |name| variable(name).is_some_and(|value| value != "0");
        match said {
            Some(Set { value, source: Source::Argument(_) | Source::Variable(_) }) => value,
            _ if variable("NO_COLOR").is_some() => Color::Never,
            _ if on("CLICOLOR_FORCE") => Color::Always,
            _ if variable("CLICOLOR").is_some() && !on("CLICOLOR") => Color::Never,
            said => said.map_or(Color::Auto, |said| said.value),
        }
    }

    fn on(self, is_terminal: bool) -> Paint {
        Paint(match self {
            Color::Auto => is_terminal && !is_dumb(),
            Color::Always => true,
            Color::Never => false,
        })
    }
}

/// Rows and columns of the terminal that progress is drawn on.
pub(crate) fn window() -> Option<(usize, usize)> {
    let (rows, columns) = console::Term::stderr().size_checked()?;
    Some((rows.into(), columns.into()))
}

/// A terminal that says that it cannot, or, on Unix, does not say what it can.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").filter(|term| !term.is_empty()).map_or(cfg!(unix), |term| term == "dumb")
}

/// How a command speaks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Voice {
    pub(crate) quiet: bool,
    /// 0 nothing of the log, 1 what was asked and answered, 2 every look.
    pub(crate) verbose: u8,
    pub(crate) color: Color,
}

/// Whether words are coloured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    /// `text` in its face.
    pub(crate) fn on(self, face: Face, text: &str) -> String {
        if self.0 { format!("\x1b[{}m{text}\x1b[0m", face.code()) } else { text.to_string() }
    }
}

/// Where a command speaks.
pub(crate) struct Ui {
    voice: Voice,
    paint: Paint,
    /// Bars are drawn.
    live: bool,
    quiet: bool,
    bars: MultiProgress,
    /// Nobody reads the results any more.
    unread: AtomicBool,
}

impl Ui {
    pub(crate) fn new(voice: Voice) -> Ui {
        let is_terminal = io::stderr().is_terminal();
        let live = !voice.quiet && is_terminal && !is_dumb();
        let target = if live { ProgressDrawTarget::stderr_with_hz(15) } else { ProgressDrawTarget::hidden() };
        Ui {
            voice,
            paint: voice.color.on(is_terminal),
            live,
            quiet: voice.quiet,
            bars: MultiProgress::with_draw_target(target),
            unread: AtomicBool::new(false),
        }
    }

    /// What results are coloured with.
    pub(crate) fn out_paint(&self) -> Paint {
        self.voice.color.on(io::stdout().is_terminal())
    }

    /// The library's log, as far as it is wanted: lines on stderr, each with the time (UTC). The library leaves keys, the queries of
    /// links and bodies out of them.
    pub(crate) fn log(&self) -> (LogLevel, Option<LogSink>) {
        let level = match self.voice.verbose {
            0 => return (LogLevel::Off, None),
            1 => LogLevel::Info,
            _ => LogLevel::Debug,
        };
        let (bars, live, paint) = (self.bars.clone(), self.live, self.paint);
        let sink = move |level: LogLevel, line: &str| say(&bars, live, &log_line(paint, level, line));
        (level, Some(Arc::new(sink)))
    }

    /// A line of the command's own among those of the log.
    pub(crate) fn verbose(&self, text: &str) {
        if self.voice.verbose > 0 {
            say(&self.bars, self.live, &log_line(self.paint, LogLevel::Info, text));
        }
    }

    /// One line of a result, on stdout. A reader that went away is no problem.
    pub(crate) fn result(&self, line: &str) -> Outcome<()> {
        let written = self.bars.suspend(|| {
            let mut out = io::stdout().lock();
            writeln!(out, "{line}").and_then(|()| out.flush())
        });
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.unread.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(_) => Err(Problem::new(Exit::File, "cannot write the result to the standard output")),
            Ok(()) => Ok(()),
        }
    }

    /// Whether the reader of the results went away.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Lines that are drawn over and over; `None` without a terminal.
    pub(crate) fn panel(&self) -> Option<Panel<'_>> {
        self.live.then(|| Panel { ui: self, rows: Vec::new() })
    }

    /// One line about what goes on, on stderr; not with `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.say(&clean(text));
        }
    }

    /// As `note`, with a tick before it.
    pub(crate) fn done(&self, text: &str) {
        if !self.quiet {
            let tick = if self.live { format!("{} ", self.paint.on(Face::Good, "✓")) } else { String::new() };
            self.say(&format!("{tick}{}", clean(text)));
        }
    }

    /// Why the result is missing, and what helps. Shown with `--quiet` too.
    pub(crate) fn problem(&self, problem: &Problem) {
        self.say(&format!("{} {}", self.paint.on(Face::Bad, "error:"), clean(&problem.message)));
        for hint in &problem.hints {
            self.say(&format!("  {} {}", self.paint.on(Face::Hint, "hint:"), clean(hint)));
        }
    }

    /// Something the user did not ask for but should know. Shown with `--quiet` too.
    pub(crate) fn warn(&self, text: &str) {
        self.say(&format!("{} {}", self.paint.on(Face::Hint, "note:"), clean(text)));
    }

    /// The progress of one task under a name. `width` keeps several names in line.
    pub(crate) fn track(&self, name: &str, width: usize) -> Track<'_> {
        let name = format!("{:width$}", clean(name));
        let bar = self.live.then(|| {
            // Hidden until it is as it is to be seen.
            let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::hidden());
            bar.set_prefix(name.clone());
            self.draw(&bar, &name, &Standing { words: "waiting".to_string(), progress: -1, is_state: true });
            let bar = self.bars.add(bar);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Track { ui: self, name, bar, last: Mutex::new(None) }
    }

    /// How far a task is, in one line, however narrow the window is.
    fn draw(&self, bar: &ProgressBar, name: &str, standing: &Standing) {
        let Standing { words, progress, is_state } = standing;
        let fits = *is_state && window().is_none_or(|(_, columns)| columns > name.chars().count() + BESIDE_NAME);
        bar.set_style(self.style(*progress >= 0, fits));
        bar.set_position((*progress).clamp(0, 100) as u64);
        bar.set_message(match (fits, progress) {
            (true, _) => words.clone(),
            (false, 0..) => format!("{words} {progress} %  {name}"),
            (false, _) if *is_state => format!("{words}  {name}"),
            (false, _) => format!("{name}  {words}"),
        });
    }

    fn style(&self, percent: bool, fits: bool) -> ProgressStyle {
        let gauge = match (percent, self.paint.0) {
            (true, true) => "{bar:24.cyan/dim} {pos:>3} %",
            (true, false) => "{bar:24} {pos:>3} %",
            // As wide as the gauge, for services that tell no percentage.
            (false, _) => "                              ",
        };
        let line = match fits {
            true => format!("{{spinner}} {{prefix}}  {gauge}  {{msg:10}} {{elapsed:>4}}"),
            false => "{spinner} {wide_msg}".to_string(),
        };
        ProgressStyle::with_template(&line)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━╸─")
            .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
    }

    fn say(&self, line: &str) {
        say(&self.bars, self.live, line);
    }
}

fn say(bars: &MultiProgress, live: bool, line: &str) {
    let print = || {
        // A closed stderr leaves nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{line}");
    };
    if live { bars.suspend(print) } else { print() }
}

/// `2026-11-22T14:09:20.123Z info  fetch: ...`
fn log_line(paint: Paint, level: LogLevel, line: &str) -> String {
    let (word, face) = match level {
        LogLevel::Error => ("error", Face::Bad),
        LogLevel::Warn => ("warn", Face::Bad),
        LogLevel::Info => ("info", Face::Good),
        _ => ("debug", Face::Hint),
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{} {} {}", duration::utc(since), paint.on(face, &format!("{word:<5}")), clean(line))
}

/// What a look said of a task.
struct Standing {
    /// The state in a word, the service's own word too where nobody knows what it means; or why the look failed.
    words: String,
    /// -1: not known.
    progress: i32,
    is_state: bool,
}

impl Standing {
    fn of(look: Result<&Task, &Error>) -> Standing {
        let task = match look {
            Ok(task) => task,
            Err(error) => {
                let words = format!("no answer, tried again: {}", error.message());
                return Standing { words: clean(&words), progress: -1, is_state: false };
            }
        };
        let words = match (task.state, task.provider_status.as_str()) {
            (State::Unknown, word) if !word.is_empty() => {
                format!("{} ({})", task.state, word.chars().take(LONGEST_WORD).collect::<String>())
            }
            (state, _) => state.to_string(),
        };
        Standing { words: clean(&words), progress: task.progress, is_state: true }
    }
}

/// The progress of one task: a bar on a terminal, a line a change otherwise.
pub(crate) struct Track<'a> {
    ui: &'a Ui,
    name: String,
    bar: Option<ProgressBar>,
    /// What the last line said.
    last: Mutex<Option<(String, i32)>>,
}

impl Track<'_> {
    /// A look came back.
    pub(crate) fn look(&self, look: Result<&Task, &Error>) {
        let standing = Standing::of(look);
        if let Some(bar) = &self.bar {
            self.ui.draw(bar, &self.name, &standing);
            return;
        }
        // How it ended is told by what comes of it.
        if look.is_ok_and(|task| task.state.is_final()) {
            return;
        }
        // A log wants the turns, not every per cent.
        let Standing { words, progress, .. } = standing;
        let now = Some((words.clone(), progress.max(0) / LINE_EVERY_PERCENT));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == now {
            return;
        }
        *last = now;
        match progress {
            0.. => self.ui.note(&format!("{}  {words} {progress} %", self.name)),
            _ => self.ui.note(&format!("{}  {words}", self.name)),
        }
    }

    /// The task is over for this command; the bar stays away or stands still.
    pub(crate) fn end(self, word: &str) {
        match self.bar {
            Some(bar) => {
                bar.set_message(word.to_string());
                bar.finish();
            }
            None => self.ui.note(&format!("{}  {word}", self.name)),
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Lines at the foot of the terminal that change in place.
pub(crate) struct Panel<'a> {
    ui: &'a Ui,
    rows: Vec<ProgressBar>,
}

impl Panel<'_> {
    /// What words are coloured with here.
    pub(crate) fn paint(&self) -> Paint {
        self.ui.paint
    }

    /// Draws these lines, each cut to the width of the terminal, in the place of the last ones.
    pub(crate) fn show(&mut self, lines: Vec<String>) {
        while self.rows.len() < lines.len() {
            let row = self.ui.bars.add(ProgressBar::new_spinner());
            row.set_style(ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.rows.push(row);
        }
        for (row, line) in self.rows.iter().zip(lines.into_iter().chain(std::iter::repeat(String::new()))) {
            row.set_message(line);
        }
    }
}

impl Drop for Panel<'_> {
    fn drop(&mut self) {
        for row in &self.rows {
            row.finish_and_clear();
        }
    }
}

/// Rows as a table with its columns in line; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>], paint: Paint) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    rows.iter()
        .enumerate()
        .map(|(index, row)| if index == 0 { paint.on(Face::Strong, &line(row)) } else { line(row) })
        .collect()
}

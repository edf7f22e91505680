//! The live table: how many tasks stand where, how fast it goes, how long it will take.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use imgtask::{State, Stats};

use super::tally::{Tally, grouped};
use crate::duration;
use crate::shell::clean;
use crate::ui::{Face, Panel};

/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(200);
/// The rates are those of this time.
const LOOK_BACK: Duration = Duration::from_secs(20);
/// Finished tasks that are shown.
const LAST: usize = 5;

pub(super) struct Table<'a> {
    panel: Panel<'a>,
    drawn: Option<Instant>,
    last: VecDeque<String>,
    /// When, looks sent, references settled.
    samples: VecDeque<(Instant, u64, u64)>,
}

/// The tasks that are watched, by where they were last seen.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Watched {
    pub(super) unseen: u64,
    pub(super) queued: u64,
    pub(super) running: u64,
}

impl Watched {
    /// The count for tasks last seen in this state.
    pub(super) fn of(&mut self, state: State) -> &mut u64 {
        match state {
            State::Queued => &mut self.queued,
            State::Running => &mut self.running,
            _ => &mut self.unseen,
        }
    }
}

impl<'a> Table<'a> {
    pub(super) fn new(panel: Panel<'a>) -> Table<'a> {
        Table { panel, drawn: None, last: VecDeque::new(), samples: VecDeque::new() }
    }

    /// Remembers a task that is over.
    pub(super) fn ended(&mut self, cells: &[&str], good: bool) {
        let line = cells.iter().map(|cell| clean(cell)).collect::<Vec<_>>().join("  ");
        let face = if good { Face::Good } else { Face::Bad };
        let mark = self.panel.paint().on(face, if good { "✓" } else { "✗" });
        self.last.push_back(format!("{mark} {line}"));
        if self.last.len() > LAST {
            self.last.pop_front();
        }
    }

    /// Whether it is time to draw.
    pub(super) fn is_due(&self) -> bool {
        self.drawn.is_none_or(|drawn| drawn.elapsed() >= EVERY)
    }

    /// Draws. `total`: the tasks of the list, and whether that is more than an estimate.
    pub(super) fn draw(&mut self, tally: &Tally, watched: Watched, stats: &Stats, total: Option<(u64, bool)>) {
        let now = Instant::now();
        self.drawn = Some(now);
        self.samples.push_back((now, stats.looks, tally.settled()));
        while self.samples.len() > 2 && self.samples.front().is_some_and(|(at, ..)| now - *at > LOOK_BACK) {
            self.samples.pop_front();
        }
        let (looks, settled) = self.rates();
        let paint = self.panel.paint();
        let head = |text: &str| paint.on(Face::Strong, &format!("{text:<6}"));
        let good = tally.ended(State::Succeeded.name());
        let mut lines = vec![
            format!(
                "{} {} not seen yet · {} queued · {} running",
                head("OPEN"),
                grouped(watched.unseen),
                grouped(watched.queued),
                grouped(watched.running),
            ),
            format!(
                "{} {} succeeded · {} without success · {} passed over",
                head("DONE"),
                grouped(good),
                grouped(tally.over() - good),
                grouped(tally.skipped + tally.duplicates),
            ),
            format!(
                "{} {} a minute of {} allowed · one sweep {}{}",
                head("LOOKS"),
                grouped((looks * 60.0).round() as u64),
                grouped(stats.gate_per_minute.into()),
                duration::words(Duration::from_millis(stats.sweep.as_millis() as u64)),
                pause(stats),
            ),
            format!("{} {}", head("TIME"), time(tally, total, settled)),
        ];
        lines.extend(self.last.iter().map(|line| format!("       {line}")));
        self.panel.show(lines);
    }

    /// Looks and settled references a second, lately.
    fn rates(&self) -> (f64, f64) {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else { return (0.0, 0.0) };
        // The first requests go at once; no rate is to be read from them.
        let seconds = (last.0 - first.0).as_secs_f64().max(5.0);
        (last.1.saturating_sub(first.1) as f64 / seconds, last.2.saturating_sub(first.2) as f64 / seconds)
    }
}

fn pause(stats: &Stats) -> String {
    let limited = match stats.rate_limited {
        0 => String::new(),
        count => format!(" · {} times refused for the rate", grouped(count)),
    };
    match stats.gate_wait {
        wait if wait >= Duration::from_secs(1) => format!("{limited} · next in {}", duration::words(wait)),
        _ => limited,
    }
}

/// `1 min 5 s · 24 % of 50,000 · about 3 min left`.
fn time(tally: &Tally, total: Option<(u64, bool)>, per_second: f64) -> String {
    let mut text = duration::words(Duration::from_secs(tally.begun.elapsed().as_secs()));
    let Some((total, known)) = total.filter(|(total, _)| *total > 0) else { return text };
    let settled = tally.settled().min(total);
    let about = if known { "" } else { "about " };
    text += &format!(" · {} % of {about}{}", settled * 100 / total, grouped(total));
    let left = total - settled;
    if left > 0 && per_second > 0.0 {
        let seconds = (left as f64 / per_second).min(1e9);
        text += &format!(" · about {} left", duration::words(Duration::from_secs(seconds.ceil() as u64)));
    }
    text
}

//! From the list to the manifest: one thread takes references while there is room for them, and the client's events.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use imgtask::{Delivery, Error, Event, EventKind, Goal, Images, Job, PathPattern, SavedPicture, State, Status, Task};
use serde::Serialize;

use super::Watch;
use super::list::{List, Next};
use super::manifest::{Entry, Manifest, is_settled};
use super::memory::{Fingerprint, Recent};
use super::table::{Table, Watched};
use super::tally::Tally;
use crate::exit::{Exit, Outcome, Problem, why};
use crate::interrupt;
use crate::lines::Line;
use crate::report::{TaskReport, to_line};
use crate::service::Session;
use crate::shell::row;
use crate::ui::Ui;
use crate::wait::shown;

/// Tasks that are watched at a time, at most, when nobody says.
const MOST_OPEN: u64 = 10_000;
/// And at least, however slow the service is.
const FEWEST_OPEN: u64 = 16;
/// A sweep over the open tasks is to take no longer than this part of the time that each has.
const SWEEPS_IN_TIME: u64 = 4;
/// The longest wait for an event, so that everything else gets its turn.
const PATIENCE: Duration = Duration::from_millis(100);
/// Lines of the list taken before the next event.
const LINES_AT_ONCE: usize = 256;
/// Final events are acknowledged together: each time the manifest is brought to the disk first.
const ACKNOWLEDGED_AT_ONCE: usize = 256;
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(250);
/// How long calls under way have to end when the command does.
const FAREWELL: Duration = Duration::from_secs(5);

/// A task that is being watched.
struct Open {
    reference: Box<str>,
    line: u64,
    state: State,
    files: Vec<(usize, SavedPicture)>,
}

pub(super) struct Watcher<'a> {
    ui: &'a Ui,
    session: &'a Session,
    asked: &'a Watch,
    path: Option<PathPattern>,
    list: List,
    /// The list has nothing more.
    ended: bool,
    manifest: Option<Manifest>,
    recent: Recent,
    open: HashMap<u64, Open>,
    watched: Watched,
    /// Final events that the journal has not been told of yet.
    delivered: Vec<Event>,
    acknowledged: Instant,
    /// How many tasks may be open.
    room: usize,
    measured: Option<Instant>,
    /// Somebody was told that the service does not answer.
    told_outage: bool,
    tally: Tally,
    table: Option<Table<'a>>,
    exit: Exit,
    /// Why it ends before the list does.
    enough: Option<Problem>,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(
        ui: &'a Ui,
        session: &'a Session,
        asked: &'a Watch,
        path: Option<PathPattern>,
        list: List,
        manifest: Option<Manifest>,
    ) -> Watcher<'a> {
        Watcher {
            ui,
            session,
            asked,
            path,
            list,
            ended: false,
            manifest,
            recent: Recent::default(),
            open: HashMap::new(),
            watched: Watched::default(),
            delivered: Vec::new(),
            acknowledged: Instant::now(),
            room: FEWEST_OPEN as usize,
            measured: None,
            told_outage: false,
            tally: Tally::new(),
            table: ui.panel().map(Table::new),
            exit: Exit::Done,
            enough: None,
        }
    }

    /// Until the list has ended and every task of it is over, or somebody has had enough.
    pub(super) fn watch(&mut self) -> Outcome {
        self.resume()?;
        while !(self.ended && self.open.is_empty()) && self.enough.is_none() && !interrupt::pressed() {
            self.measure();
            let more = self.fill()?;
            // With lines waiting to be passed over nobody waits for an event.
            let patience = if more { Duration::ZERO } else { PATIENCE };
            if let Some(event) = self.next_event(patience)? {
                self.take(event)?;
            }
            self.acknowledge(false)?;
            if self.ui.is_unread() && self.manifest.is_none() && self.path.is_none() {
                break;
            }
        }
        Ok(Exit::Done)
    }

    /// Takes up what an earlier run has left open, but not what it wrote into the manifest right before its end.
    fn resume(&mut self) -> Outcome<()> {
        if self.asked.journal.is_none() {
            return Ok(());
        }
        let (session, manifest) = (self.session, &self.manifest);
        let mut keep = |reference: &str, _: &str| {
            let id = session.client.task_id(reference).unwrap_or_default();
            !manifest.as_ref().is_some_and(|manifest| manifest.is_done(reference) || manifest.is_done(&id))
        };
        let count = session.client.resume_with(self.wants_progress(), &mut keep)? as u64;
        // Known before the list is read, which names them again.
        while self.tally.resumed < count && !interrupt::pressed() {
            if let Some(event) = self.next_event(PATIENCE)? {
                self.take(event)?;
            }
        }
        Ok(())
    }

    fn next_event(&self, patience: Duration) -> Outcome<Option<Event>> {
        match self.session.client.next_event(Some(patience)) {
            // Something was read, or Ctrl-C.
            Err(error) if error.status() == Status::Cancelled => Ok(None),
            told => Ok(told?),
        }
    }

    /// Takes references from the list while there is room. Whether there is more to take at once.
    fn fill(&mut self) -> Outcome<bool> {
        for _ in 0..LINES_AT_ONCE {
            if self.ended || self.open.len() >= self.room {
                return Ok(false);
            }
            match self.list.next() {
                Next::Line(Line::Task(reference, line)) => self.begin(reference, line)?,
                Next::Line(Line::Unreadable(line, reason)) => {
                    let message = format!("{} is no task: {reason}", self.list.place(line));
                    self.refuse("", line, &Error::new(Status::InvalidArgument, message))?;
                }
                Next::Line(Line::Broken(reason)) => {
                    self.ended = true;
                    self.exit = self.exit.or_graver(Exit::File);
                    self.ui.problem(&Problem::new(Exit::File, format!("the list cannot be read on: {reason}")));
                }
                Next::Later => return Ok(false),
                Next::End => self.ended = true,
            }
        }
        Ok(true)
    }

    /// Begins to watch a task, unless it is known.
    fn begin(&mut self, reference: String, line: u64) -> Outcome<()> {
        let client = &self.session.client;
        let id = match client.task_id(&reference) {
            Ok(id) => id,
            Err(error) => {
                let message = format!("{}: {}", self.list.place(line), error.message());
                return self.refuse(&reference, line, &Error::new(error.status(), message));
            }
        };
        let name = if id.is_empty() { &reference } else { &id };
        if !self.recent.insert(Fingerprint::of(&self.session.provider, name)) {
            self.tally.duplicates += 1;
            return Ok(());
        }
        if self.manifest.as_ref().is_some_and(|manifest| manifest.is_done(name) || manifest.is_done(&reference)) {
            self.tally.skipped += 1;
            return Ok(());
        }
        let mut job = Job::reference(&*reference, if self.path.is_some() { Goal::File } else { Goal::Finished });
        job.progress = self.wants_progress();
        job.timeout = self.asked.timeout;
        job.replace = self.asked.force;
        job.path = self.path.as_ref().map(|path| path.as_path().to_path_buf());
        if self.asked.all && self.path.is_some() {
            job.images = Images::All;
        }
        let op = client.start(job)?;
        self.opened(op, &reference, line);
        Ok(())
    }

    fn opened(&mut self, op: u64, reference: &str, line: u64) {
        self.watched.unseen += 1;
        let open = Open { reference: reference.into(), line, state: State::Unknown, files: Vec::new() };
        self.open.insert(op, open);
    }

    fn wants_progress(&self) -> bool {
        self.asked.progress || self.table.is_some()
    }

    fn take(&mut self, event: Event) -> Outcome<()> {
        match event.kind {
            EventKind::Resumed => {
                let task = event.task.unwrap_or_else(|| Task::unseen("", ""));
                let name = if task.id.is_empty() { &task.poll_ref } else { &task.id };
                self.recent.insert(Fingerprint::of(&self.session.provider, name));
                self.tally.resumed += 1;
                self.opened(event.op, &task.poll_ref, 0);
                Ok(())
            }
            EventKind::Progress => self.progress(&event),
            EventKind::Image => {
                if let (Some(open), Some(Delivery::Saved(saved))) = (self.open.get_mut(&event.op), event.image) {
                    open.files.push((event.image_index, saved));
                }
                Ok(())
            }
            EventKind::Final => self.end(event),
            _ => Ok(()),
        }
    }

    /// A task moved on.
    fn progress(&mut self, event: &Event) -> Outcome<()> {
        let (Some(open), Some(task)) = (self.open.get_mut(&event.op), &event.task) else { return Ok(()) };
        *self.watched.of(open.state) -= 1;
        open.state = task.state;
        *self.watched.of(open.state) += 1;
        if !self.asked.progress {
            return Ok(());
        }
        if self.asked.json {
            let line = EventReport {
                event: "progress",
                line: (open.line > 0).then_some(open.line),
                task: TaskReport::new(&self.session.provider, task).with_reference(&open.reference),
            };
            return self.ui.result(&to_line(&line)?);
        }
        let percent = if task.progress >= 0 { format!("{} %", task.progress) } else { String::new() };
        self.ui.result(&row(&[&task.id, task.state.name(), &percent]))
    }

    /// A task is over: on the disk first, then told, then acknowledged when it is settled.
    fn end(&mut self, mut event: Event) -> Outcome<()> {
        let open = self.open.remove(&event.op);
        if let Some(open) = &open {
            *self.watched.of(open.state) -= 1;
        }
        let mut open =
            open.unwrap_or_else(|| Open { reference: "".into(), line: 0, state: State::Unknown, files: Vec::new() });
        // Its end is that of the command, and not its own.
        if event.status() == Status::Cancelled {
            self.tally.end("left open");
            return Ok(());
        }
        if let Some(Delivery::Saved(saved)) = event.image.take() {
            open.files.push((event.image_index, saved));
        }
        let task = event.task.take().unwrap_or_else(|| Task::unseen("", &*open.reference));
        // The job of a task that failed ends with the error that there is no image to save.
        let error =
            event.error.take().filter(|_| !matches!(task.state, State::Failed | State::Cancelled | State::Expired));
        if let Some(manifest) = &mut self.manifest {
            let entry = Entry::new(&self.session.provider, &open.reference, &task, &open.files, error.as_ref());
            if !manifest.add(&entry)? {
                self.tally.end("left open");
                return Ok(());
            }
        }
        self.tally.files += open.files.len() as u64;
        self.tally.bytes += open.files.iter().map(|(_, saved)| saved.info.len).sum::<u64>();
        self.tell(&open, &task, error.as_ref())?;
        // What another try may mend stays in the journal, which brings it back.
        if self.asked.journal.is_some()
            && is_settled(task.state.name(), error.as_ref().map(|error| error.status().name()))
        {
            self.delivered.push(event);
        }
        if let Some(error) = error.filter(|error| error.http_status() == 401 && self.enough.is_none()) {
            // No other task would fare better, and thousands of refused requests may cost the key.
            self.enough = Some(Problem::from(error));
        }
        Ok(())
    }

    /// Tells how a task ended.
    fn tell(&mut self, open: &Open, task: &Task, error: Option<&Error>) -> Outcome<()> {
        let (word, exit) = match error {
            None => (task.state.name(), Exit::of_state(task.state)),
            Some(error) => (error.status().name(), Exit::of_status(error.status())),
        };
        self.exit = self.exit.or_graver(exit);
        self.tally.end(word);
        let name = if task.id.is_empty() { shown(&open.reference) } else { task.id.clone() };
        let mut cells = vec![name, word.to_string()];
        match error {
            Some(error) => cells.push(error.message().to_string()),
            None if exit != Exit::Done => cells.push(why(task)),
            None if self.path.is_some() => {
                cells.extend(open.files.iter().map(|(_, saved)| saved.path.display().to_string()))
            }
            None => cells.extend(task.images.iter().map(|image| match image.is_inline() {
                true => "inline".to_string(),
                false => image.url().to_string(),
            })),
        }
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        if let Some(table) = &mut self.table {
            table.ended(&cells, exit == Exit::Done);
        }
        if self.asked.json {
            let mut report = TaskReport::new(&self.session.provider, task).with_reference(&open.reference);
            for (index, saved) in &open.files {
                report = report.with_file(*index, saved);
            }
            if let Some(error) = error {
                report = report.with_error(error);
            }
            let line = EventReport { event: "final", line: (open.line > 0).then_some(open.line), task: report };
            return self.ui.result(&to_line(&line)?);
        }
        // Of saved files the table shows the last ones; what went wrong is to stay, and so are links.
        if exit != Exit::Done || self.path.is_none() || self.table.is_none() || !io::stdout().is_terminal() {
            self.ui.result(&row(&cells))?;
        }
        Ok(())
    }

    /// A line of the list that is no task.
    fn refuse(&mut self, reference: &str, line: u64, error: &Error) -> Outcome<()> {
        let task = Task::unseen("", reference);
        let open = Open { reference: reference.into(), line, state: State::Unknown, files: Vec::new() };
        self.tell(&open, &task, Some(error))
    }

    /// Lets the journal forget what is over, once the manifest holds it.
    fn acknowledge(&mut self, now: bool) -> Outcome<()> {
        let waits = self.delivered.len() < ACKNOWLEDGED_AT_ONCE && self.acknowledged.elapsed() < ACKNOWLEDGED_WITHIN;
        if self.delivered.is_empty() || waits && !now {
            return Ok(());
        }
        if let Some(manifest) = &self.manifest {
            manifest.sync()?;
        }
        for mut event in self.delivered.drain(..) {
            event.acknowledge();
        }
        self.acknowledged = Instant::now();
        Ok(())
    }

    /// Finds how many tasks can be open, and draws the table.
    fn measure(&mut self) {
        let is_due = self.measured.is_none_or(|measured| measured.elapsed() >= Duration::from_secs(1));
        let table = self.table.as_ref().is_some_and(Table::is_due);
        if !is_due && !table {
            return;
        }
        let stats = self.session.client.stats();
        if is_due {
            self.measured = Some(Instant::now());
            self.room = self.asked.max_pending.map_or_else(
                || room(stats.gate_per_minute, self.asked.time(&self.session.provider)),
                |most| most as usize,
            );
            self.tell_outage(stats.consecutive_failures);
        }
        if let Some(table) = self.table.as_mut().filter(|_| table) {
            table.draw(&self.tally, self.watched, &stats, self.list.total());
        }
    }

    /// Once an outage; a single look that fails is none.
    fn tell_outage(&mut self, failures: u64) {
        match (self.told_outage, failures) {
            (false, 2..) => {
                let reason = self.session.client.outage().unwrap_or_default();
                self.ui.note(&format!("no answer, tried again: {reason}"));
                self.told_outage = true;
            }
            (true, 0) => {
                self.ui.note("answered again");
                self.told_outage = false;
            }
            _ => {}
        }
    }

    /// Ends what is under way, keeps what has come of it, and says how it went.
    pub(super) fn leave(&mut self) -> Outcome {
        let client = &self.session.client;
        client.close(FAREWELL);
        while let Ok(Some(event)) = client.next_event(Some(Duration::ZERO)) {
            self.take(event)?;
        }
        self.acknowledge(true)?;
        // Brings the journal to the disk.
        self.session.client.close(FAREWELL);
        self.table = None;
        self.ui.note(&self.tally.summary());
        if let Some(problem) = self.enough.take() {
            return Err(problem.hint("nothing more was looked at; the same command goes on"));
        }
        if interrupt::pressed() {
            return Ok(Exit::Interrupted);
        }
        Ok(self.exit)
    }
}

/// How many tasks can be open so that each is looked at several times in its time.
fn room(per_minute: u32, time: Duration) -> usize {
    let looks = u64::from(per_minute).saturating_mul(time.as_secs()) / 60;
    (looks / SWEEPS_IN_TIME).clamp(FEWEST_OPEN, MOST_OPEN) as usize
}

/// What `--json` prints of an event.
#[derive(Debug, Serialize)]
struct EventReport<'a> {
    event: &'static str,
    line: Option<u64>,
    #[serde(flatten)]
    task: TaskReport<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_service_gets_fewer_tasks_at_a_time() {
        assert_eq!(room(300, Duration::from_secs(600)), 750);
        assert_eq!(room(300, Duration::from_secs(1)), FEWEST_OPEN as usize);
        assert_eq!(room(u32::MAX, Duration::from_secs(u64::MAX)), MOST_OPEN as usize);
    }
}

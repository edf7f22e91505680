//! Which look comes next, of thousands of tasks that share one gate.

use std::sync::Arc;

use super::alarms::{Alarms, grow};
use super::gate::Pass;
use super::queues::Queues;
use super::{Durations, End, Gate, Jitter, Model, Seen, Spacing, Step, Timing, Watch};

/// What one client knows of its service's pace.
#[derive(Debug)]
pub(crate) struct Pace {
    pub(crate) gate: Gate,
    pub(crate) durations: Durations,
}

/// How a task begins to be watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// When it was submitted. For a foreign task whose age nobody knows: now.
    pub(crate) born_ms: u64,
    /// Our own submit: the first look comes late, and "not found" may mean "not yet".
    pub(crate) ours: bool,
    pub(crate) deadline_ms: u64,
    pub(crate) model: Model,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Submit; the schedule has forgotten the key until [`Schedule::watch`].
    Submit { key: u32, pass: Pass },
    /// Look; then call [`Schedule::after`].
    Look { key: u32, pass: Pass, last: bool },
    /// The watching is over without a look, and the key forgotten.
    End { key: u32, end: End },
    /// Nothing before that time, unless something happens.
    Rest { until_ms: Option<u64> },
}

/// How the looks keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// Tasks watched.
    pub(crate) waiting: usize,
    /// The time in which the gate admits a look at each of them.
    pub(crate) sweep_ms: u64,
    /// How long ago a task was last looked at.
    pub(crate) staleness_p50_ms: Option<u64>,
    pub(crate) staleness_p95_ms: Option<u64>,
    /// A sweep takes longer than the longest interval.
    pub(crate) saturated: bool,
}

/// The tasks of one client, by the keys of its fleet. Times are milliseconds on the caller's clock, which never runs back.
#[derive(Debug)]
pub(crate) struct Schedule {
    timing: Arc<Timing>,
    jitter: Jitter,
    entries: Vec<Entry>,
    waiting: usize,
    alarms: Alarms,
    queues: Queues<QUEUES>,
    /// Looks given so far, a clock that stands still while the gate is closed.
    looks: u32,
    /// The best of the last ranking, worst first.
    round: Vec<u32>,
    /// [`ranked`] places.
    ranks: Vec<u64>,
    /// What a look is expected to take.
    allowance_ms: u64,
    /// For comparison: all looks in the order in which they are due.
    #[cfg(test)]
    pub(crate) by_due_time: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    watch: Watch,
    /// The count of looks when it became due.
    ticket: u32,
    model: Model,
    state: State,
    /// Whether the last answer is recent enough to call the task late at its deadline. Found when its last look is due,
    /// because a sweep gets shorter while tasks end.
    recent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Unknown here, or a submit that waits for its turn.
    Free,
    /// Its alarm says when it is due.
    Waiting,
    /// Due; its alarm says when the time for its last look has come, and for the last look, when it is over.
    Due,
    Looking,
}

/// The queues, in the order of service.
const SUBMITS: usize = 0;
const LASTS: usize = 1;
/// Whose deadline comes before the next sweep is over.
const NEWS: usize = 2;
const FIRSTS: usize = 3;
const DUES: usize = 4;
const QUEUES: usize = 5;

/// What a look is taken to last before one has been measured.
const FIRST_ALLOWANCE_MS: u64 = 250;
/// A task whose first look is its last one has at least this long to get it, however short its time is.
const SHORTEST_MS: u64 = 1_000;
/// A ranking is good for this share of the backlog.
const ROUND_SHARE: usize = 16;

impl Schedule {
    pub(crate) fn new(timing: Arc<Timing>, seed: u64) -> Schedule {
        Schedule {
            timing,
            jitter: Jitter::new(seed),
            entries: Vec::new(),
            waiting: 0,
            alarms: Alarms::default(),
            queues: Queues::default(),
            looks: 0,
            round: Vec::new(),
            ranks: Vec::new(),
            allowance_ms: FIRST_ALLOWANCE_MS,
            #[cfg(test)]
            by_due_time: false,
        }
    }

    /// Lines up a submit that the host asked for.
    pub(crate) fn submit(&mut self, key: u32) {
        self.forget(key);
        self.queues.push(SUBMITS, key);
    }

    /// Watches a task from now on.
    pub(crate) fn watch(&mut self, key: u32, start: Start, now_ms: u64) {
        self.forget(key);
        let mut watch = Watch::starting(start, now_ms);
        let at_ms = match watch.first(now_ms, &Spacing::own(&self.timing), self.allowance_ms) {
            Step::Look { at_ms, .. } => at_ms,
            Step::End(_) => now_ms,
        };
        let index = key as usize;
        let entry = Entry { watch, ticket: 0, model: start.model, state: State::Waiting, recent: false };
        if index >= self.entries.len() {
            grow(&mut self.entries, index + 1);
            self.entries.resize(index + 1, Entry { state: State::Free, ..entry.clone() });
        }
        self.entries[index] = entry;
        self.waiting += 1;
        self.alarms.set(key, at_ms);
    }

    /// What to do now. Looks and submits that are not allowed stay where they are.
    pub(crate) fn next(&mut self, now_ms: u64, pace: &mut Pace, looks_allowed: bool, submits_allowed: bool) -> Turn {
        while let Some((at_ms, key)) = self.alarms.first() {
            if at_ms > now_ms {
                break;
            }
            if let Some(turn) = self.ring(key, now_ms, pace, looks_allowed) {
                return turn;
            }
        }
        let looks = looks_allowed && (LASTS..QUEUES).any(|queue| self.queues.len(queue) > 0);
        let submit = self.queues.front(SUBMITS).filter(|_| submits_allowed);
        // A submit may last for minutes: it is no probe where a look can be one.
        let submit = submit.filter(|_| !looks || pace.gate.is_open());
        let alarm_ms = self.alarms.first().map(|(at_ms, _)| at_ms);
        if submit.is_none() && !looks {
            return Turn::Rest { until_ms: alarm_ms };
        }
        let pass = match pace.gate.take(now_ms) {
            Ok(pass) => pass,
            Err(at_ms) => return Turn::Rest { until_ms: Some(alarm_ms.map_or(at_ms, |alarm_ms| alarm_ms.min(at_ms))) },
        };
        if let Some(key) = submit {
            self.queues.remove(key);
            return Turn::Submit { key, pass };
        }
        let key = self.pick(now_ms, pace);
        self.look(key, pass)
    }

    /// What a look showed. `None`: the task is watched on; otherwise the key is forgotten. The gate has been told before.
    pub(crate) fn after(
        &mut self,
        key: u32,
        seen: Seen,
        now_ms: u64,
        pace: &mut Pace,
        allowance_ms: u64,
    ) -> Option<End> {
        self.allowance_ms = allowance_ms;
        let entry = self.entries.get_mut(key as usize).filter(|entry| entry.state == State::Looking)?;
        let spacing = Spacing { timing: &self.timing, learned: Some((&pace.durations, entry.model)) };
        let step = match seen {
            // The gate keeps the time, for all tasks.
            Seen::RateLimited { .. } => entry.watch.held(now_ms, pace.gate.wait_ms(now_ms), allowance_ms),
            seen => entry.watch.after(seen, now_ms, &spacing, &mut self.jitter, allowance_ms),
        };
        match step {
            Step::Look { at_ms, .. } => {
                entry.state = State::Waiting;
                self.alarms.set(key, at_ms);
                None
            }
            Step::End(end) => {
                self.forget(key);
                Some(end)
            }
        }
    }

    /// Between which ages the task has ended, if this moment's look shows that it has; `None` where nobody knows when it began.
    pub(crate) fn lasted(&self, key: u32, now_ms: u64) -> Option<(u64, u64)> {
        self.entries.get(key as usize).filter(|entry| entry.state == State::Looking)?.watch.duration_ms(now_ms)
    }

    /// Watches a task no longer, or takes a submit back.
    pub(crate) fn forget(&mut self, key: u32) {
        self.queues.remove(key);
        self.alarms.remove(key);
        if let Some(entry) = self.entries.get_mut(key as usize).filter(|entry| entry.state != State::Free) {
            entry.state = State::Free;
            self.waiting -= 1;
        }
    }

    /// The time in which the gate admits a look at each watched task.
    pub(crate) fn sweep_of(&self, pace: &Pace) -> u64 {
        self.waiting as u64 * 60_000 / u64::from(pace.gate.budget())
    }

    /// Whether a sweep takes longer than the longest interval.
    pub(crate) fn saturated(&self, pace: &Pace) -> bool {
        self.sweep_of(pace) > self.timing.longest_ms()
    }

    /// For the statistics: goes through all tasks.
    pub(crate) fn outlook(&self, now_ms: u64, pace: &Pace) -> Outlook {
        let watched = self.entries.iter().filter(|entry| entry.state != State::Free);
        let mut stale: Vec<u64> = watched.map(|entry| entry.watch.stale_ms(now_ms)).collect();
        stale.sort_unstable();
        let at = |percent: usize| stale.get((stale.len() * percent / 100).min(stale.len().saturating_sub(1))).copied();
        Outlook {
            waiting: self.waiting,
            sweep_ms: self.sweep_of(pace),
            staleness_p50_ms: at(50),
            staleness_p95_ms: at(95),
            saturated: self.saturated(pace),
        }
    }

    /// An alarm: the task is due, or its last look is, or its time is over.
    fn ring(&mut self, key: u32, now_ms: u64, pace: &mut Pace, looks_allowed: bool) -> Option<Turn> {
        let index = key as usize;
        let sweep_ms = self.sweep_of(pace);
        let entry = &mut self.entries[index];
        let was_due = entry.state == State::Due;
        if was_due && entry.watch.is_last() {
            return Some(self.time_is_over(key, now_ms, pace, looks_allowed));
        }
        if !was_due && entry.watch.is_fresh() && !entry.watch.is_last() {
            // What has been learned may put off the first look.
            let learned = Some((&pace.durations, entry.model));
            let spacing = Spacing { timing: &self.timing, learned };
            if let Step::Look { at_ms, .. } = entry.watch.first(now_ms, &spacing, self.allowance_ms)
                && at_ms > now_ms
            {
                self.alarms.set(key, at_ms);
                return None;
            }
        }
        entry.state = State::Due;
        let deadline_ms = entry.watch.deadline_ms();
        let last_ms = deadline_ms.saturating_sub(self.allowance_ms);
        let (queue, at_ms) = if entry.watch.is_last() || last_ms <= now_ms {
            let spacing = Spacing { timing: &self.timing, learned: Some((&pace.durations, entry.model)) };
            entry.recent = entry.watch.seen_within(deadline_ms.max(now_ms), &spacing, sweep_ms);
            entry.watch.set_last();
            // Also when all alarms come late, because the process stood still, there is this moment for it.
            let late = looks_allowed && deadline_ms <= now_ms;
            let shortest_ms = if late || !was_due && entry.watch.is_fresh() { now_ms + SHORTEST_MS } else { 0 };
            (LASTS, deadline_ms.max(shortest_ms).max(now_ms + 1))
        } else if entry.watch.wants_news(now_ms, sweep_ms) {
            (NEWS, last_ms)
        } else {
            if !was_due {
                entry.ticket = self.looks;
            }
            let queue = if entry.watch.is_fresh() { FIRSTS } else { DUES };
            #[cfg(test)]
            let queue = if self.by_due_time { DUES } else { queue };
            let news_ms = entry.watch.news_ms(sweep_ms);
            (queue, if news_ms > now_ms { news_ms.min(last_ms) } else { last_ms })
        };
        if self.queues.of(key) != Some(queue) {
            self.queues.push(queue, key);
        }
        self.alarms.set(key, at_ms);
        None
    }

    /// The deadline of a task whose last look did not come. Nobody is told that it is late on the strength of an old look.
    fn time_is_over(&mut self, key: u32, now_ms: u64, pace: &mut Pace, looks_allowed: bool) -> Turn {
        let recent = self.entries[key as usize].recent;
        if !recent
            && looks_allowed
            && let Ok(pass) = pace.gate.take(now_ms)
        {
            return self.look(key, pass);
        }
        self.forget(key);
        Turn::End { key, end: if recent { End::TimedOut } else { End::Starved } }
    }

    fn look(&mut self, key: u32, pass: Pass) -> Turn {
        self.queues.remove(key);
        self.alarms.remove(key);
        self.looks = self.looks.wrapping_add(1);
        let entry = &mut self.entries[key as usize];
        entry.state = State::Looking;
        entry.watch.set_looked();
        Turn::Look { key, pass, last: entry.watch.is_last() }
    }

    /// The due task to look at next. One is due.
    fn pick(&mut self, now_ms: u64, pace: &Pace) -> u32 {
        if let Some(key) = self.queues.front(LASTS).or(self.queues.front(NEWS)) {
            return key;
        }
        if self.backlogged(pace) {
            while let Some(key) = self.round.pop() {
                // Stopped since, or its slot has another task, which may well be looked at.
                if matches!(self.queues.of(key), Some(FIRSTS | DUES)) {
                    return key;
                }
            }
            self.rank(now_ms, &pace.durations);
            if let Some(key) = self.round.pop() {
                return key;
            }
        }
        self.round.clear();
        self.queues.front(FIRSTS).or(self.queues.front(DUES)).unwrap_or_default()
    }

    /// Whether more is due than the gate admits in a quarter of an interval: from there on, whom to look at first is worth a
    /// thought.
    fn backlogged(&self, pace: &Pace) -> bool {
        let due = self.queues.len(FIRSTS) + self.queues.len(DUES);
        let backlogged = due as u64 * 60_000 > u64::from(pace.gate.budget()) * self.timing.interval_ms(0) / 4;
        #[cfg(test)]
        let backlogged = backlogged && !self.by_due_time;
        backlogged
    }

    /// Chooses the next few of the backlog: those that would else wait for longer than two sweeps; otherwise the first looks
    /// at foreign tasks, and then those most likely done.
    fn rank(&mut self, now_ms: u64, durations: &Durations) {
        /// Before every likelihood, and still in their order: whole numbers up to this are exact.
        const FIRST: f32 = -((1 << 24) as f32);
        let backlog = self.queues.len(FIRSTS) + self.queues.len(DUES);
        let few = backlog.div_ceil(ROUND_SHARE);
        self.ranks.clear();
        grow(&mut self.ranks, backlog);
        let waited = |key: u32| self.looks.wrapping_sub(self.entries[key as usize].ticket) as usize;
        let mut forced = 0;
        let (mut firsts, mut dues) = (self.queues.iter(FIRSTS).peekable(), self.queues.iter(DUES).peekable());
        // Both at once, those that wait the longest before the others.
        for place in 0..backlog {
            let (first, due) = (firsts.peek().map(|key| waited(*key)), dues.peek().map(|key| waited(*key)));
            let Some(key) = (if first >= due { firsts.next() } else { dues.next() }) else { break };
            // Those before it would go first, with one look each.
            if waited(key) + place + few >= 2 * self.waiting {
                forced = place + 1;
            }
            let entry = &self.entries[key as usize];
            // Of a foreign task nothing is known before its first look; it may be long done.
            let unknown = first >= due && !entry.watch.age_known();
            let rank = if unknown { FIRST + place as f32 } else { entry.watch.pending(now_ms, durations, entry.model) };
            self.ranks.push(ranked(rank, key));
        }
        if forced > 0 {
            self.ranks.truncate(forced.min(few));
        } else {
            if few < backlog {
                self.ranks.select_nth_unstable(few);
                self.ranks.truncate(few);
            }
            self.ranks.sort_unstable();
        }
        self.round.clear();
        grow(&mut self.round, few);
        self.round.extend(self.ranks.iter().rev().map(|rank| *rank as u32));
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.alarms.bytes()
            + self.queues.bytes()
            + self.ranks.capacity() * size_of::<u64>()
            + self.round.capacity() * size_of::<u32>()
    }
}

/// A place among the pending ones as one number: ordered by `pending`, then by the key, which is its lower half. The library
/// sorts such numbers anyway, and sorting anything else would be 14 KB more.
pub(super) fn ranked(pending: f32, key: u32) -> u64 {
    let bits = pending.to_bits();
    let ordered = if pending.is_sign_negative() { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(key)
}

//! The tasks: what each is, and where it stands at a moment. A task does nothing by itself; its state follows from the clock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::Service;
use super::pictures::Canvas;
use super::scenario::Rule;

/// How a task ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Success,
    /// A code of the provider, and its words.
    Failure {
        code: String,
        message: String,
    },
    Cancelled,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Queued,
    /// Still queued for the outside; DimiLinks' legacy route says so in its own word.
    Dispatched,
    Running,
    Finished,
}

/// A task at one moment.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) state: State,
    /// How it ended; only for finished tasks.
    pub(super) fate: Option<Fate>,
    /// 0 to 100.
    pub(super) percent: u8,
    /// Unix seconds of the last change.
    pub(super) changed_at: u64,
}

impl State {
    /// An unfinished state by its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "queued" => Some(Self::Queued),
            "dispatched" => Some(Self::Dispatched),
            "running" => Some(Self::Running),
            _ => None,
        }
    }
}

impl Moment {
    pub(super) fn is_finished(&self) -> bool {
        self.state == State::Finished
    }

    pub(super) fn succeeded(&self) -> bool {
        self.fate == Some(Fate::Success)
    }
}

/// What a task is made of.
pub(super) struct Plan {
    pub(super) service: Service,
    /// The key that created it: others are told that it does not exist.
    pub(super) owner: String,
    pub(super) prompt: String,
    pub(super) model: String,
    pub(super) canvas: Canvas,
    pub(super) count: usize,
    /// Real time in the queue.
    pub(super) queue: Duration,
    /// Real time from the start to the end; none: it never ends.
    pub(super) total: Option<Duration>,
    pub(super) fate: Fate,
    pub(super) is_video: bool,
    /// LemonData's first id and shape (`img_`, poll link on the image path).
    pub(super) first_shape: bool,
    /// It stays in this state until it is moved or ended.
    pub(super) held: Option<State>,
    pub(super) rules: Vec<Rule>,
    /// This is the so-manieth submit of this prompt, from 1.
    pub(super) submit: u64,
}

/// A task.
pub(super) struct Task {
    pub(super) id: String,
    pub(super) plan: Plan,
    pub(super) created_ms: u64,
    pub(super) looks: AtomicU64,
    pub(super) image_gets: AtomicU64,
    born: Instant,
    /// Microseconds after birth; `u64::MAX`: never.
    end: AtomicU64,
    /// Set by a cancel or by the control route.
    fate: Mutex<Option<Fate>>,
    held: Mutex<Option<State>>,
}

impl Task {
    /// Where the task stands now.
    pub(super) fn now(&self) -> Moment {
        let age = self.age();
        let end = self.end.load(Ordering::Acquire);
        let queue = u64::try_from(self.plan.queue.as_micros()).unwrap_or(u64::MAX);
        if age >= end {
            let changed_at = (self.created_ms + end / 1000) / 1000;
            return Moment { state: State::Finished, fate: Some(self.fate()), percent: 100, changed_at };
        }
        let held = *self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match age {
            _ if held.is_some() => held.unwrap_or(State::Running),
            age if age < queue / 2 => State::Queued,
            age if age < queue => State::Dispatched,
            _ => State::Running,
        };
        let percent = match (state, end) {
            // A bar of a task without an end stands in the middle.
            (State::Running, u64::MAX) => 50,
            (State::Running, _) => {
                (age.saturating_sub(queue).saturating_mul(99) / end.saturating_sub(queue).max(1)).clamp(1, 99) as u8
            }
            _ => 0,
        };
        Moment { state, fate: None, percent, changed_at: (self.created_ms + age / 1000) / 1000 }
    }

    /// Real time until the task ends; none: it never does.
    pub(super) fn remaining(&self) -> Option<Duration> {
        match self.end.load(Ordering::Acquire) {
            u64::MAX => None,
            end => Some(Duration::from_micros(end.saturating_sub(self.age()))),
        }
    }

    /// Ends the task now, if it has not ended. Returns whether it did.
    pub(super) fn finish(&self, fate: Fate) -> bool {
        let mut chosen = self.fate.lock().unwrap_or_else(PoisonError::into_inner);
        let age = self.age();
        if age >= self.end.load(Ordering::Acquire) {
            return false;
        }
        *chosen = Some(fate);
        self.end.store(age, Ordering::Release);
        true
    }

    /// Keeps the task in a state until it is moved again or ended. Returns whether it had not ended.
    pub(super) fn hold(&self, state: State) -> bool {
        let _guard = self.fate.lock().unwrap_or_else(PoisonError::into_inner);
        if self.age() >= self.end.load(Ordering::Acquire) {
            return false;
        }
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        self.end.store(u64::MAX, Ordering::Release);
        true
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX - 1)
    }

    fn fate(&self) -> Fate {
        let chosen = self.fate.lock().unwrap_or_else(PoisonError::into_inner);
        chosen.clone().unwrap_or_else(|| self.plan.fate.clone())
    }
}

/// Every task.
#[derive(Default)]
pub(super) struct Store {
    tasks: RwLock<HashMap<String, Arc<Task>>>,
    /// How often each prompt was submitted, answered or not.
    submits: Mutex<HashMap<(Service, String), u64>>,
}

impl Store {
    /// Counts a submit of a prompt; returns its number, from 1.
    pub(super) fn count_submit(&self, service: Service, prompt: &str) -> u64 {
        let mut submits = self.submits();
        let count = submits.entry((service, prompt.to_owned())).or_default();
        *count += 1;
        *count
    }

    /// How often a prompt was submitted.
    pub(super) fn submits_of(&self, service: Service, prompt: &str) -> u64 {
        self.submits().get(&(service, prompt.to_owned())).copied().unwrap_or_default()
    }

    /// Makes a task. Its id follows from the seed, the prompt and the number of the submit.
    pub(super) fn add(&self, plan: Plan, seed: u64) -> Arc<Task> {
        let end = plan.total.map_or(u64::MAX, |total| u64::try_from(total.as_micros()).unwrap_or(u64::MAX - 1));
        let task = Arc::new(Task {
            id: id(&plan, seed),
            held: Mutex::new(plan.held),
            plan,
            created_ms: super::unix_ms(),
            looks: AtomicU64::new(0),
            image_gets: AtomicU64::new(0),
            born: Instant::now(),
            end: AtomicU64::new(end),
            fate: Mutex::new(None),
        });
        let mut tasks = self.tasks.write().unwrap_or_else(PoisonError::into_inner);
        tasks.insert(task.id.clone(), Arc::clone(&task));
        task
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Task>> {
        self.tasks.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Every task, oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Task>> {
        let mut all: Vec<_> =
            self.tasks.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect();
        all.sort_by_key(|task| task.born);
        all
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn clear(&self) {
        self.tasks.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.submits().clear();
    }

    fn submits(&self) -> MutexGuard<'_, HashMap<(Service, String), u64>> {
        self.submits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id(plan: &Plan, seed: u64) -> String {
    let digest = digest(seed, plan.service, &plan.prompt, plan.submit, "id");
    match (plan.service, plan.is_video, plan.first_shape) {
        (Service::DimiLinks, true, _) => format!("video_{}", super::hex(&digest[..12])),
        (Service::DimiLinks, false, _) => format!("img_{}", super::hex(&digest[..12])),
        (Service::LemonData, _, true) => format!("img_{}", super::hex(&digest[..6])),
        (Service::LemonData, _, false) => format!("ldtask_{}", super::hex(&digest[..16])),
    }
}

/// Chance that is the same for the same seed, whatever else goes on.
pub(super) fn digest(seed: u64, service: Service, prompt: &str, submit: u64, purpose: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(seed.to_le_bytes())
        .chain_update(submit.to_le_bytes())
        .chain_update(service.name())
        .chain_update([0])
        .chain_update(purpose)
        .chain_update([0])
        .chain_update(prompt)
        .finalize()
        .into()
}

/// How long a task takes in seconds, before the speed is applied: log-normal, median 60, sigma 0.437, kept within 15 to 400.
pub(super) fn usual_seconds(chance: &[u8; 32]) -> f64 {
    let part = |bytes: &[u8]| {
        let mut eight = [0; 8];
        eight.copy_from_slice(bytes);
        // Never 0, whose logarithm is not finite.
        ((u64::from_le_bytes(eight) >> 11) + 1) as f64 / (1_u64 << 53) as f64
    };
    // Box and Muller's normal from two even numbers.
    let normal = (-2.0 * part(&chance[..8]).ln()).sqrt() * (std::f64::consts::TAU * part(&chance[8..16])).cos();
    (60.0 * (0.437 * normal).exp()).clamp(15.0, 400.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_stated_median_and_mean() {
        let mut seconds: Vec<f64> =
            (0..4000).map(|n| usual_seconds(&digest(1, Service::DimiLinks, "a prompt", n, "time"))).collect();
        seconds.sort_by(f64::total_cmp);
        let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
        assert!((57.0..63.0).contains(&seconds[2000]), "median {}", seconds[2000]);
        assert!((63.0..69.0).contains(&mean), "mean {mean}");
        assert!(seconds[0] >= 15.0 && seconds[3999] <= 400.0);
    }
}

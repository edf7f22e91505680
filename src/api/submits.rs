//! The client's own submits, remembered for a while: when to look first, where, and whether "not found" may mean "not yet".

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So long a submit is remembered.
const MEMORY: Duration = Duration::from_secs(15 * 60);

#[derive(Default)]
pub(crate) struct Submits {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_id: HashMap<String, Submitted>,
    oldest_first: VecDeque<(Instant, String)>,
}

/// What is remembered of one submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Submitted {
    pub(crate) at: Instant,
    /// What to pass to look at it: the service's poll address, else the id.
    pub(crate) poll_ref: String,
}

impl Submits {
    pub(crate) fn remember(&self, id: &str, poll_ref: &str, at: Instant) {
        let mut state = self.lock();
        while let Some((when, old)) = state.oldest_first.front().cloned() {
            if at.saturating_duration_since(when) <= MEMORY {
                break;
            }
            state.oldest_first.pop_front();
            // The id may have been remembered anew since.
            if state.by_id.get(&old).is_some_and(|s| s.at == when) {
                state.by_id.remove(&old);
            }
        }
        state.by_id.insert(id.to_owned(), Submitted { at, poll_ref: poll_ref.to_owned() });
        state.oldest_first.push_back((at, id.to_owned()));
    }

    pub(crate) fn get(&self, id: &str, now: Instant) -> Option<Submitted> {
        let state = self.lock();
        state.by_id.get(id).filter(|s| now.saturating_duration_since(s.at) <= MEMORY).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so a poisoned state is a sound one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submit_is_remembered_for_fifteen_minutes() {
        let (submits, start) = (Submits::default(), Instant::now());
        submits.remember("a", "/v1/tasks/a", start);
        assert_eq!(submits.get("a", start + MEMORY).map(|s| s.poll_ref), Some("/v1/tasks/a".into()));
        assert_eq!(submits.get("a", start + MEMORY + Duration::from_secs(1)), None);
        assert_eq!(submits.get("b", start), None);
    }

    #[test]
    fn old_submits_leave_the_memory_when_new_ones_come() {
        let (submits, start) = (Submits::default(), Instant::now());
        for n in 0..100 {
            submits.remember(&format!("old{n}"), "", start);
        }
        submits.remember("old7", "again", start + MEMORY);
        submits.remember("new", "", start + MEMORY + Duration::from_secs(1));
        assert_eq!(submits.lock().by_id.len(), 2);
        assert_eq!(submits.lock().oldest_first.len(), 2);
    }
}

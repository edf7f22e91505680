//! What was seen: fingerprints of references, 16 bytes each.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

/// So many references are remembered at least; an endless list must not fill the memory.
const REMEMBERED: usize = 1 << 20;

/// Stands for a task of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 16]);

impl Fingerprint {
    pub(super) fn of(provider: &str, name: &str) -> Fingerprint {
        let digest = Sha256::new().chain_update(provider).chain_update([0]).chain_update(name).finalize();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Fingerprint(half)
    }
}

/// The tasks that came lately.
#[derive(Default)]
pub(super) struct Recent {
    now: HashSet<Fingerprint>,
    before: HashSet<Fingerprint>,
}

impl Recent {
    /// Whether it is new.
    pub(super) fn insert(&mut self, fingerprint: Fingerprint) -> bool {
        if self.now.contains(&fingerprint) || self.before.contains(&fingerprint) {
            return false;
        }
        if self.now.len() >= REMEMBERED {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.insert(fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_million_is_remembered_and_no_more_than_two() {
        let mut recent = Recent::default();
        let of = |n: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&n.to_le_bytes());
            Fingerprint(bytes)
        };
        for n in 0..3 * REMEMBERED {
            assert!(recent.insert(of(n)));
        }
        assert!(!recent.insert(of(2 * REMEMBERED)) && !recent.insert(of(3 * REMEMBERED - 1)));
        assert!(recent.now.len() + recent.before.len() <= 2 * REMEMBERED);
    }

    #[test]
    fn tasks_of_two_services_are_two() {
        assert_ne!(Fingerprint::of("a", "1"), Fingerprint::of("b", "1"));
        assert_eq!(Fingerprint::of("a", "1"), Fingerprint::of("a", "1"));
    }
}

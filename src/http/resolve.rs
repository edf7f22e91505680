//! Names to addresses: no thread for a literal or a known name, one look-up in flight per name, at most four helpers.
//!
//! The system's resolver cannot be interrupted, so it runs on a helper thread that a waiter may leave behind.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::stop::Stop;
use super::url::literal;
use crate::threads;

/// Helper threads of one resolver at most.
const MAX_HELPERS: usize = 4;
/// getaddrinfo tells no lifetime; half a minute is short enough for a fail-over by DNS.
const KEEP_FOUND: Duration = Duration::from_secs(30);
const KEEP_FAILED: Duration = Duration::from_secs(3);
/// Names that are remembered at most.
const MAX_NAMES: usize = 256;
/// Addresses of one name that are tried at most.
const MAX_ADDRESSES: usize = 32;
/// How often a waiter looks at its token.
const GLANCE: Duration = Duration::from_millis(50);
const HELPER_STACK: usize = 256 * 1024;

type Lookup = Box<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;
type Spawn = fn(Arc<Shared>) -> io::Result<()>;

/// Why there are no addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    /// The name has none, or nobody could say.
    NotFound,
    /// The system gave no thread or no file descriptor for the look-up.
    NoResource,
    /// `until` has come.
    Over,
    Stopped,
}

pub(super) struct Resolver {
    shared: Arc<Shared>,
    spawn: Spawn,
}

struct Shared {
    lookup: Lookup,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    names: HashMap<String, Entry>,
    queue: VecDeque<String>,
    helpers: usize,
}

enum Entry {
    Asked,
    Found(Arc<[IpAddr]>, Instant),
    Failed(Miss, Instant),
}

impl Resolver {
    pub(super) fn system() -> Resolver {
        Resolver::with(Box::new(system_lookup), spawn_helper)
    }

    fn with(lookup: Lookup, spawn: Spawn) -> Resolver {
        let shared = Shared { lookup, state: Mutex::default(), changed: Condvar::new() };
        Resolver { shared: Arc::new(shared), spawn }
    }

    /// Names that a test knows better than the system.
    #[cfg(test)]
    pub(super) fn knowing(lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Resolver {
        Resolver::with(Box::new(lookup), spawn_helper)
    }

    /// Helper threads that live now.
    pub(super) fn helpers(&self) -> u64 {
        self.shared.lock().helpers as u64
    }

    /// The addresses of a host as an address writes it. Waits at most until `until`, and looks at the token all the while.
    pub(super) fn resolve(&self, host: &str, until: Instant, stop: &Stop) -> Result<Arc<[IpAddr]>, Miss> {
        if let Some(ip) = literal(host) {
            return Ok(Arc::new([ip]));
        }
        // By RFC 6761 never a question for the network; whoever trusts a loopback host relies on it.
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(Arc::new([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]));
        }
        let mut state = self.shared.lock();
        loop {
            let now = Instant::now();
            match state.names.get(host) {
                Some(Entry::Found(found, good_until)) if now < *good_until => return Ok(Arc::clone(found)),
                Some(Entry::Failed(miss, good_until)) if now < *good_until => return Err(*miss),
                Some(Entry::Asked) => {}
                _ => self.ask(&mut state, host, now)?,
            }
            if stop.is_stopped() {
                return Err(Miss::Stopped);
            }
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return Err(Miss::Over);
            }
            let wait = left.min(GLANCE);
            state = self.shared.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks again at the next call: none of the addresses answered.
    pub(super) fn forget(&self, host: &str) {
        let mut state = self.shared.lock();
        if matches!(state.names.get(host), Some(Entry::Found(..))) {
            state.names.remove(host);
        }
    }

    fn ask(&self, state: &mut State, host: &str, now: Instant) -> Result<(), Miss> {
        if state.helpers < MAX_HELPERS {
            // Counted before it lives, because it counts itself out.
            state.helpers += 1;
            if (self.spawn)(Arc::clone(&self.shared)).is_err() {
                state.helpers -= 1;
                if state.helpers == 0 {
                    return Err(Miss::NoResource);
                }
            }
        }
        if state.names.len() >= MAX_NAMES {
            state.names.retain(|_, entry| match entry {
                Entry::Asked => true,
                Entry::Found(_, good_until) | Entry::Failed(_, good_until) => now < *good_until,
            });
        }
        state.names.insert(host.to_owned(), Entry::Asked);
        state.queue.push_back(host.to_owned());
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A helper's life: answers questions until there are none.
    fn help(&self) {
        let mut state = self.lock();
        while let Some(host) = state.queue.pop_front() {
            drop(state);
            let answer = catch_unwind(AssertUnwindSafe(|| (self.lookup)(&host)));
            let now = Instant::now();
            let entry = match answer {
                Ok(Ok(mut found)) if !found.is_empty() => {
                    found.truncate(MAX_ADDRESSES);
                    Entry::Found(found.into(), now + KEEP_FOUND)
                }
                Ok(Err(error)) if is_exhaustion(&error) => Entry::Failed(Miss::NoResource, now + KEEP_FAILED),
                _ => Entry::Failed(Miss::NotFound, now + KEEP_FAILED),
            };
            state = self.lock();
            state.names.insert(host, entry);
            self.changed.notify_all();
        }
        state.helpers -= 1;
    }
}

fn spawn_helper(shared: Arc<Shared>) -> io::Result<()> {
    threads::spawn("imgtask-resolve".into(), HELPER_STACK, move || shared.help()).map(drop)
}

fn system_lookup(host: &str) -> io::Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = Vec::new();
    for address in (host, 0).to_socket_addrs()? {
        if !found.contains(&address.ip()) {
            found.push(address.ip());
        }
    }
    Ok(found)
}

/// Whether the system is out of descriptors, buffers or memory.
pub(super) fn is_exhaustion(error: &io::Error) -> bool {
    if error.kind() == io::ErrorKind::OutOfMemory {
        return true;
    }
    #[cfg(unix)]
    const CODES: &[i32] = &[libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    // WSAEMFILE and WSAENOBUFS.
    #[cfg(not(unix))]
    const CODES: &[i32] = &[10024, 10055];
    error.raw_os_error().is_some_and(|code| CODES.contains(&code))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::http::stop::tests::assert_stops;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn public() -> Vec<IpAddr> {
        vec![Ipv4Addr::new(192, 0, 2, 7).into()]
    }

    #[test]
    fn a_literal_or_localhost_asks_nobody() {
        let resolver = Resolver::with(Box::new(|_| panic!("asked")), |_| panic!("thread"));
        let ask = |host| resolver.resolve(host, soon(), &Stop::default()).unwrap().to_vec();
        assert_eq!(ask("127.0.0.1"), [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(ask("[::1]"), [IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        assert!(ask("localhost").iter().all(IpAddr::is_loopback));
    }

    #[test]
    fn many_waiters_share_one_look_up_and_its_answer_is_kept() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let (release, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let resolver = Resolver::with(
            Box::new(move |_| {
                counter.fetch_add(1, Ordering::SeqCst);
                let _ = gate.lock().unwrap().recv_timeout(Duration::from_secs(20));
                Ok(public())
            }),
            spawn_helper,
        );
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    assert_eq!(resolver.resolve("a.example", soon(), &Stop::default()).unwrap().to_vec(), public())
                });
            }
            while asked.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            release.send(()).unwrap();
        });
        resolver.resolve("a.example", soon(), &Stop::default()).unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        resolver.forget("a.example");
        release.send(()).unwrap();
        resolver.resolve("a.example", soon(), &Stop::default()).unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_silent_name_server_ends_by_the_deadline_with_four_helpers_at_most() {
        let (release, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let resolver = Resolver::with(
            Box::new(move |_| {
                let _ = gate.lock().unwrap().recv_timeout(Duration::from_secs(20));
                Ok(Vec::new())
            }),
            spawn_helper,
        );
        let started = Instant::now();
        thread::scope(|scope| {
            for n in 0..40 {
                let resolver = &resolver;
                scope.spawn(move || {
                    let until = started + Duration::from_millis(200);
                    assert_eq!(resolver.resolve(&format!("n{n}.example"), until, &Stop::default()), Err(Miss::Over));
                });
            }
        });
        assert!(started.elapsed() < Duration::from_millis(1200));
        assert_eq!(resolver.helpers(), MAX_HELPERS as u64);
        drop(release);
        let until = Instant::now() + Duration::from_secs(20);
        while resolver.helpers() > 0 {
            assert!(Instant::now() < until);
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_stop_ends_a_look_up_within_a_glance() {
        let resolver = Resolver::with(
            Box::new(|_| {
                thread::sleep(Duration::from_secs(2));
                Ok(Vec::new())
            }),
            spawn_helper,
        );
        let ask = |stop: Arc<Stop>| resolver.resolve("slow.example", soon(), &stop);
        assert_eq!(assert_stops(ask), Err(Miss::Stopped));
    }

    #[test]
    fn no_thread_is_an_error_and_no_panic() {
        let resolver = Resolver::with(Box::new(|_| Ok(public())), |_| Err(io::ErrorKind::WouldBlock.into()));
        assert_eq!(resolver.resolve("a.example", soon(), &Stop::default()), Err(Miss::NoResource));
        assert_eq!(resolver.helpers(), 0);
    }

    #[test]
    fn a_name_without_addresses_is_not_found_even_after_a_panic() {
        let resolver = Resolver::with(
            Box::new(|host| if host == "p.example" { panic!("planted") } else { Ok(Vec::new()) }),
            spawn_helper,
        );
        for host in ["a.example", "p.example", "b.example"] {
            assert_eq!(resolver.resolve(host, soon(), &Stop::default()), Err(Miss::NotFound));
        }
    }
}

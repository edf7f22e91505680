//! The token of one call: whoever holds it can end the call at once, from any thread.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Ends one call, or several that follow one another. A call that is blocked on a socket is woken by shutting that socket down.
#[derive(Default)]
pub(crate) struct Stop {
    stopped: AtomicBool,
    socket: Mutex<Option<Arc<TcpStream>>>,
    wake: Condvar,
}

impl Stop {
    pub(crate) fn new() -> Arc<Stop> {
        Arc::new(Stop::default())
    }

    /// Ends the call. Never blocks; may be called again.
    pub(crate) fn stop(&self) {
        let mut socket = self.lock();
        // Set under the lock: no socket can be attached after it was looked for.
        self.stopped.store(true, Ordering::Release);
        if let Some(socket) = socket.take() {
            // An error means that it is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.wake.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Waits. False when the call was stopped before the time was over.
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        let started = Instant::now();
        let mut socket = self.lock();
        while !self.is_stopped() {
            let Some(left) = time.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
                return true;
            };
            socket = self.wake.wait_timeout(socket, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Names the socket that a stop has to shut down. False when the call is stopped already.
    pub(super) fn attach(&self, stream: &Arc<TcpStream>) -> bool {
        let mut socket = self.lock();
        if self.is_stopped() {
            return false;
        }
        *socket = Some(Arc::clone(stream));
        true
    }

    /// After this a stop touches no socket.
    pub(super) fn detach(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<TcpStream>>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;
    use std::thread;

    /// Runs `blocked` with a token that is stopped soon, and checks that it then comes back within 100 ms. The best of three
    /// counts: a busy machine may delay one, a stop that does not work delays all.
    pub(in crate::http) fn assert_stops<T>(mut blocked: impl FnMut(Arc<Stop>) -> T) -> T {
        let mut attempts = 0;
        loop {
            let stop = Stop::new();
            let other = Arc::clone(&stop);
            let stopper = thread::spawn(move || {
                thread::sleep(Duration::from_millis(60));
                let now = Instant::now();
                other.stop();
                now
            });
            let result = blocked(stop);
            let ended = Instant::now();
            let late = ended.saturating_duration_since(stopper.join().unwrap());
            attempts += 1;
            if late < Duration::from_millis(100) {
                return result;
            }
            assert!(attempts < 3, "ended {late:?} after the stop");
        }
    }

    #[test]
    fn a_sleep_ends_when_it_is_stopped() {
        let stop = Stop::new();
        assert!(stop.sleep(Duration::from_millis(5)));
        assert!(!assert_stops(|stop| stop.sleep(Duration::from_secs(20))));
        stop.stop();
        assert!(!stop.sleep(Duration::from_secs(20)));
    }

    #[test]
    fn a_stop_wakes_a_blocked_read_and_spares_a_socket_given_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (peer, _) = listener.accept().unwrap();
        let stop = Stop::new();
        assert!(stop.attach(&stream));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                stop.stop();
            });
            assert_eq!((&*stream).read(&mut [0]).unwrap(), 0);
        });
        assert!(!stop.attach(&stream));
        drop(peer);

        let stream = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (peer, _) = listener.accept().unwrap();
        let stop = Stop::new();
        assert!(stop.attach(&stream));
        stop.detach();
        stop.stop();
        std::io::Write::write_all(&mut &peer, b"x").unwrap();
        assert_eq!((&*stream).read(&mut [0]).unwrap(), 1);
    }
}

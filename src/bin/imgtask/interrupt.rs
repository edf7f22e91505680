//! Ctrl-C: ends the wait, not the task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use imgtask::Client;

static PRESSED: AtomicBool = AtomicBool::new(false);
static CLIENTS: Mutex<Vec<Client>> = Mutex::new(Vec::new());

/// Lets Ctrl-C end the calls of `client`. A second Ctrl-C ends the process at once.
pub(crate) fn reaches(client: &Client) {
    CLIENTS.lock().unwrap_or_else(PoisonError::into_inner).push(client.clone());
    // Fails only when a handler is set already, which is then this one.
    let _ = ctrlc::try_set_handler(|| {
        if PRESSED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        // Again and again: a call that begins right after the first interrupt ends as well.
        thread::spawn(|| {
            loop {
                for client in CLIENTS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    client.interrupt();
                }
                thread::sleep(Duration::from_millis(25));
            }
        });
    });
}

/// Whether Ctrl-C was pressed.
pub(crate) fn pressed() -> bool {
    PRESSED.load(Ordering::SeqCst)
}

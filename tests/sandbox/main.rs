//! The gateway in a box, seen from outside: the program is started, and spoken to in bytes.
#![cfg(feature = "cli")]

mod contracts;
mod faults;
mod harness;
mod life;
mod pictures;

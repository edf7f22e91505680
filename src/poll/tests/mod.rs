//! Many tasks in virtual time, against a service that counts requests by the minute.

mod alone;
mod durations;
mod gate;
mod loops;
mod schedule;
mod service;
mod tables;
mod world;

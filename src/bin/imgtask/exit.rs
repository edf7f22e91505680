//! What the process says at its end: an exit code that scripts can rely on, and a problem in words.

use std::io;
use std::path::Path;
use std::time::Duration;

use imgtask::{Error, FailureAction, Retry, State, Status, Task};

/// The exit codes. They never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Bug = 1,
    Usage = 2,
    TaskFailed = 3,
    NotFinished = 4,
    NotFound = 5,
    Refused = 6,
    Network = 7,
    File = 8,
    SubmitUnknown = 9,
    Interrupted = 130,
}

/// The table for `--help`.
pub(crate) const TABLE: &str = "\
Exit codes:
    0  done
    2  usage: an argument or the request cannot be used, or no key was given
    3  the task failed, was cancelled, has expired, or gave no image
    4  not finished yet, or not in the time given: the task goes on
    5  not found: no such task for this key, or its image is gone
    6  refused: key, balance, rate limit, or the request itself
    7  network: no connection, a service in trouble, an answer nobody can use
    8  a local file could not be read or written
    9  submitted, but the answer was lost: the task may exist and be paid for
  130  interrupted with Ctrl-C: a submitted task goes on
    1  a fault in imgtask itself
  Of several tasks the first in the list that is not done gives the code;
  with `imgtask watch`, where they end in any order, the gravest end does:
  1, 130, 8, 9, 6, 2, 5, 3, 7, 4, 0";

/// From the gravest: what needs a hand here, what needs one at the service, what no further try mends, what one may mend.
const GRAVEST: [Exit; 11] = [
    Exit::Bug,
    Exit::Interrupted,
    Exit::File,
    Exit::SubmitUnknown,
    Exit::Refused,
    Exit::Usage,
    Exit::NotFound,
    Exit::TaskFailed,
    Exit::Network,
    Exit::NotFinished,
    Exit::Done,
];

impl Exit {
    /// The code for a call that ended in this status.
    pub(crate) fn of_status(status: Status) -> Exit {
        match status {
            Status::Ok => Exit::Done,
            Status::NullArgument | Status::InvalidArgument | Status::InvalidUtf8 | Status::Unsupported => Exit::Usage,
            Status::NoImage => Exit::TaskFailed,
            Status::Timeout | Status::Starved => Exit::NotFinished,
            Status::NotFound | Status::LinkExpired => Exit::NotFound,
            Status::Unauthorized | Status::Payment | Status::RateLimited | Status::Rejected | Status::Blocked => {
                Exit::Refused
            }
            Status::Resolve
            | Status::Connect
            | Status::Tls
            | Status::Io
            | Status::Protocol
            | Status::Proxy
            | Status::Server
            | Status::BadResponse
            | Status::TooLarge
            | Status::BadImage => Exit::Network,
            Status::File | Status::Journal | Status::Resource => Exit::File,
            Status::SubmitUnknown => Exit::SubmitUnknown,
            Status::Cancelled => Exit::Interrupted,
            _ => Exit::Bug,
        }
    }

    /// The code for a task in this state.
    pub(crate) fn of_state(state: State) -> Exit {
        match state {
            State::Succeeded => Exit::Done,
            State::Failed | State::Cancelled | State::Expired => Exit::TaskFailed,
            _ => Exit::NotFinished,
        }
    }

    /// Of several results the first that is not 0 gives the code.
    pub(crate) fn and(self, other: Exit) -> Exit {
        if self == Exit::Done { other } else { self }
    }

    /// Of results that come in any order the gravest gives the code.
    pub(crate) fn or_graver(self, other: Exit) -> Exit {
        GRAVEST.into_iter().find(|exit| *exit == self || *exit == other).unwrap_or(self)
    }
}

/// Why the command ends without its result, and what helps.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hints: Vec<String>,
}

/// What a command comes to.
pub(crate) type Outcome<T = Exit> = Result<T, Problem>;

impl Problem {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Problem {
        Problem { exit, message: message.into(), hints: Vec::new() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Problem {
        Problem::new(Exit::Usage, message)
    }

    /// A file of the user's that could not be read or written.
    pub(crate) fn file(doing: &str, path: &Path, error: &io::Error) -> Problem {
        Problem::new(Exit::File, format!("cannot {doing} {}: {}", path.display(), reason(error)))
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hints.push(hint.into());
        self
    }

    /// A task that ended without success: the reason, and what to do.
    pub(crate) fn of_task(task: &Task) -> Problem {
        let verb = match task.state {
            State::Cancelled => "was cancelled",
            State::Expired => "has expired",
            _ => "failed",
        };
        let problem = Problem::new(Exit::TaskFailed, format!("task {} {verb}: {}", name(&task.id), why(task)));
        match task.failure.as_ref().map(|failure| failure.action).unwrap_or_default() {
            FailureAction::Resubmit => problem.hint("submit it again: the request itself was not refused"),
            FailureAction::ChangeRequest => {
                problem.hint("change the request, then submit it again: the same one would be refused again")
            }
            FailureAction::CheckAccount => {
                problem.hint("check the account: its balance, its rights and its key; then submit it again")
            }
            _ => problem,
        }
    }

    /// A task that is still with the service after one look.
    pub(crate) fn not_finished(task: &Task, resume: &str) -> Problem {
        let progress = if task.progress >= 0 { format!(" ({} %)", task.progress) } else { String::new() };
        let problem = Problem::new(
            Exit::NotFinished,
            format!("task {} is not finished: {}{progress}", name(&task.id), task.state),
        );
        problem.hint(format!("wait for it: {resume}"))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Problem::of_error(error, None)
    }
}

impl Problem {
    /// Why a call failed. `suspect`: what to try before anything is asked of the service again, and paid for.
    pub(crate) fn of_error(error: Error, suspect: Option<String>) -> Problem {
        let exit = Exit::of_status(error.status());
        // The option as this program spells it.
        let mut problem = Problem::new(exit, error.message().replace("allow_plain_http", "--allow-plain-http"));
        match error.status() {
            Status::Payment => problem = problem.hint("top up the account, then try again"),
            Status::NotFound => {
                problem = problem.hint(
                    "a task answers only to the provider and the key that submitted it, and services forget old tasks",
                );
            }
            Status::LinkExpired => problem = problem.hint("look at the task again: every look brings a new link"),
            Status::NoImage if suspect.is_none() => {
                problem = problem.hint("the service says it is done: submit it again, or ask the service")
            }
            Status::Panic => problem = problem.hint("this is a fault in imgtask; please report it"),
            _ => {}
        }
        problem.hints.extend(suspect);
        if let Retry::After(pause) = error.retry() {
            problem = problem.hint(format!("the service asks to wait {} first", crate::duration::words(pause)));
        } else if exit == Exit::Network && error.retry() == Retry::Now {
            problem = problem.hint("trying again may help");
        }
        if !error.request_id().is_empty() {
            problem = problem.hint(format!("the service's request id: {}", error.request_id()));
        }
        problem
    }
}

/// Why a task ended without success, in the service's words.
pub(crate) fn why(task: &Task) -> String {
    let (message, code) = task.failure.as_ref().map_or(("", ""), |failure| (&failure.message, &failure.code));
    let reason = if message.is_empty() { "the service gave no reason" } else { message };
    if code.is_empty() { reason.to_string() } else { format!("{reason} ({code})") }
}

/// What the service said to wait, milliseconds; -1 never, 0 any time.
pub(crate) fn retry_after_ms(retry: Retry) -> i64 {
    match retry {
        Retry::Never => -1,
        Retry::Now => 0,
        Retry::After(pause) => i64::try_from(pause.max(Duration::from_millis(1)).as_millis()).unwrap_or(i64::MAX),
    }
}

fn name(id: &str) -> &str {
    if id.is_empty() { "without an id" } else { id }
}

/// The system's reason without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_an_exit_code_of_the_table() {
        for status in Status::ALL {
            let code = Exit::of_status(*status) as u8;
            assert!(TABLE.lines().any(|line| line.trim_start().starts_with(&format!("{code} "))), "{status}");
        }
    }

    #[test]
    fn the_first_result_that_is_not_done_gives_the_code() {
        assert_eq!(Exit::Done.and(Exit::NotFound).and(Exit::TaskFailed), Exit::NotFound);
        assert_eq!(Exit::Done.and(Exit::Done), Exit::Done);
    }

    #[test]
    fn the_gravest_result_gives_the_code_where_the_order_means_nothing() {
        assert_eq!(Exit::Done.or_graver(Exit::NotFinished).or_graver(Exit::TaskFailed), Exit::TaskFailed);
        assert_eq!(Exit::TaskFailed.or_graver(Exit::NotFinished).or_graver(Exit::Done), Exit::TaskFailed);
        assert_eq!(Exit::Done.or_graver(Exit::Done), Exit::Done);
        let order: Vec<String> = GRAVEST.iter().map(|exit| (*exit as u8).to_string()).collect();
        assert!(TABLE.ends_with(&order.join(", ")), "the table says another order");
        for exit in GRAVEST {
            assert!(TABLE.lines().any(|line| line.trim_start().starts_with(&format!("{} ", exit as u8))), "{exit:?}");
        }
    }

    #[test]
    fn a_failed_task_names_its_reason_its_id_and_what_helps() {
        let mut task = Task::unseen("img_7", "img_7");
        task.state = State::Failed;
        task.failure = Some(imgtask::Failure {
            code: "content_moderation".into(),
            kind: String::new(),
            message: "not this".into(),
            action: FailureAction::ChangeRequest,
        });
        let problem = Problem::of_task(&task);
        assert_eq!(problem.message, "task img_7 failed: not this (content_moderation)");
        assert!(problem.hints[0].starts_with("change the request"));
    }
}

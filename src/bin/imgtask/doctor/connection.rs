//! One harmless question: a look at a task that does not exist.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use imgtask::{Error, LogLevel, LogSink, Options, Status};

use super::{Fact, NO_TASK};
use crate::access::{Access, without_secrets};
use crate::context::Context;
use crate::duration;
use crate::exit::{Exit, Problem};
use crate::interrupt;

const ABOUT: &str = "Connection";
/// How the library's log says when an answer was written.
const DATED: &str = ": dated ";
/// Clocks differ by less.
const FINE: Duration = Duration::from_secs(30);
/// Certificates and links are misjudged by a clock that is wrong by more.
const WRONG: Duration = Duration::from_secs(24 * 3600);

pub(super) fn facts(access: &Access, context: &Context) -> Vec<Fact> {
    let dates: Arc<Mutex<Option<String>>> = Arc::default();
    let client =
        access.client(Options { log_level: LogLevel::Debug, log: Some(sink(&dates, context)), ..Options::default() });
    let client = match client {
        Ok(client) => client,
        Err(problem) => return vec![Fact::problem(ABOUT, "client", &problem)],
    };
    interrupt::reaches(&client);
    let begun = Instant::now();
    let looked = client.fetch(NO_TASK);
    let took = duration::words(begun.elapsed());
    let asked = access.base_url.as_ref().map_or_else(String::new, |url| without_secrets(&url.value));
    let sent = Fact::new(ABOUT, "asked", format!("{asked} for the task {NO_TASK}, once, with the key"));
    let mut facts = vec![sent];
    match looked {
        Ok(_) => facts.push(Fact::new(ABOUT, "answer", format!("in {took}: the service knows such a task"))),
        Err(error) => facts.extend(of_error(error, &took)),
    }
    let date = dates.lock().unwrap_or_else(PoisonError::into_inner).take();
    facts
        .extend(date.and_then(|date| httpdate::parse_http_date(&date).ok()).map(|date| clock(date, SystemTime::now())));
    facts
}

/// Keeps the date of the last answer, and passes on what the log is wanted for.
fn sink(dates: &Arc<Mutex<Option<String>>>, context: &Context) -> LogSink {
    let dates = Arc::clone(dates);
    let (level, log) = context.ui.log();
    Arc::new(move |of, line| {
        if let Some((_, date)) = line.rsplit_once(DATED) {
            *dates.lock().unwrap_or_else(PoisonError::into_inner) = Some(date.to_string());
        }
        if let Some(log) = log.as_ref().filter(|_| of <= level) {
            log(of, line);
        }
    })
}

fn of_error(error: Error, took: &str) -> Vec<Fact> {
    let (status, http) = (error.status(), error.http_status());
    let answer = Fact::new(ABOUT, "answer", format!("HTTP {http} in {took}"));
    let key = |words: &str| Fact::new(ABOUT, "key", words);
    // Any server has a 404; the service's own says why.
    let is_bare = error.provider_code().is_empty() && error.message().ends_with(&format!("(HTTP {http})"));
    match status {
        Status::NotFound if is_bare => vec![
            answer,
            key(&format!("not known: HTTP {http} without the service's error"))
                .wrong(Exit::Network, "is this the address of the API? any web server answers so"),
        ],
        Status::NotFound => vec![answer, key("accepted: the service says that there is no such task")],
        Status::Unauthorized => vec![
            answer,
            key("refused").wrong(
                Exit::Refused,
                "is it the key of this service and of this address? make a new one where the service shows keys",
            ),
        ],
        Status::Rejected | Status::Payment if http > 0 => {
            vec![answer, key("the service does not say: it refused the question for another reason")]
        }
        Status::RateLimited => vec![answer.note("the service asks for fewer requests: try again later")],
        _ => {
            let cure = cure(status);
            let problem = Problem::from(error);
            let hints = problem.hints.iter().map(String::as_str).chain([cure]).filter(|hint| !hint.is_empty());
            let hints = hints.collect::<Vec<_>>().join("; ");
            vec![Fact::new(ABOUT, "answer", problem.message.clone()).wrong(problem.exit, hints)]
        }
    }
}

fn cure(status: Status) -> &'static str {
    match status {
        Status::Resolve => "is the name in the address right, and is there a network?",
        Status::Connect => "does the service listen at this address? where a proxy is needed: --proxy env",
        Status::Tls => "is the clock right? behind a proxy that opens TLS: --ca-file with its root",
        Status::Proxy => "is the proxy's address right, and does it take its password?",
        Status::Server => "the service is in trouble: try again later",
        Status::BadResponse | Status::Protocol => "is this the address of the API, and not of a web page?",
        _ => "",
    }
}

/// This machine's clock beside the service's.
fn clock(theirs: SystemTime, ours: SystemTime) -> Fact {
    let (apart, which) = match theirs.duration_since(ours) {
        Ok(ahead) => (ahead, "behind"),
        Err(behind) => (behind.duration(), "ahead of"),
    };
    if apart <= FINE {
        return Fact::new(ABOUT, "clock", "as the service's");
    }
    let fact = Fact::new(ABOUT, "clock", format!("{} {which} the service's", duration::words(apart)));
    match apart > WRONG {
        true => fact.wrong(Exit::Network, "set this machine's clock: certificates are judged by it"),
        false => fact.note("set this machine's clock; links are judged by the service's own"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_clock_is_right_to_half_a_minute_and_wrong_by_a_day() {
        let now = SystemTime::now();
        let minutes = |count: u64| Duration::from_secs(count * 60);
        assert_eq!(clock(now + Duration::from_secs(29), now).verdict, Verdict::Fine);
        assert_eq!(clock(now + minutes(5), now).value, "5 min behind the service's");
        assert_eq!(clock(now - minutes(5), now).verdict, Verdict::Note);
        assert_eq!(clock(now - minutes(5), now).value, "5 min ahead of the service's");
        assert_eq!(clock(now - minutes(3000), now).verdict, Verdict::Wrong);
    }
}

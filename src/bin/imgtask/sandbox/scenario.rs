//! Scenarios: faults by name, where and how often they strike.
//!
//! One grammar serves `--scenario`, the control route and directives in prompts:
//! `[route.]name[:value][*times[/task]]`, for instance `http-503*3`, `image.silent`, `drip:20`, `missing*1/task`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Value, json};

use super::catalogue::{CATALOGUE, Kind, Place, Stage};
use super::store::State;

/// A fault with its value.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) stage: Stage,
    pub(super) value: String,
    name: &'static str,
}

impl Fault {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The value as a number, or another number.
    pub(super) fn number(&self, otherwise: u64) -> u64 {
        self.value.trim().parse().unwrap_or(otherwise)
    }
}

/// A fault, where and how often.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) fault: Arc<Fault>,
    place: Place,
    /// Passed over so many times first.
    after: u64,
    /// Strikes so many times; none: always.
    times: Option<u64>,
    /// Counted for every task on its own.
    each_task: bool,
    seen: AtomicU64,
}

impl Clone for Rule {
    fn clone(&self) -> Self {
        Self {
            fault: Arc::clone(&self.fault),
            place: self.place,
            after: self.after,
            times: self.times,
            each_task: self.each_task,
            seen: AtomicU64::new(self.seen.load(Ordering::Relaxed)),
        }
    }
}

impl Rule {
    /// Reads `[route.]name[:value][*times[/task]]`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (head, value) = match text.split_once(':') {
            Some((head, value)) => (head, Some(value)),
            None => (text, None),
        };
        // The count stands at the end, after a value or after the name.
        let (head, value, count) = match value {
            Some(value) => {
                let (value, count) = split_count(value);
                (head, Some(value), count)
            }
            None => {
                let (head, count) = split_count(head);
                (head, None, count)
            }
        };
        let (place, name) = match head.split_once('.') {
            Some((place, name)) => (Some(place), name),
            None => (None, head),
        };
        Self::build(
            name,
            place,
            value.map(str::to_owned),
            count.map(|count| count.0),
            count.is_some_and(|count| count.1),
        )
    }

    /// Reads `{"name":..,"route":..,"value":..,"times":..,"after":..,"each_task":..}`.
    pub(super) fn read_json(document: &Value) -> Result<Self, String> {
        let members = document.as_object().ok_or("a scenario is a JSON object")?;
        for name in members.keys() {
            if !["name", "route", "value", "times", "after", "each_task"].contains(&name.as_str()) {
                return Err(format!("a scenario has no member {name:?}"));
            }
        }
        let name = document["name"].as_str().ok_or("a scenario needs a name")?;
        let value = match &document["value"] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let number = |name: &str| match &document[name] {
            Value::Null => Ok(None),
            value => value.as_u64().map(Some).ok_or_else(|| format!("{name} must be a whole number")),
        };
        let mut rule = if document["route"].is_null() && value.is_none() {
            // The short form is welcome here too.
            Self::read(name)?
        } else {
            Self::build(name, document["route"].as_str(), value, None, false)?
        };
        rule.times = number("times")?.or(rule.times);
        rule.after = number("after")?.unwrap_or(0);
        rule.each_task |= document["each_task"].as_bool().unwrap_or(false);
        Ok(rule)
    }

    /// The directives of a prompt: every `[...]` that reads as a rule. Other brackets are part of the prompt. Where nothing else
    /// is said or usual, a directive concerns the looks.
    pub(super) fn in_prompt(prompt: &str, submit: u64) -> Vec<Self> {
        let mut rules = Vec::new();
        for part in prompt.split('[').skip(1) {
            let Some((text, _)) = part.split_once(']') else { continue };
            if let Ok(mut rule) = Self::read(text) {
                // A create that carries its own refusal would say nothing about the task.
                if rule.place == Place::Any && !text.trim_start().starts_with("any.") {
                    rule.place = Place::Poll;
                }
                // A create that is sent again finds the count where it was.
                let seen = if rule.place.covers(Place::Create) && rule.place != Place::Any { submit - 1 } else { 0 };
                rule.seen.store(seen, Ordering::Relaxed);
                rules.push(rule);
            }
        }
        rules
    }

    fn build(
        name: &str,
        place: Option<&str>,
        value: Option<String>,
        times: Option<u64>,
        each_task: bool,
    ) -> Result<Self, String> {
        let (name, value) = match name.strip_prefix("http-") {
            // http-429:7 is rate-limited:7.
            Some("429") if value.is_some() => ("rate-limited", value),
            Some(status) => ("http", Some(status.to_owned())),
            None => (name, value),
        };
        let entry = CATALOGUE
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| format!("there is no scenario {name:?}; GET /sandbox/scenarios lists them"))?;
        let place = match place {
            None => entry.place,
            Some(place) => Place::named(place).ok_or_else(|| format!("there is no route {place:?}"))?,
        };
        if entry.kind == Kind::Http && value.as_ref().is_some_and(|status| !status.parse().is_ok_and(is_status)) {
            return Err("http wants a status between 100 and 999".into());
        }
        if entry.kind == Kind::Hold && value.as_ref().is_some_and(|state| State::named(state).is_none()) {
            return Err("hold wants queued, dispatched or running".into());
        }
        let fault = Fault {
            kind: entry.kind,
            stage: entry.stage,
            value: value.unwrap_or_else(|| entry.value.to_owned()),
            name: entry.name,
        };
        Ok(Self { fault: Arc::new(fault), place, after: 0, times, each_task, seen: AtomicU64::new(0) })
    }

    /// Whether the rule strikes now; counts the occasion.
    fn strikes(&self, occasion: &Occasion<'_>) -> bool {
        let fits = self.place.covers(occasion.place)
            && (self.fault.stage == Stage::Reading) == occasion.reading
            && match self.fault.stage {
                Stage::Reading => true,
                Stage::Making => occasion.place == Place::Create,
                Stage::Pending => occasion.pending,
                Stage::Done => occasion.done,
                Stage::Picture => occasion.place == Place::Image,
                Stage::Look | Stage::Instead | Stage::Travel => true,
            }
            && (!matches!(self.fault.kind, Kind::ResetReused | Kind::CloseReused) || occasion.reused);
        if !fits {
            return false;
        }
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        seen >= self.after && self.times.is_none_or(|times| seen - self.after < times)
    }

    fn describe(&self) -> Value {
        json!({
            "name": self.fault.name,
            "route": self.place.name(),
            "value": self.fault.value,
            "times": self.times,
            "after": self.after,
            "each_task": self.each_task,
            "seen": self.seen.load(Ordering::Relaxed),
        })
    }
}

/// What is going on when rules are asked.
pub(super) struct Occasion<'a> {
    pub(super) place: Place,
    /// The body of the request is about to be read.
    pub(super) reading: bool,
    /// The task has not ended.
    pub(super) pending: bool,
    /// The task has succeeded.
    pub(super) done: bool,
    /// The connection served a request before.
    pub(super) reused: bool,
    /// The rules that came with the prompt or the task.
    pub(super) own: &'a [Rule],
}

/// The rules in force for everybody.
#[derive(Default)]
pub(super) struct Rules {
    rules: RwLock<Vec<Rule>>,
}

impl Rules {
    pub(super) fn add(&self, rule: Rule) {
        self.rules.write().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    pub(super) fn clear(&self) {
        self.rules.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The faults that strike now: those of the task first.
    pub(super) fn striking(&self, occasion: &Occasion<'_>) -> Vec<Arc<Fault>> {
        let common = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let common = common.iter().filter(|rule| !rule.each_task);
        let all = occasion.own.iter().chain(common);
        all.filter(|rule| rule.strikes(occasion)).map(|rule| Arc::clone(&rule.fault)).collect()
    }

    /// Fresh copies of the rules that are counted for each task.
    pub(super) fn for_each_task(&self) -> Vec<Rule> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.iter().filter(|rule| rule.each_task).cloned().collect()
    }

    pub(super) fn describe(&self) -> Value {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).iter().map(Rule::describe).collect()
    }
}

fn is_status(status: u16) -> bool {
    (100..=999).contains(&status)
}

/// Takes `*times` or `*times/task` off the end.
fn split_count(text: &str) -> (&str, Option<(u64, bool)>) {
    let Some((rest, count)) = text.rsplit_once('*') else {
        return (text, None);
    };
    let (digits, each_task) = match count.strip_suffix("/task") {
        Some(digits) => (digits, true),
        None => (count, false),
    };
    match digits.trim().parse() {
        Ok(times) => (rest.trim_end(), Some((times, each_task))),
        Err(_) => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(own: &[Rule]) -> Occasion<'_> {
        Occasion { place: Place::Poll, reading: false, pending: true, done: false, reused: false, own }
    }

    #[test]
    fn a_rule_reads_its_route_value_and_count() {
        let rule = Rule::read("image.drip:20*3/task").unwrap();
        assert_eq!(
            (rule.fault.kind, rule.place, rule.times, rule.each_task),
            (Kind::Drip, Place::Image, Some(3), true)
        );
        assert_eq!(rule.fault.value, "20");
        let rule = Rule::read("http-503*2").unwrap();
        assert_eq!((rule.fault.kind, rule.fault.value.as_str(), rule.times), (Kind::Http, "503", Some(2)));
        let rule = Rule::read("http-429:7").unwrap();
        assert_eq!((rule.fault.kind, rule.fault.value.as_str()), (Kind::RateLimited, "7"));
        let rule = Rule::read("address:http://127.0.0.1:1/a").unwrap();
        assert_eq!(rule.fault.value, "http://127.0.0.1:1/a");
    }

    #[test]
    fn a_misspelt_rule_is_refused() {
        for text in ["", "nothing", "kitchen.drip", "http-9", "http-abc", "drip*x:1"] {
            assert!(Rule::read(text).is_err(), "{text}");
        }
        assert!(Rule::read_json(&json!({"name": "drip", "time": 3})).is_err());
        assert!(Rule::read_json(&json!({"name": "drip", "times": -3})).is_err());
    }

    #[test]
    fn a_rule_strikes_after_so_many_occasions_and_so_often() {
        let rules = Rules::default();
        rules.add(Rule::read_json(&json!({"name": "http-500", "times": 2, "after": 1})).unwrap());
        let struck: Vec<bool> = (0..5).map(|_| !rules.striking(&poll(&[])).is_empty()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
    }

    #[test]
    fn a_directive_is_read_from_the_prompt_and_other_brackets_are_left_alone() {
        let rules = Rule::in_prompt("a cat [in a hat] [fail:content_moderation] [poll.http-502*1", 1);
        assert_eq!(rules.len(), 1);
        assert_eq!((rules[0].fault.kind, rules[0].fault.value.as_str()), (Kind::Fail, "content_moderation"));
        let places: Vec<_> =
            Rule::in_prompt("[http-502] [any.http-502] [image-html]", 1).iter().map(|rule| rule.place).collect();
        assert_eq!(places, [Place::Poll, Place::Any, Place::Image]);
    }

    #[test]
    fn a_directive_for_the_create_goes_on_counting_at_the_next_submit() {
        let create = |submit| {
            let own = Rule::in_prompt("[create.http-503*1] a cat", submit);
            let occasion = Occasion { place: Place::Create, ..poll(&own) };
            Rules::default().striking(&occasion).len()
        };
        assert_eq!((create(1), create(2)), (1, 0));
    }

    #[test]
    fn every_name_in_the_catalogue_is_read_back_and_told_once() {
        let mut names: Vec<_> = CATALOGUE.iter().map(|entry| entry.name).collect();
        for entry in CATALOGUE {
            assert_eq!(Rule::read(entry.name).unwrap().fault.kind, entry.kind);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CATALOGUE.len());
    }
}

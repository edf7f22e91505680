//! A create: from the order to the task, and to the answer that comes at once or when the work is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::answer::Answer;
use super::catalogue::{Kind, Place, Stage};
use super::gateway::{ANY_KEY, Call, Refusal, Route};
use super::order::{self, Invalid};
use super::pictures::Canvas;
use super::scenario::{Fault, Occasion, Rule, Rules};
use super::shapes::Shape;
use super::store::{self, Fate, Plan, State, Task};
use super::{Service, dimilinks, lemondata};

/// Scaled seconds after which a synchronous create is given up: DimiLinks' server allows 8 minutes and a half.
const SYNCHRONOUS_SECONDS: f64 = 510.0;

/// Most tasks that are made in one go.
const MOST_AT_ONCE: u64 = 1_000_000;

/// Answers a create or an edit.
pub(super) fn answer(call: &Call<'_>) -> Answer {
    call.create()
}

/// Makes `count` tasks without a create for each, for the control route: `members` are those of a create. Every `{n}` in the
/// prompt is the task's number, from 1. Only the prompt's own directives strike, and of those only what concerns the task itself.
pub(super) fn many(call: &Call<'_>, members: &Map<String, Value>, count: u64) -> Result<Vec<Arc<Task>>, String> {
    if !(1..=MOST_AT_ONCE).contains(&count) {
        return Err(format!("count must be a whole number from 1 to {MOST_AT_ONCE}"));
    }
    let wish = call.wish(members).map_err(|invalid| invalid.message)?;
    let prompt = order::prompt(members).unwrap_or("a task");
    let make = |number: u64| {
        let prompt = prompt.replace("{n}", &number.to_string());
        let submit = call.gateway.store.count_submit(call.service, &prompt);
        let own = Rule::in_prompt(&prompt, submit);
        let faults = Rules::default().striking(&Occasion {
            place: Place::Create,
            reading: false,
            pending: false,
            done: false,
            reused: false,
            own: &own,
        });
        call.add(&prompt, &wish, ANY_KEY, own, submit, &faults)
    };
    Ok((1..=count).map(make).collect())
}

impl Call<'_> {
    fn create(&self) -> Answer {
        let members = order::members(self.request);
        let members = members.map(|members| match self.shape {
            Some(_) => Shape::order(&members).into_owned(),
            None => members,
        });
        let prompt = members.as_ref().and_then(order::prompt).unwrap_or_default();
        let submit = self.gateway.store.count_submit(self.service, prompt);
        let own = Rule::in_prompt(prompt, submit);
        let asynchronous =
            members.as_ref().is_some_and(|members| self.wish(members).is_ok_and(|wish| wish.asynchronous));
        let faults = self.gateway.rules.striking(&Occasion {
            place: Place::Create,
            reading: false,
            pending: false,
            done: !asynchronous,
            reused: self.request.served_before > 0,
            own: &own,
        });
        let mut made = None;
        let mut answer = None;
        if !faults.iter().any(|fault| fault.stage == Stage::Instead) {
            answer = Some(
                self.make(members.as_ref(), submit, own, &faults)
                    .unwrap_or_else(|refusal| (self.refuse(&refusal), None)),
            );
        }
        let honest = answer.map(|(answer, task)| {
            made = task;
            answer
        });
        self.with_faults(&faults, made.as_deref(), || honest.unwrap_or_else(|| self.refuse(&Refusal::UnknownRoute)))
    }

    fn wish(&self, members: &Map<String, Value>) -> Result<Wish, Invalid> {
        if self.shape.is_some() {
            let canvas = order::canvas(members, &["resolution"])?;
            return Ok(Wish { canvas, count: 1, asynchronous: true, b64: false, model: String::new() });
        }
        match self.service {
            Service::DimiLinks => {
                let wish = dimilinks::wish(self.request, members, self.route == Route::Edit)?;
                let model = members.get("model").and_then(Value::as_str).unwrap_or("gpt-image-2").to_owned();
                Ok(Wish {
                    canvas: wish.canvas,
                    count: wish.count,
                    asynchronous: wish.asynchronous,
                    b64: wish.b64,
                    model,
                })
            }
            Service::LemonData => {
                let wish = lemondata::wish(members)?;
                Ok(Wish {
                    canvas: wish.canvas,
                    count: wish.count,
                    asynchronous: wish.asynchronous,
                    b64: wish.b64,
                    model: wish.model,
                })
            }
        }
    }

    /// Makes a task; answers at once or when it is done.
    fn make(
        &self,
        members: Option<&Map<String, Value>>,
        submit: u64,
        own: Vec<Rule>,
        faults: &[Arc<Fault>],
    ) -> Result<(Answer, Option<Arc<Task>>), Refusal> {
        let key = self.admit()?;
        let members = members.ok_or(Refusal::Unreadable)?;
        let prompt = order::prompt(members).ok_or(Refusal::NoPrompt)?;
        let wish = self.wish(members).map_err(Refusal::Invalid)?;
        let task = self.add(prompt, &wish, key, own, submit, faults);
        if wish.asynchronous {
            let answer = match (self.shape, self.service) {
                (Some(shape), _) => {
                    let accepted = self.with_seen(shape, &task, &task.now(), |task| shape.accepted(task));
                    Answer::json(200, &accepted)
                }
                (None, Service::DimiLinks) => dimilinks::accepted(&task, dimilinks::wants_apimart(self.request)),
                (None, Service::LemonData) => lemondata::accepted(&task),
            };
            return Ok((answer, Some(task)));
        }
        if !self.wait_for(&task) {
            return Err(Refusal::TooSlow);
        }
        let answer = match self.service {
            Service::DimiLinks => dimilinks::finished(self, &task, wish.b64),
            Service::LemonData => lemondata::finished(self, &task, wish.b64),
        };
        Ok((answer, Some(task)))
    }

    /// Makes the task itself.
    fn add(
        &self,
        prompt: &str,
        wish: &Wish,
        owner: &str,
        own: Vec<Rule>,
        submit: u64,
        faults: &[Arc<Fault>],
    ) -> Arc<Task> {
        let gateway = self.gateway;
        let chance = store::digest(gateway.seed, self.service, prompt, submit, "time");
        let seconds = gateway.duration.unwrap_or_else(|| store::usual_seconds(&chance));
        let mut making = Making {
            seconds: Some(seconds),
            fate: Fate::Success,
            is_video: wish.model.contains("seedance") || wish.model.contains("video"),
            first_shape: false,
            held: None,
        };
        for fault in faults {
            making.change(self.service, fault);
        }
        let scaled = |seconds: f64| Duration::try_from_secs_f64(seconds / gateway.speed).unwrap_or(Duration::MAX / 4);
        let mut rules = own;
        rules.extend(gateway.rules.for_each_task());
        let plan = Plan {
            service: self.service,
            owner: owner.to_owned(),
            prompt: prompt.to_owned(),
            model: wish.model.clone(),
            canvas: wish.canvas,
            count: wish.count,
            queue: scaled(making.seconds.unwrap_or(seconds) * 0.1),
            total: making.seconds.map(scaled),
            fate: making.fate,
            is_video: making.is_video,
            first_shape: making.first_shape,
            held: making.held,
            rules,
            submit,
        };
        gateway.store.add(plan, gateway.seed)
    }

    /// A synchronous create waits as long as the task takes; the control route may end it sooner. Returns whether it ended.
    fn wait_for(&self, task: &Task) -> bool {
        let budget = Instant::now() + Duration::from_secs_f64(SYNCHRONOUS_SECONDS / self.gateway.speed);
        while !task.now().is_finished() {
            let step = task.remaining().unwrap_or(Duration::MAX).min(Duration::from_millis(20));
            if Instant::now() >= budget || self.gateway.stop.sleep(step) {
                return false;
            }
        }
        true
    }
}

/// What both providers' creates come to.
struct Wish {
    canvas: Canvas,
    count: usize,
    asynchronous: bool,
    b64: bool,
    model: String,
}

/// A task in the making.
struct Making {
    seconds: Option<f64>,
    fate: Fate,
    is_video: bool,
    first_shape: bool,
    held: Option<State>,
}

impl Making {
    fn change(&mut self, service: Service, fault: &Fault) {
        let number = || fault.value.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
        match fault.kind {
            Kind::Fail => {
                let code = fault.value.clone();
                let message = match service {
                    Service::DimiLinks => dimilinks::message_for(&code),
                    Service::LemonData => lemondata::message_for(&code),
                };
                self.fate = Fate::Failure { message: message.to_owned(), code };
            }
            Kind::Cancelled => self.fate = Fate::Cancelled,
            Kind::Never => self.seconds = None,
            Kind::Hold => {
                self.seconds = None;
                self.held = State::named(&fault.value);
            }
            Kind::Slow => self.seconds = self.seconds.map(|seconds| seconds * number().unwrap_or(10.0)),
            Kind::Fast => self.seconds = Some(1.0),
            Kind::Duration => self.seconds = Some(number().unwrap_or(60.0)),
            Kind::Video => self.is_video = true,
            Kind::FirstShape => self.first_shape = true,
            _ => {}
        }
    }
}

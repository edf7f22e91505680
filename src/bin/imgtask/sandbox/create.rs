//! A create: from the order to the task, and to the answer that comes at once or when the work is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::answer::Answer;
use super::catalogue::{Kind, Place, Stage};
use super::gateway::{Call, Refusal, Route};
use super::order::{self, Invalid};
use super::pictures::Canvas;
use super::scenario::{Fault, Occasion, Rule};
use super::store::{self, Fate, Plan, State, Task};
use super::{Service, dimilinks, lemondata};

/// Scaled seconds after which a synchronous create is given up: DimiLinks' server allows 8 minutes and a half.
const SYNCHRONOUS_SECONDS: f64 = 510.0;

/// Answers a create or an edit.
pub(super) fn answer(call: &Call<'_>) -> Answer {
    call.create()
}

impl Call<'_> {
    fn create(&self) -> Answer {
        let members = order::members(self.request);
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
        let total = making.seconds.map(scaled);
        let mut rules = own;
        rules.extend(gateway.rules.for_each_task());
        let plan = Plan {
            service: self.service,
            owner: key.to_owned(),
            prompt: prompt.to_owned(),
            model: wish.model,
            canvas: wish.canvas,
            count: wish.count,
            queue: scaled(making.seconds.unwrap_or(seconds) * 0.1),
            total,
            fate: making.fate,
            is_video: making.is_video,
            first_shape: making.first_shape,
            held: making.held,
            rules,
            submit,
        };
        let task = gateway.store.add(plan, gateway.seed);
        if wish.asynchronous {
            let answer = match self.service {
                Service::DimiLinks => dimilinks::accepted(&task, dimilinks::wants_apimart(self.request)),
                Service::LemonData => lemondata::accepted(&task),
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

//! The gateway: which route a request is for, who asks, and which provider's answer it gets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::answer::Answer;
use super::catalogue::{Kind, Place, Stage};
use super::http::{self, Hearing, Request};
use super::limit::{Exceeded, Limit};
use super::links::{Links, Refused};
use super::order::Invalid;
use super::pictures::Pictures;
use super::scenario::{Fault, Occasion, Rules};
use super::shapes::{Seen, Shape, Wanted};
use super::stats::Stats;
use super::stop::Stop;
use super::store::{Moment, Store, Task};
use super::{Service, control, create, dimilinks, lemondata, twist};
use base64::Engine;

/// The key that every route of every provider takes.
pub(super) const ANY_KEY: &str = "sk-sandbox";

/// Everything that the doors share.
pub(super) struct Gateway {
    pub(super) speed: f64,
    pub(super) seed: u64,
    /// Seconds of every task, before the speed is applied; none: log-normal.
    pub(super) duration: Option<f64>,
    pub(super) doors: [SocketAddr; 3],
    pub(super) store: Store,
    pub(super) links: Links,
    pub(super) pictures: Pictures,
    pub(super) limit: Limit,
    pub(super) rules: Rules,
    pub(super) stats: Stats,
    pub(super) stop: Arc<Stop>,
}

/// A refused request, whatever the provider's envelope.
pub(super) enum Refusal {
    MissingKey,
    InvalidKey,
    UnknownTask,
    UnknownRoute,
    NoPrompt,
    Unreadable,
    Invalid(Invalid),
    Limited(Exceeded),
    /// A synchronous create that took too long.
    TooSlow,
    /// The documented error of a status.
    Status(u16),
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Create,
    Edit,
    /// `/v1/tasks/{id}`, at both providers.
    Task,
    /// `/v1/images/tasks/{id}`, DimiLinks.
    LegacyTask,
    /// `/v1/images/generations/{id}`, LemonData.
    Generation,
    /// `/v1/images/{id}`, LemonData.
    PublicImage,
    Cancel,
    /// `/p/img/{id}/{index}`, DimiLinks.
    SignedImage,
    /// `/generated/{id}-{index}.{extension}`, LemonData; a picture of a shape.
    CdnImage,
    /// `/v1/videos/{id}/content`, DimiLinks; with the key.
    Video,
    Control,
    Unknown,
}

impl Route {
    /// Where scenarios place it.
    pub(super) fn place(self) -> Option<Place> {
        match self {
            Self::Create | Self::Edit => Some(Place::Create),
            Self::Task | Self::LegacyTask | Self::Generation | Self::PublicImage => Some(Place::Poll),
            Self::SignedImage | Self::CdnImage | Self::Video => Some(Place::Image),
            Self::Cancel => Some(Place::Cancel),
            Self::Control | Self::Unknown => None,
        }
    }
}

/// One request, understood.
pub(super) struct Call<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) request: &'a Request<'a>,
    pub(super) route: Route,
    pub(super) service: Service,
    /// As in the path, decoded.
    pub(super) id: String,
    /// The place of an image in its task, as in the path.
    pub(super) index: String,
    /// Whose shape is asked for, where it is that of another service.
    pub(super) shape: Option<&'static Shape>,
    /// Whether a shape's result is asked for, which is at a place of its own.
    pub(super) result: bool,
}

impl http::Handler for Gateway {
    fn before_body(&self, request: &Request<'_>) -> Hearing {
        let call = self.understand(request);
        let Some(place) = call.route.place() else { return Hearing::Well };
        let occasion =
            Occasion { place, reading: true, pending: false, done: false, reused: request.served_before > 0, own: &[] };
        let faults = self.rules.striking(&occasion);
        let Some(fault) = faults.first() else { return Hearing::Well };
        self.stats.strike(fault);
        let status = u16::try_from(fault.number(413)).unwrap_or(413);
        let refusal = call.refuse(&Refusal::Status(status));
        match fault.kind {
            Kind::SlowRead => Hearing::Slowly(Duration::from_millis(fault.number(50).min(60_000))),
            Kind::Deaf => {
                self.stats.note(&call, 0);
                Hearing::Never
            }
            _ => {
                self.stats.note(&call, status);
                Hearing::Enough(Box::new(refusal))
            }
        }
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        let call = self.understand(request);
        if call.route == Route::Control {
            return control::answer(self, request);
        }
        let answer = call.answer();
        // A fault that sends nothing, or no HTTP, has no status.
        self.stats.note(&call, if answer.delivery.instead.is_some() { 0 } else { answer.status });
        answer
    }
}

impl Gateway {
    fn understand<'a>(&'a self, request: &'a Request<'a>) -> Call<'a> {
        if let Some((shape, path)) = Shape::of(request.path) {
            return self.understand_shape(request, shape, path);
        }
        let (route, id, index) = read_path(request);
        let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy().into_owned();
        let service = match request.door {
            1 => Service::DimiLinks,
            2 => Service::LemonData,
            // The open door: the path, the key or the id tell.
            _ => match (route, bearer(request)) {
                (Route::LegacyTask | Route::SignedImage | Route::Video, _) => Service::DimiLinks,
                (Route::Generation | Route::PublicImage | Route::CdnImage | Route::Cancel, _) => Service::LemonData,
                (_, Some(key)) if key.starts_with(Service::LemonData.key()) => Service::LemonData,
                (_, Some(key)) if key.starts_with(Service::DimiLinks.key()) => Service::DimiLinks,
                _ => self.store.get(&id).map_or(Service::DimiLinks, |task| task.plan.service),
            },
        };
        Call { gateway: self, request, route, service, id, index: index.to_owned(), shape: None, result: false }
    }

    fn understand_shape<'a>(&'a self, request: &'a Request<'a>, shape: &'static Shape, path: &str) -> Call<'a> {
        let none = String::new;
        let (route, id, index, result) = match shape.wanted(request, path) {
            None => (Route::Unknown, none(), none(), false),
            Some(Wanted::Create) => (Route::Create, none(), none(), false),
            Some(Wanted::Task(id)) => (Route::Task, id, none(), false),
            Some(Wanted::Result(id)) => (Route::Task, id, none(), true),
            Some(Wanted::Picture(id, index)) => (Route::CdnImage, id, index, false),
        };
        Call { gateway: self, request, route, service: Service::DimiLinks, id, index, shape: Some(shape), result }
    }

    /// Where a shape is served.
    pub(super) fn shape_base(&self, shape: &Shape) -> String {
        format!("{}/as/{}", self.origin(0), shape.name)
    }

    /// The origin of a door.
    pub(super) fn origin(&self, door: usize) -> String {
        format!("http://{}", self.doors[door.min(2)])
    }
}

fn read_path<'a>(request: &Request<'a>) -> (Route, &'a str, &'a str) {
    let path = request.path;
    let get = request.method == "GET" || request.method == "HEAD";
    let one = |rest: &str| !rest.is_empty() && !rest.contains('/');
    if path.starts_with("/sandbox") {
        return (Route::Control, "", "");
    }
    match (request.method, path) {
        ("POST", "/v1/images/generations") => return (Route::Create, "", ""),
        ("POST", "/v1/images/edits") => return (Route::Edit, "", ""),
        _ => {}
    }
    if let Some(id) = path.strip_prefix("/v1/tasks/").filter(|id| one(id)) {
        match request.method {
            "DELETE" => return (Route::Cancel, id, ""),
            _ if get => return (Route::Task, id, ""),
            _ => {}
        }
    }
    if !get {
        return (Route::Unknown, "", "");
    }
    for (prefix, route) in [
        ("/v1/images/tasks/", Route::LegacyTask),
        ("/v1/images/generations/", Route::Generation),
        ("/v1/images/", Route::PublicImage),
    ] {
        if let Some(id) = path.strip_prefix(prefix).filter(|id| one(id)) {
            return (route, id, "");
        }
    }
    if let Some(id) =
        path.strip_prefix("/v1/videos/").and_then(|rest| rest.strip_suffix("/content")).filter(|id| one(id))
    {
        return (Route::Video, id, "");
    }
    if let Some((id, index)) = path.strip_prefix("/p/img/").and_then(|rest| rest.split_once('/')) {
        return (Route::SignedImage, id, index);
    }
    if let Some(rest) = path.strip_prefix("/generated/") {
        let name = rest.rsplit_once('.').map_or(rest, |(name, _)| name);
        let (id, index) = name.rsplit_once('-').unwrap_or((name, ""));
        return (Route::CdnImage, id, index);
    }
    (Route::Unknown, "", "")
}

/// The key of a request.
pub(super) fn bearer<'a>(request: &Request<'a>) -> Option<&'a str> {
    let (scheme, key) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()).filter(|key| !key.is_empty())
}

impl Call<'_> {
    /// A link to a picture of LemonData, at the door that was asked.
    pub(super) fn cdn_link(&self, task: &Task, index: usize) -> String {
        let extension = task.plan.canvas.format.extension();
        format!("{}/generated/{}-{index}.{extension}", self.gateway.origin(self.request.door), task.id)
    }

    /// A picture as base64.
    pub(super) fn base64(&self, task: &Task, index: usize) -> String {
        base64::engine::general_purpose::STANDARD.encode(self.picture(task, index))
    }

    fn picture(&self, task: &Task, index: usize) -> Arc<[u8]> {
        self.gateway.pictures.of(task.plan.service, &task.plan.prompt, index, task.plan.canvas)
    }

    fn answer(&self) -> Answer {
        let Some(place) = self.route.place() else {
            return self.refuse(&Refusal::UnknownRoute);
        };
        if place == Place::Create {
            return create::answer(self);
        }
        let task = self.gateway.store.get(&self.id);
        let moment = task.as_ref().map(|task| task.now());
        if let (Some(task), Place::Poll) = (&task, place) {
            task.looks.fetch_add(1, Ordering::Relaxed);
        }
        let faults = self.gateway.rules.striking(&Occasion {
            place,
            reading: false,
            pending: moment.as_ref().is_some_and(|moment| !moment.is_finished()),
            done: moment.as_ref().is_some_and(Moment::succeeded),
            reused: self.request.served_before > 0,
            own: task.as_ref().map_or(&[], |task| &task.plan.rules),
        });
        self.with_faults(&faults, task.as_deref(), || {
            if matches!(self.route, Route::SignedImage | Route::CdnImage) {
                return self.image(task.as_deref(), &faults);
            }
            let known = self.admit().and_then(|key| {
                let task = task.as_deref().filter(|task| self.may_see(key, task));
                task.zip(moment.as_ref()).ok_or(Refusal::UnknownTask)
            });
            match known {
                Err(refusal) => self.refuse(&refusal),
                Ok((task, moment)) => self.look(task, moment),
            }
        })
    }

    /// Lets the faults strike around the honest answer.
    pub(super) fn with_faults(
        &self,
        faults: &[Arc<Fault>],
        task: Option<&Task>,
        honest: impl FnOnce() -> Answer,
    ) -> Answer {
        for fault in faults {
            self.gateway.stats.strike(fault);
        }
        let mut answer = match faults.iter().find(|fault| fault.stage == Stage::Instead) {
            Some(fault) => twist::instead(self, fault),
            None => honest(),
        };
        // What is said is changed before how it travels, whatever order the faults were given in.
        for step in 0..twist::STEPS {
            for fault in faults.iter().filter(|fault| twist::step(fault) == step) {
                twist::apply(self, fault, task, &mut answer);
            }
        }
        answer
    }

    fn look(&self, task: &Task, moment: &Moment) -> Answer {
        if let Some(shape) = self.shape {
            let result_failed = self.result && !moment.succeeded();
            let document = self.with_seen(shape, task, moment, |task| shape.seen(task));
            return Answer::json(if result_failed { 422 } else { 200 }, &document);
        }
        match (self.service, self.route) {
            (Service::DimiLinks, Route::Video) => dimilinks::video(task, moment),
            (Service::DimiLinks, Route::Task) => dimilinks::look(self, task, moment),
            (Service::DimiLinks, Route::LegacyTask) => dimilinks::look_legacy(self, task, moment),
            (Service::LemonData, Route::Task) => lemondata::look(self, task, moment),
            (Service::LemonData, Route::Generation) => lemondata::look_generation(self, task, moment),
            (Service::LemonData, Route::PublicImage) if lemondata::is_public_id(&task.id) => {
                lemondata::look(self, task, moment)
            }
            (Service::LemonData, Route::PublicImage) => self.refuse(&Refusal::UnknownTask),
            (Service::LemonData, Route::Cancel) => lemondata::cancel(self, task),
            _ => self.refuse(&Refusal::UnknownRoute),
        }
    }

    /// The task as the table of shapes takes it.
    pub(super) fn with_seen<T>(
        &self,
        shape: &Shape,
        task: &Task,
        moment: &Moment,
        say: impl FnOnce(&Seen<'_>) -> T,
    ) -> T {
        say(&Seen {
            id: &task.id,
            base: self.gateway.shape_base(shape),
            state: moment.state,
            fate: moment.fate.as_ref(),
            percent: moment.percent,
            created: task.created_ms / 1000,
            changed: moment.changed_at,
            extension: task.plan.canvas.format.extension(),
            count: task.plan.count,
            result: self.result,
            base64: &|index| self.base64(task, index),
        })
    }

    pub(super) fn refuse(&self, refusal: &Refusal) -> Answer {
        match self.service {
            Service::DimiLinks => dimilinks::refuse(refusal, dimilinks::wants_apimart(self.request)),
            Service::LemonData => lemondata::refuse(refusal),
        }
    }

    /// Checks the key and charges the request to it.
    pub(super) fn admit(&self) -> Result<&str, Refusal> {
        let key = match self.shape {
            Some(shape) => shape.key_of(self.request),
            None => bearer(self.request),
        };
        let key = key.ok_or(Refusal::MissingKey)?;
        let own = if self.shape.is_some() { ANY_KEY } else { self.service.key() };
        if !key.starts_with(own) && key != ANY_KEY {
            return Err(Refusal::InvalidKey);
        }
        self.gateway.limit.charge(key).map_err(Refusal::Limited)?;
        Ok(key)
    }

    /// Tasks are told to the key that made them, and to the key for everything.
    fn may_see(&self, key: &str, task: &Task) -> bool {
        task.plan.service == self.service && (task.plan.owner == key || task.plan.owner == ANY_KEY || key == ANY_KEY)
    }

    fn image(&self, task: Option<&Task>, faults: &[Arc<Fault>]) -> Answer {
        let task = task.filter(|task| task.plan.service == self.service);
        let index = if self.route == Route::SignedImage {
            let (exp, sig) = (self.request.query("exp"), self.request.query("sig"));
            let now = super::unix_ms();
            match self.gateway.links.check(&self.id, &self.index, exp.as_deref(), sig.as_deref(), now) {
                Err(Refused::Malformed) => return Answer::empty(400),
                Err(Refused::Forbidden) => return Answer::empty(403),
                Ok(index) => Some(index),
            }
        } else {
            self.index.parse().ok()
        };
        let found = task.zip(index).filter(|(task, index)| *index < task.plan.count && task.now().succeeded());
        let Some((task, index)) = found else {
            return Answer::empty(404);
        };
        task.image_gets.fetch_add(1, Ordering::Relaxed);
        let picture = self.picture(task, index);
        let media_type = task.plan.canvas.format.media_type();
        let mut answer = twist::with_range(self.request, media_type, picture, faults);
        if self.route == Route::SignedImage {
            answer = answer.header("Cache-Control", "private, max-age=3600").header("X-Upscale", "1k");
        }
        answer
    }
}

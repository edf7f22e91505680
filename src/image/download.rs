//! An address becomes bytes in a sink. No header of the API goes along: the key stays at the API's own origin, and there
//! too it is sent only where the dialect says that image links want it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use super::link::{self, ImageHosts};
use super::partial::{Continuation, Partial};
use crate::error::{Error, Result, Retry, Status};
use crate::http::{Call, Headers, Http, Method, Reply, Request, Scheme, Stop, Url};
use crate::picture::PictureInfo;

/// Redirects followed for one image.
const MAX_HOPS: usize = 5;
/// Tries in all, the first one included.
const MAX_TRIES: u32 = 5;
/// Pause before the second try, doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No download waits longer than this for its host; a longer pause is the caller's decision.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So long a host is left alone at most, whatever it says.
const LONGEST_CLOSED: Duration = Duration::from_secs(600);
const PIECE_BYTES: usize = 64 * 1024;
/// A download has no time limit of its own, only the stall limit and the caller's stop.
const NO_LIMIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// An image on its way, over all of its tries.
pub(crate) struct Progress {
    partial: Partial,
    /// Tries begun, and the pause before the next one.
    tries: u32,
    pause: Duration,
    /// How long the host wants to be left alone, as the last try was told.
    pause_of_host: Option<Duration>,
}

/// What a try came to.
pub(crate) enum Tried {
    /// All of the image is in the sink.
    Whole(PictureInfo),
    /// The next try is worth its while when a pause is over.
    Again(Pause),
}

/// What the next try waits for.
pub(crate) struct Pause {
    pub(crate) time: Duration,
    /// Whether the host asked for it, for all of its images.
    pub(crate) of_host: bool,
}

impl Progress {
    /// Bytes of memory that it holds, at most.
    pub(crate) const MOST_BYTES: usize = Partial::MOST_BYTES;

    pub(crate) fn new() -> Progress {
        Progress { partial: Partial::new(), tries: 1, pause: FIRST_PAUSE, pause_of_host: None }
    }

    /// Another address of the image takes over. What came through the old one counts where the same host names it: another one
    /// may give the name to something else.
    pub(crate) fn move_on(&mut self, from: Option<&Url>, to: &Url) {
        let goes_on = from.is_some_and(|from| from == to || from.same_origin(to) && self.partial.is_named());
        if !goes_on {
            self.partial.restart();
        }
    }

    /// How long the host wants to be left alone, as the last try was told.
    pub(crate) fn pause_of_host(&self) -> Option<Duration> {
        self.pause_of_host
    }

    /// Forgets what came, for a sink that lost it, and not how often it was tried.
    pub(crate) fn forget(&mut self) {
        self.partial.restart();
    }

    /// What comes of an error: a pause, or an end.
    fn after(&mut self, error: Error) -> Result<Tried> {
        match error.retry() {
            Retry::Now if worth_another_try(error.status()) => {
                let of_host = error.http_status() == 503;
                self.again(error, Duration::ZERO, of_host)
            }
            Retry::After(asked) => {
                self.pause_of_host = Some(asked.min(LONGEST_CLOSED));
                self.again(error, asked, true)
            }
            _ => Err(error),
        }
    }

    /// The same for a look at the task that was to bring a new link. It counts as a try, and says nothing about the image's host.
    pub(crate) fn after_look(&mut self, error: Error) -> Result<Tried> {
        match error.retry() {
            Retry::Never => Err(error),
            Retry::Now => self.again(error, Duration::ZERO, false),
            // Beyond that the gate waits.
            Retry::After(asked) => self.again(error, asked.min(LONGEST_PAUSE), false),
        }
    }

    fn again(&mut self, error: Error, at_least: Duration, of_host: bool) -> Result<Tried> {
        if self.tries >= MAX_TRIES || at_least > LONGEST_PAUSE {
            return Err(error);
        }
        let time = at_least.max(self.pause);
        self.tries += 1;
        self.pause *= 2;
        Ok(Tried::Again(Pause { time, of_host }))
    }
}

/// Where the bytes go.
pub(crate) trait Sink {
    /// Takes the next bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// Forgets what it took: the image starts again.
    fn restart(&mut self) -> Result<()>;
}

impl Sink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.try_reserve(bytes.len()).map_err(|_| Error::new(Status::Resource, "out of memory for the image"))?;
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.clear();
        Ok(())
    }
}

impl Sink for super::NewFile {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        super::NewFile::write(self, bytes)
    }

    fn restart(&mut self) -> Result<()> {
        super::NewFile::restart(self)
    }
}

/// How images of one client are fetched.
pub(crate) struct Download<'a> {
    pub(crate) http: &'a Http,
    pub(crate) stop: &'a Arc<Stop>,
    pub(crate) stall: Duration,
    pub(crate) max_bytes: u64,
    pub(crate) api: &'a Url,
    /// Whether hosts other than the API's may be at private addresses.
    pub(crate) allow_private: bool,
    /// Paths that belong to the API's origin whatever host the link names.
    pub(crate) rebase: Option<&'a str>,
    /// Counts the requests sent.
    pub(crate) requests: &'a AtomicU64,
    /// Counts the body bytes received.
    pub(crate) bytes_received: &'a AtomicU64,
    /// The header of the key, where the dialect says that images on the API's own origin want it.
    pub(crate) auth: Option<(&'a str, &'a str)>,
}

impl Download<'_> {
    /// Tries to fetch `url` into `sink`, which holds what `progress` says has come already. After anything but `Whole` the sink's
    /// content is of use to another try with the same `progress` only.
    ///
    /// `LinkExpired` when the host no longer honours the link; a fresh look at the task gives a new one, which goes on from there.
    pub(crate) fn fetch(&self, url: &Url, progress: &mut Progress, sink: &mut dyn Sink) -> Result<Tried> {
        progress.pause_of_host = None;
        loop {
            let before = progress.partial.len();
            let error = match self.fetch_once(url, &mut progress.partial, sink) {
                Ok(Some(info)) => return Ok(Tried::Whole(info)),
                // Once, and from the first byte.
                Ok(None) => continue,
                Err(error) => error,
            };
            if progress.partial.len() > before {
                progress.pause = FIRST_PAUSE;
            }
            return progress.after(error);
        }
    }

    /// One answer; `None` when it does not go on from what is there.
    fn fetch_once(&self, url: &Url, partial: &mut Partial, sink: &mut dyn Sink) -> Result<Option<PictureInfo>> {
        let mut reply = self.open(url, partial)?;
        match partial.go_on(&reply)? {
            Continuation::Rest => {}
            Continuation::Whole => sink.restart()?,
            Continuation::Misfit => {
                reply.drain();
                sink.restart()?;
                return Ok(None);
            }
        }
        let announced = reply.content_length().map(|len| len.saturating_add(partial.len()));
        if announced.is_some_and(|len| len > self.max_bytes) {
            return Err(self.too_large());
        }
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let n = reply.read(&mut piece)?;
            if n == 0 {
                return partial.finish().map(Some);
            }
            self.bytes_received.fetch_add(n as u64, Relaxed);
            if partial.len() + n as u64 > self.max_bytes {
                return Err(self.too_large());
            }
            // The file first: what the fingerprint has seen must be in it.
            sink.write(&piece[..n])?;
            partial.feed(&piece[..n])?;
        }
    }

    /// Follows redirects to the answer that carries the image.
    fn open(&self, url: &Url, partial: &Partial) -> Result<Reply> {
        let mut url = url.clone();
        // A redirect from elsewhere back to the API does not bring the key along.
        let mut at_home = true;
        for _ in 0..=MAX_HOPS {
            let reply = self.ask(&mut url, at_home, partial)?;
            at_home &= url.same_origin(self.api);
            let status = reply.status();
            match status {
                200 | 206 => return Ok(reply),
                // There is no rest of that kind: the image is another one now, or was whole but for its end.
                416 if partial.len() > 0 => return Ok(reply),
                301 | 302 | 303 | 307 | 308 => {
                    let location = reply.header("location").unwrap_or_default();
                    let next = link::redirect(&url, location).ok_or_else(|| {
                        Error::new(Status::Rejected, format!("{} redirects to no usable address", url.origin()))
                    })?;
                    if !link::may_follow(&url, &next) {
                        let message = format!("{} redirects from https to plain http", url.origin());
                        return Err(Error::new(Status::Blocked, message));
                    }
                    reply.drain();
                    url = next;
                }
                _ => {
                    let error = refused(&url, &reply);
                    reply.drain();
                    return Err(error);
                }
            }
        }
        let message = format!("{} redirects more than {MAX_HOPS} times", url.origin());
        Err(Error::new(Status::Rejected, message))
    }

    /// One request; a link that the rules refuse is taken to the API's origin where the dialect says that it belongs there.
    fn ask(&self, url: &mut Url, with_key: bool, partial: &Partial) -> Result<Reply> {
        let hosts = ImageHosts { api: self.api.origin(), allow_private: self.allow_private };
        if url.scheme() == Scheme::Http
            && self.api.scheme() == Scheme::Https
            && let Some(rebased) = link::rebase(url, self.api, self.rebase)
        {
            *url = rebased;
        }
        let result = self.send(url, with_key, hosts.must_be_public(url), partial);
        if let Err(error) = &result
            && error.status() == Status::Blocked
            && let Some(rebased) = link::rebase(url, self.api, self.rebase)
        {
            *url = rebased;
            return self.send(url, with_key, false, partial);
        }
        // Whose API is in a private network has its images there too.
        let blocked = matches!(&result, Err(error) if error.status() == Status::Blocked);
        if blocked && self.http.is_private(self.api, self.stop) {
            self.send(url, with_key, false, partial)
        } else {
            result
        }
    }

    fn send(&self, url: &Url, with_key: bool, public_only: bool, partial: &Partial) -> Result<Reply> {
        let call = Call {
            stop: self.stop.clone(),
            deadline: Instant::now() + NO_LIMIT,
            stall: self.stall,
            stall_before_answer: true,
        };
        let mut headers = vec![("accept", "image/*,*/*;q=0.5")];
        headers.extend(self.auth.filter(|_| with_key && url.same_origin(self.api)));
        let range = partial.range();
        if let Some((range, validator)) = &range {
            headers.push(("range", range));
            headers.extend(validator.map(|validator| ("if-range", validator)));
        }
        let headers = Headers::new(headers)?;
        let request = Request { method: Method::Get, url, headers: &headers, body: None, public_only };
        self.requests.fetch_add(1, Relaxed);
        self.http.send(&request, &call).map_err(|failure| failure.error)
    }

    fn too_large(&self) -> Error {
        Error::new(Status::TooLarge, format!("the image is larger than the limit of {} bytes", self.max_bytes))
    }
}

fn worth_another_try(status: Status) -> bool {
    use Status::{Connect, Io, Resolve, Server, Timeout, Tls};
    matches!(status, Resolve | Connect | Tls | Io | Timeout | Server)
}

fn refused(url: &Url, reply: &Reply) -> Error {
    let (status, host) = (reply.status(), url.origin());
    let error = match status {
        401 | 403 | 404 | 410 => {
            Error::new(Status::LinkExpired, format!("{host} no longer honours the image's link (HTTP {status})"))
        }
        408 | 425 | 429 | 500.. => {
            let word = if status == 429 { Status::RateLimited } else { Status::Server };
            let error = Error::new(word, format!("{host} cannot give the image now (HTTP {status})"));
            match reply.retry_after(SystemTime::now) {
                Some(pause) => error.with_retry(Retry::After(pause)),
                None if status == 429 => error.with_retry(Retry::After(Duration::from_secs(5))),
                None => error,
            }
        }
        _ => Error::new(Status::Rejected, format!("{host} refused to give the image (HTTP {status})")),
    };
    error.with_http_status(status)
}

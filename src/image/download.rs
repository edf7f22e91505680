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
/// No pause that a host asks for is obeyed beyond this; a longer one is the caller's decision.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const PIECE_BYTES: usize = 64 * 1024;
/// A download has no time limit of its own, only the stall limit and the caller's stop.
const NO_LIMIT: Duration = Duration::from_secs(30 * 24 * 3600);

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
    /// Fetches `url` into `sink`, which holds what `partial` says has come already; tries again where that helps. On an error the
    /// sink's content is of use to another call with the same `partial` only.
    ///
    /// `LinkExpired` when the host no longer honours the link; a fresh look at the task gives a new one, which goes on from there.
    pub(crate) fn fetch(&self, url: &Url, partial: &mut Partial, sink: &mut dyn Sink) -> Result<PictureInfo> {
        let mut pause = FIRST_PAUSE;
        let mut tries = 1;
        loop {
            let before = partial.len();
            let error = match self.fetch_once(url, partial, sink) {
                Ok(Some(info)) => return Ok(info),
                // Once, and from the first byte.
                Ok(None) => continue,
                Err(error) => error,
            };
            if partial.len() > before {
                pause = FIRST_PAUSE;
            }
            let wait = match error.retry() {
                Retry::Now if tries < MAX_TRIES && worth_another_try(error.status()) => pause,
                Retry::After(asked) if tries < MAX_TRIES && asked <= LONGEST_PAUSE => asked.max(pause),
                _ => return Err(error),
            };
            if !self.stop.sleep(wait) {
                return Err(cancelled());
            }
            tries += 1;
            pause *= 2;
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
        for _ in 0..=MAX_HOPS {
            let reply = self.ask(&mut url, partial)?;
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
    fn ask(&self, url: &mut Url, partial: &Partial) -> Result<Reply> {
        let hosts = ImageHosts { api: self.api.origin(), allow_private: self.allow_private };
        if url.scheme() == Scheme::Http
            && self.api.scheme() == Scheme::Https
            && let Some(rebased) = link::rebase(url, self.api, self.rebase)
        {
            *url = rebased;
        }
        let result = self.send(url, hosts.must_be_public(url), partial);
        if let Err(error) = &result
            && error.status() == Status::Blocked
            && let Some(rebased) = link::rebase(url, self.api, self.rebase)
        {
            *url = rebased;
            return self.send(url, false, partial);
        }
        // Whose API is in a private network has its images there too.
        let blocked = matches!(&result, Err(error) if error.status() == Status::Blocked);
        if blocked && self.http.is_private(self.api, self.stop) { self.send(url, false, partial) } else { result }
    }

    fn send(&self, url: &Url, public_only: bool, partial: &Partial) -> Result<Reply> {
        let call = Call {
            stop: self.stop.clone(),
            deadline: Instant::now() + NO_LIMIT,
            stall: self.stall,
            stall_before_answer: true,
        };
        let mut headers = vec![("accept", "image/*,*/*;q=0.5")];
        headers.extend(self.auth.filter(|_| url.same_origin(self.api)));
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

fn cancelled() -> Error {
    Error::new(Status::Cancelled, "the download was interrupted")
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

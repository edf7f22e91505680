//! The server: HTTP/1.1 on loopback, a thread for each connection, heads read by `httparse`.
//!
//! It is our own because a framework's server cannot be made to misbehave.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::answer::{self, Answer, Body};
use super::stop::Stop;

/// Connections served at once; one more is answered 503 and closed.
const MAX_CONNECTIONS: usize = 1024;
const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_BODY_BYTES: usize = 64 << 20;
const MAX_HEADERS: usize = 128;
/// A peer that reads nothing for so long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// A peer that is not heard is let go after this time.
const DEAF_TIMEOUT: Duration = Duration::from_secs(120);
/// An unused connection is closed after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// One request, borrowed from the connection's buffer.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// Without the query.
    pub(super) path: &'a str,
    /// Without the question mark; empty when there is none.
    pub(super) query: &'a str,
    pub(super) headers: &'a [httparse::Header<'a>],
    /// The request line and the headers, as received.
    pub(super) head: &'a [u8],
    /// Decoded, when it came in chunks.
    pub(super) body: &'a [u8],
    /// Which door it came through: the index given to [`Server::open`].
    pub(super) door: usize,
    /// How many requests this connection served before.
    pub(super) served_before: u64,
    /// The connection's number, from 1.
    pub(super) connection: u64,
}

impl<'a> Request<'a> {
    /// The first header of this name.
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        let found = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    }

    /// The first query member of this name, decoded.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then(|| percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
        })
    }
}

/// What answers requests.
pub(super) trait Handler: Send + Sync {
    /// Asked once for a request with a body, before more of it is read; its `body` is empty.
    fn before_body(&self, request: &Request<'_>) -> Hearing;

    /// Answers a whole request.
    fn answer(&self, request: &Request<'_>) -> Answer;
}

/// How the body of a request is taken.
pub(super) enum Hearing {
    /// As it comes.
    Well,
    /// 2 KiB at a time, with this pause before each.
    Slowly(Duration),
    /// Not at all: the connection stays open and full.
    Never,
    /// Answered at once; the connection is closed with the rest unread.
    Enough(Box<Answer>),
}

/// The doors, and everybody inside.
pub(super) struct Server {
    handler: Arc<dyn Handler>,
    stop: Arc<Stop>,
    inside: Arc<Inside>,
    doors: Vec<(SocketAddr, JoinHandle<()>)>,
}

/// The live connections, so that a stop can end them.
#[derive(Default)]
struct Inside {
    streams: Mutex<HashMap<u64, Arc<TcpStream>>>,
    count: AtomicU64,
}

impl Server {
    pub(super) fn new(handler: Arc<dyn Handler>, stop: Arc<Stop>) -> Self {
        Self { handler, stop, inside: Arc::default(), doors: Vec::new() }
    }

    /// Serves what a listener accepts.
    pub(super) fn open(&mut self, door: usize, listener: TcpListener) -> io::Result<()> {
        let address = listener.local_addr()?;
        let (handler, stop, inside) = (Arc::clone(&self.handler), Arc::clone(&self.stop), Arc::clone(&self.inside));
        let thread = Builder::new().name(format!("sandbox-door-{door}")).spawn(move || {
            accept(door, &listener, &handler, &stop, &inside);
        })?;
        self.doors.push((address, thread));
        Ok(())
    }

    /// Closes the doors and every connection. Returns when no new connection can be accepted.
    pub(super) fn close(&mut self) {
        self.stop.set();
        for (address, thread) in self.doors.drain(..) {
            // The visit wakes the accept call.
            let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
            let _ = thread.join();
        }
        let streams = self.inside.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A listener on loopback; port 0 lets the system choose.
pub(super) fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

fn accept(door: usize, listener: &TcpListener, handler: &Arc<dyn Handler>, stop: &Arc<Stop>, inside: &Arc<Inside>) {
    loop {
        let accepted = listener.accept();
        if stop.is_set() {
            return;
        }
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: let some connections end.
            stop.sleep(Duration::from_millis(20));
            continue;
        };
        let number = inside.count.fetch_add(1, Ordering::Relaxed) + 1;
        let stream = Arc::new(stream);
        let crowded = {
            let mut streams = inside.streams.lock().unwrap_or_else(PoisonError::into_inner);
            let crowded = streams.len() >= MAX_CONNECTIONS;
            if !crowded {
                streams.insert(number, Arc::clone(&stream));
            }
            crowded
        };
        if crowded {
            let _ = (&*stream)
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            continue;
        }
        let (handler, stop) = (Arc::clone(handler), Arc::clone(stop));
        let visit = Visit { door, number, stream, inside: Arc::clone(inside) };
        // A thread that cannot be had drops the visit, and so closes the connection.
        let _ = Builder::new().name("sandbox".into()).stack_size(512 << 10).spawn(move || {
            let _ = visit.serve(&*handler, &stop);
        });
    }
}

/// One connection.
struct Visit {
    door: usize,
    number: u64,
    stream: Arc<TcpStream>,
    inside: Arc<Inside>,
}

impl Drop for Visit {
    /// The last owner closes the socket: a reset must not wait for the list of connections.
    fn drop(&mut self) {
        self.inside.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// What the buffer holds.
enum Received {
    /// Not yet a whole request.
    Partial,
    /// The head is whole and asks to be told to go on.
    Expects,
    /// A whole request was answered: so many bytes of the buffer are used, and the connection may go on or not.
    Answered(usize, bool),
    /// The connection ends with bytes unread.
    Abandoned,
}

/// What is known about the request that is being received.
#[derive(Default)]
struct Progress {
    /// Requests served before.
    served: u64,
    /// The peer was told to go on.
    told_to_go_on: bool,
    /// The handler was asked how to take the body.
    asked: bool,
    /// Pause before each piece of the body.
    pause: Option<Duration>,
}

impl Visit {
    fn serve(&self, handler: &dyn Handler, stop: &Stop) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        self.stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
        let mut buffer = Vec::with_capacity(8 << 10);
        let mut scratch = Vec::with_capacity(4 << 10);
        let mut progress = Progress::default();
        loop {
            match self.receive(&buffer, &mut progress, handler, &mut scratch, stop)? {
                Received::Answered(used, keep) => {
                    if !keep {
                        if socket2::SockRef::from(&*self.stream).linger()?.is_none() {
                            answer::close_gently(&self.stream);
                        }
                        return Ok(());
                    }
                    buffer.drain(..used);
                    progress = Progress { served: progress.served + 1, ..Progress::default() };
                    if !buffer.is_empty() {
                        continue;
                    }
                }
                Received::Expects if !progress.told_to_go_on => {
                    progress.told_to_go_on = true;
                    (&*self.stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                }
                Received::Expects | Received::Partial => {}
                Received::Abandoned => return Ok(()),
            }
            let most = match progress.pause {
                Some(pause) if stop.sleep(pause) => return Ok(()),
                Some(_) => 2 << 10,
                None => usize::MAX,
            };
            if !fill(&self.stream, &mut buffer, most)? {
                return Ok(());
            }
        }
    }

    /// Answers the request at the front of the buffer, if it is whole.
    fn receive(
        &self,
        buffer: &[u8],
        progress: &mut Progress,
        handler: &dyn Handler,
        scratch: &mut Vec<u8>,
        stop: &Stop,
    ) -> io::Result<Received> {
        if buffer.is_empty() {
            return Ok(Received::Partial);
        }
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut slots);
        let head = match parsed.parse(buffer) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if buffer.len() <= MAX_HEAD_BYTES => return Ok(Received::Partial),
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return self.refuse(431, scratch, stop);
            }
            Err(_) => return self.refuse(400, scratch, stop),
        };
        let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
            return self.refuse(400, scratch, stop);
        };
        let framing = match BodyFraming::of(parsed.headers) {
            Ok(framing) => framing,
            Err(status) => return self.refuse(status, scratch, stop),
        };
        // An absolute target (a proxy's form) is read as its path.
        let target = match target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
            None => target,
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Request {
            method,
            path,
            query,
            headers: parsed.headers,
            head: &buffer[..head],
            body: &[],
            door: self.door,
            served_before: progress.served,
            connection: self.number,
        };
        if !progress.asked && !matches!(framing, BodyFraming::Length(0)) {
            progress.asked = true;
            match handler.before_body(&request) {
                Hearing::Well => {}
                Hearing::Slowly(pause) => progress.pause = Some(pause),
                Hearing::Never => {
                    stop.sleep(DEAF_TIMEOUT);
                    return Ok(Received::Abandoned);
                }
                Hearing::Enough(answer) => {
                    answer::send(&answer, &self.stream, scratch, false, false, stop)?;
                    return Ok(Received::Abandoned);
                }
            }
        }
        let mut decoded = Vec::new();
        let rest = &buffer[head..];
        let (body, used) = match framing {
            BodyFraming::Length(length) if rest.len() >= length => (&rest[..length], head + length),
            BodyFraming::Chunked => match decode_chunks(rest, &mut decoded) {
                Ok(Some(length)) => (&decoded[..], head + length),
                Ok(None) => return Ok(waiting(request.headers)),
                Err(status) => return self.refuse(status, scratch, stop),
            },
            BodyFraming::Length(_) => return Ok(waiting(request.headers)),
        };
        let request = Request { body, ..request };
        let asked = request.header("connection").unwrap_or_default();
        let asks = |word: &str| asked.split(',').any(|token| token.trim().eq_ignore_ascii_case(word));
        let keep_alive = if parsed.version == Some(1) { !asks("close") } else { asks("keep-alive") };
        let answer = handler.answer(&request);
        let keep = answer::send(&answer, &self.stream, scratch, keep_alive, method == "HEAD", stop)?;
        Ok(Received::Answered(used, keep))
    }

    /// Answers what is not HTTP.
    fn refuse(&self, status: u16, scratch: &mut Vec<u8>, stop: &Stop) -> io::Result<Received> {
        let text = Body::Own(b"the sandbox could not read this request\n".to_vec());
        let answer = Answer::with_body(status, "text/plain; charset=utf-8", text);
        answer::send(&answer, &self.stream, scratch, false, false, stop)?;
        Ok(Received::Answered(0, false))
    }
}

/// Reads what has come, up to so many bytes. False at the end of the stream.
fn fill(mut stream: &TcpStream, buffer: &mut Vec<u8>, most: usize) -> io::Result<bool> {
    let filled = buffer.len();
    // Grows with what was really received, never with what was announced.
    buffer.resize(filled + (8 << 10).max(filled.min(256 << 10)).min(most), 0);
    let read = loop {
        match stream.read(&mut buffer[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other,
        }
    };
    buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
    Ok(read? > 0)
}

fn waiting(headers: &[httparse::Header<'_>]) -> Received {
    let expects = headers
        .iter()
        .any(|header| header.name.eq_ignore_ascii_case("expect") && header.value.eq_ignore_ascii_case(b"100-continue"));
    if expects { Received::Expects } else { Received::Partial }
}

enum BodyFraming {
    Length(usize),
    Chunked,
}

impl BodyFraming {
    /// What the headers say, or the status of the refusal.
    fn of(headers: &[httparse::Header<'_>]) -> Result<Self, u16> {
        let mut length = None;
        for header in headers {
            if header.name.eq_ignore_ascii_case("transfer-encoding") {
                return if header.value.eq_ignore_ascii_case(b"chunked") { Ok(Self::Chunked) } else { Err(400) };
            }
            if header.name.eq_ignore_ascii_case("content-length") {
                let text = std::str::from_utf8(header.value).unwrap_or_default().trim();
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let value = text.parse::<usize>().ok().filter(|_| digits).ok_or(400_u16)?;
                if length.is_some_and(|seen| seen != value) {
                    return Err(400);
                }
                length = Some(value);
            }
        }
        match length.unwrap_or(0) {
            length if length > MAX_BODY_BYTES => Err(413),
            length => Ok(Self::Length(length)),
        }
    }
}

/// Decodes a chunked body. Returns how many bytes it took, or nothing while it is not whole.
fn decode_chunks(mut rest: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, u16> {
    let whole = rest.len();
    loop {
        let (line, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((line, size))) => (line, size),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(400),
        };
        rest = &rest[line..];
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).ok().filter(|&size| size <= MAX_BODY_BYTES - out.len()).ok_or(413_u16)?;
        let Some(chunk) = rest.get(..size) else {
            return Ok(None);
        };
        match rest.get(size..size + 2) {
            None => return Ok(None),
            Some(b"\r\n") => {}
            Some(_) => return Err(400),
        }
        out.extend_from_slice(chunk);
        rest = &rest[size + 2..];
    }
    // Trailers, up to the empty line.
    loop {
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return Ok(None);
        };
        rest = &rest[end + 2..];
        if end == 0 {
            return Ok(Some(whole - rest.len()));
        }
    }
}

//! A server on loopback that does exactly what a test tells it, rude things included. Every wait in it is bounded.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::http::Url;

const PATIENCE: Duration = Duration::from_secs(10);

/// Runs one function for every connection, on a thread of its own.
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    closing: AtomicBool,
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
    streams: Mutex<HashMap<usize, TcpStream>>,
}

/// The server's end of one connection.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    shared: Arc<Shared>,
}

impl Server {
    /// `script` gets the connection and its number, from 0.
    pub(super) fn new(script: impl Fn(&mut Peer, usize) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let for_acceptor = Arc::clone(&shared);
        let acceptor = thread::spawn(move || {
            let script = &script;
            thread::scope(|scope| {
                for stream in listener.incoming() {
                    if for_acceptor.closing.load(Ordering::SeqCst) {
                        return;
                    }
                    let stream = stream.unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    stream.set_write_timeout(Some(PATIENCE)).unwrap();
                    stream.set_nodelay(true).unwrap();
                    let number = for_acceptor.connections.fetch_add(1, Ordering::SeqCst);
                    for_acceptor.streams.lock().unwrap().insert(number, stream.try_clone().unwrap());
                    let mut peer = Peer { stream, shared: Arc::clone(&for_acceptor) };
                    scope.spawn(move || {
                        script(&mut peer, number);
                        // The last handle but one: the connection ends with this thread.
                        peer.shared.streams.lock().unwrap().remove(&number);
                    });
                }
            });
        });
        Server { address, shared, acceptor: Some(acceptor) }
    }

    /// Answers every request on every connection with the same bytes.
    pub(super) fn answering(answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        Server::new(move |peer, _| {
            while peer.request().is_some() {
                peer.send(&answer);
            }
        })
    }

    /// Answers one request with these bytes and ends the connection.
    pub(super) fn closing(answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        Server::new(move |peer, _| {
            peer.request();
            peer.send(&answer);
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The requests that were read whole, head and body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        // A client that lives longer keeps its idle connections; nobody waits for those.
        for stream in self.shared.streams.lock().unwrap().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(acceptor) = self.acceptor.take() {
            let result = acceptor.join();
            assert!(result.is_ok() || thread::panicking(), "the server's script panicked");
        }
    }
}

impl Peer {
    /// Reads one request; `None` when the client is done.
    pub(super) fn request(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let mut wanted = None;
        loop {
            let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").filter(|_| wanted.is_none());
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                wanted = Some(end + 4 + length.unwrap_or(0));
            }
            if wanted.is_some_and(|wanted| bytes.len() >= wanted) {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.shared.requests.lock().unwrap().push(text.clone());
                return Some(text);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(n @ 1..) => bytes.extend_from_slice(&buffer[..n]),
                _ => return None,
            }
        }
    }

    /// Sends as much as the client takes. False when it is gone.
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// One byte at a time, until the client has had enough.
    pub(super) fn drip(&mut self, bytes: impl AsRef<[u8]>, pause: Duration) {
        for byte in bytes.as_ref() {
            if !self.send([*byte]) {
                return;
            }
            thread::sleep(pause);
        }
    }

    /// Stays silent until the client goes away.
    pub(super) fn hold(&mut self) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && matches!(self.stream.read(&mut [0; 4096]), Ok(1..)) {}
    }

    /// Neither reads nor ends the connection.
    pub(super) fn sleep(&self) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && !self.shared.closing.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the connection with a reset instead of an end.
    pub(super) fn reset(&mut self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

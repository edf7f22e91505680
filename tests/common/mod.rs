//! A server that answers as a test tells it to, and remembers what it was asked.
#![allow(unreachable_pub, missing_docs, dead_code)] // Each test program uses a part of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use imgtask::{Client, Options};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What to do with a request.
pub enum Answer {
    /// A whole answer with a JSON body.
    Json(u16, String),
    /// These bytes, and the connection stays open.
    Raw(Vec<u8>),
    /// These bytes, then the end of the connection.
    Last(Vec<u8>),
    /// These bytes, so many at a time with a pause between.
    Drip(Vec<u8>, usize, Duration),
    /// Nothing, for as long as the peer stays.
    Silence,
    /// The connection ends without a byte.
    HangUp,
    /// Whatever this does with the connection, which ends with it: with a reset where it says `linger` 0.
    Own(Box<dyn FnOnce(&mut TcpStream) + Send>),
}

pub fn json(body: &str) -> Answer {
    Answer::Json(200, body.to_owned())
}

/// A redirect without a body.
pub fn redirect(location: &str) -> Answer {
    Answer::Raw(format!("HTTP/1.1 302 X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes())
}

/// An answer with an image or anything else, of a type and with a length.
pub fn typed(media_type: &str, body: &[u8]) -> Answer {
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    Answer::Raw(bytes)
}

/// Where a client came in, and the connection while it lasts.
struct Connection(IpAddr, Option<TcpStream>);

type Handler = dyn Fn(&Asked, usize) -> Answer + Send + Sync;

pub struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<Mutex<Vec<Connection>>>,
    stopped: Arc<AtomicBool>,
    accepting: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// `handler` gets each request and how many came before it.
    pub fn start(handler: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Server {
        Server::start_at("127.0.0.1:0", handler)
    }

    /// As [`Server::start`], at an address of the test's own choice that `127.0.0.1` reaches too.
    pub fn start_at(address: &str, handler: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind(address).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut server = Server {
            port,
            asked: Arc::default(),
            connections: Arc::default(),
            stopped: Arc::default(),
            accepting: None,
        };
        let (asked, connections, stopped) = (server.asked.clone(), server.connections.clone(), server.stopped.clone());
        let handler: Arc<Handler> = Arc::new(handler);
        server.accepting = Some(thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { return };
                let came_in = stream.local_addr().expect("an address").ip().to_canonical();
                let number = {
                    let mut connections = connections.lock().expect("a lock");
                    connections.push(Connection(came_in, Some(stream.try_clone().expect("a handle"))));
                    connections.len() - 1
                };
                let (asked, handler, connections) = (asked.clone(), handler.clone(), connections.clone());
                thread::spawn(move || {
                    if let Some((stream, script)) = serve(stream, &asked, &*handler) {
                        // The last handle is the script's.
                        connections.lock().expect("a lock")[number].1 = None;
                        let mut stream = stream;
                        script(&mut stream);
                    }
                });
            }
        }));
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("a lock").clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.lock().expect("a lock").len()
    }

    /// The addresses that its clients connected to.
    pub fn reached(&self) -> Vec<IpAddr> {
        self.connections.lock().expect("a lock").iter().map(|connection| connection.0).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accept loop and every connection's reader.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        // From here on nobody listens at the port.
        let _ = self.accepting.take().map(thread::JoinHandle::join);
        for connection in self.connections.lock().expect("a lock").iter() {
            let _ = connection.1.as_ref().map(|stream| stream.shutdown(Shutdown::Both));
        }
    }
}

type Script = Box<dyn FnOnce(&mut TcpStream) + Send>;

/// Answers until the connection ends, or until a script is to have it alone.
fn serve(stream: TcpStream, asked: &Mutex<Vec<Asked>>, handler: &Handler) -> Option<(TcpStream, Script)> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream.set_nodelay(true).expect("an option");
    let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
    let mut writer = stream;
    while let Some(request) = read(&mut reader) {
        let before = {
            let mut asked = asked.lock().expect("a lock");
            asked.push(request.clone());
            asked.len() - 1
        };
        let bytes = match handler(&request, before) {
            Answer::Json(status, body) => format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes(),
            Answer::Raw(bytes) => bytes,
            Answer::Last(bytes) => {
                let _ = writer.write_all(&bytes);
                let _ = writer.shutdown(Shutdown::Both);
                return None;
            }
            Answer::Drip(bytes, at_a_time, pause) => {
                for piece in bytes.chunks(at_a_time) {
                    if writer.write_all(piece).is_err() {
                        return None;
                    }
                    thread::sleep(pause);
                }
                continue;
            }
            Answer::Silence => {
                let _ = reader.read(&mut [0]);
                return None;
            }
            Answer::HangUp => {
                let _ = writer.shutdown(Shutdown::Both);
                return None;
            }
            Answer::Own(script) => return Some((writer, script)),
        };
        if writer.write_all(&bytes).is_err() {
            return None;
        }
    }
    None
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body })
}

/// A whole PNG of one pixel.
pub const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8, 2,
    0, 0, 0, 0x90, 0x77, 0x53, 0xDE, 0, 0, 0, 12, b'I', b'D', b'A', b'T', 0x78, 0x9C, 0x63, 0xF8, 0xDF, 0xC0, 0, 0, 4,
    1, 1, 0x80, 0xC5, 0x2A, 0x18, 0x5D, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82,
];

/// A key that no message may show.
pub const KEY: &str = "sk-CANARY-7f3a";

pub fn options(provider: &str, server: &Server) -> Options {
    Options {
        provider: provider.into(),
        base_url: Some(server.url()),
        api_key: Some(KEY.into()),
        poll_interval_ms: 10,
        ..Options::default()
    }
}

pub fn client(provider: &str, server: &Server) -> Client {
    Client::create(&options(provider, server)).expect("a client")
}

pub fn dimilinks(status: &str) -> String {
    format!(
        r#"{{"id":"img_1","task_id":"img_1","object":"image.task","status":"{status}","progress":50,"created_at":1777080000}}"#
    )
}

pub fn succeeded(links: &[&str]) -> String {
    let data: Vec<String> = links.iter().map(|link| format!(r#"{{"url":"{link}","file_id":"file_1"}}"#)).collect();
    format!(
        r#"{{"id":"img_1","status":"succeeded","progress":100,"created_at":1777080000,"completed_at":1777080060,"result":{{"data":[{}]}}}}"#,
        data.join(",")
    )
}

pub fn refusal(status: u16, code: &str) -> Answer {
    Answer::Json(status, format!(r#"{{"error":{{"message":"no","type":"t","code":"{code}"}}}}"#))
}

pub fn within(limit: Duration, what: impl FnOnce()) {
    let started = Instant::now();
    what();
    assert!(started.elapsed() < limit, "took {:?}", started.elapsed());
}

pub fn task_with_image(url: &str) -> imgtask::Task {
    let mut task = imgtask::Task::unseen("img_1", "img_1");
    task.images.push(imgtask::Image {
        link: imgtask::Link::Url(url.into()),
        source_index: 0,
        file_id: String::new(),
        revised_prompt: String::new(),
        expires_at: 0,
        width: 0,
        height: 0,
        byte_size: 0,
    });
    task
}

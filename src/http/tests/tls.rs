//! TLS.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::HandshakeKind;
use rustls::pki_types::PrivateKeyDer;

use super::server::Peer;
use super::*;
use crate::error::Retry;
use crate::http::stop::tests::assert_stops;

fn secure(server: &Server) -> Url {
    Url::parse(&format!("https://localhost:{}/", server.port())).unwrap()
}

#[test]
fn a_plain_server_is_tls_and_not_tried_again() {
    let plain = Server::new(|peer, _| {
        use std::io::Read;
        let _ = peer.stream.read(&mut [0; 4096]);
        peer.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        peer.hold();
    });
    let failure = send(&http(), &post(&secure(&plain), b"{}")).err().unwrap();
    assert_eq!(failure.error.status(), Status::Tls);
    assert!(failure.error.message().ends_with("failed the TLS handshake: it does not speak TLS"), "{}", failure.error);
    assert_eq!(failure.error.retry(), Retry::Never);
    assert!(!failure.sent);
}

#[test]
fn a_handshake_that_the_network_broke_may_be_tried_again() {
    for reset in [false, true] {
        let server = Server::new(move |peer, _| {
            use std::io::Read;
            let _ = peer.stream.read(&mut [0; 4096]);
            if reset {
                peer.reset();
            }
        });
        let failure = send(&http(), &post(&secure(&server), b"{}")).err().unwrap();
        assert_eq!(failure.error.status(), Status::Tls);
        assert_eq!(failure.error.retry(), Retry::Now, "{}", failure.error);
        assert!(!failure.sent);
    }
}

#[test]
fn a_silent_or_dripping_handshake_ends_at_the_deadline_the_connect_limit_and_a_stop() {
    let silent = Server::new(|peer, _| peer.hold());
    let dripping = Server::new(|peer, _| {
        peer.drip([0x16, 3, 3, 0x40].into_iter().chain([0; 100]).collect::<Vec<u8>>(), Duration::from_millis(50))
    });
    for server in [&silent, &dripping] {
        let url = secure(server);
        let started = Instant::now();
        let failure = http().send(&post(&url, b"{}"), &call(300)).err().unwrap();
        assert_eq!(failure.error.status(), Status::Timeout, "{}", failure.error);
        assert!(!failure.sent && started.elapsed() < Duration::from_millis(550));
        assert!(failure.error.message().contains("securing the connection to localhost:"), "{}", failure.error);

        let hasty = Http::new(&Settings { connect_timeout: Duration::from_millis(200), ..settings() }).unwrap();
        let started = Instant::now();
        let failure = send(&hasty, &post(&url, b"{}")).err().unwrap();
        assert_eq!(failure.error.status(), Status::Timeout);
        assert!(failure.error.message().starts_with("no connection within 200 ms"), "{}", failure.error);
        assert!(started.elapsed() < Duration::from_millis(450));

        let http = http();
        let failure = assert_stops(|stop| http.send(&get(&url), &Call { stop, ..call(10_000) }).err().unwrap());
        assert_eq!(failure.error.status(), Status::Cancelled);
    }
}

/// A certificate authority of its own, and a server certificate from it.
struct Authority {
    root: String,
    server: Arc<rustls::ServerConfig>,
    _folder: tempfile::TempDir,
    ca_file: std::path::PathBuf,
}

impl Authority {
    fn new(name: &str, change: impl Fn(&mut CertificateParams)) -> Authority {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        // Two authorities of one name would be told apart by their signatures only.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        ca.distinguished_name.push(DnType::CommonName, format!("authority {}", COUNT.fetch_add(1, Ordering::SeqCst)));
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = ca.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut leaf);
        let leaf = leaf.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
        let server = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, &root).unwrap();
        Authority { root, server: Arc::new(server), _folder: folder, ca_file }
    }

    fn http(&self, proxy: ProxyChoice) -> Http {
        Http::new(&Settings { ca_file: Some(self.ca_file.clone()), proxy, ..settings() }).unwrap()
    }

    /// A server whose script speaks through TLS; `resumed` counts the handshakes that were short.
    fn serve(&self, script: impl Fn(&mut Stream, usize) + Send + Sync + 'static) -> (Server, Arc<AtomicUsize>) {
        let config = Arc::clone(&self.server);
        let resumed = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&resumed);
        let server = Server::new(move |peer, n| {
            if let Some(mut stream) = accept(&config, peer) {
                if stream.conn.handshake_kind() == Some(HandshakeKind::Resumed) {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
                script(&mut stream, n);
            }
        });
        (server, resumed)
    }
}

type Stream = rustls::StreamOwned<rustls::ServerConnection, std::net::TcpStream>;

fn accept(config: &Arc<rustls::ServerConfig>, peer: &Peer) -> Option<Stream> {
    let conn = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = rustls::StreamOwned::new(conn, peer.stream.try_clone().unwrap());
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).ok()?;
    }
    Some(stream)
}

/// Reads the head of a request; false when the client is done.
fn request(stream: &mut impl Read) -> bool {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => return false,
        }
    }
    true
}

fn answer_all(stream: &mut (impl Read + Write)) {
    while request(stream) && stream.write_all(ok("{}").as_bytes()).is_ok() && stream.flush().is_ok() {}
}

#[test]
fn a_trusted_server_is_spoken_to_over_one_connection() {
    let authority = Authority::new("localhost", |_| {});
    let (server, _) = authority.serve(|stream, _| answer_all(stream));
    let http = authority.http(ProxyChoice::Direct);
    for _ in 0..20 {
        assert_eq!(fetch(&http, &secure(&server)).unwrap(), (200, b"{}".to_vec()));
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn new_connections_resume_the_session() {
    let authority = Authority::new("localhost", |_| {});
    let (server, resumed) = authority.serve(|stream, _| {
        request(stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}");
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    let http = authority.http(ProxyChoice::Direct);
    for _ in 0..10 {
        fetch(&http, &secure(&server)).unwrap();
    }
    assert_eq!((server.connections(), resumed.load(Ordering::SeqCst)), (10, 9));
}

#[test]
fn certificates_that_prove_nothing_are_refused_with_their_reason_and_for_good() {
    let good = Authority::new("localhost", |_| {});
    let stranger = Authority::new("localhost", |_| {});
    let other = Authority::new("other.example", |_| {});
    let expired = Authority::new("localhost", |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    let early = Authority::new("localhost", |params| params.not_before = rcgen::date_time_ymd(2999, 1, 1));
    for (served, trusted, reason) in [
        (&stranger, Some(&good), "its certificate comes from an authority that is not trusted"),
        (&good, None, "its certificate comes from an authority that is not trusted"),
        (&other, Some(&other), "its certificate is for another host"),
        (&expired, Some(&expired), "its certificate has expired"),
        (&early, Some(&early), "its certificate is not valid yet"),
    ] {
        let (server, _) = served.serve(|stream, _| answer_all(stream));
        let http = trusted.map_or_else(http, |trusted| trusted.http(ProxyChoice::Direct));
        let failure = send(&http, &post(&secure(&server), b"{}")).err().unwrap();
        assert_eq!(failure.error.status(), Status::Tls);
        assert!(failure.error.message().contains(reason), "{}", failure.error);
        assert_eq!(failure.error.retry(), Retry::Never);
        assert!(!failure.sent);
    }
}

#[test]
fn a_system_bundle_with_odd_parts_is_read() {
    let authority = Authority::new("localhost", |_| {});
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&authority.ca_file, format!("# roots\n{key}{odd}{}", authority.root)).unwrap();
    let (server, _) = authority.serve(|stream, _| answer_all(stream));
    fetch(&authority.http(ProxyChoice::Direct), &secure(&server)).unwrap();
}

#[test]
fn an_answer_that_ends_without_a_goodbye_is_io() {
    let authority = Authority::new("localhost", |_| {});
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n",
    ] {
        for goodbye in [false, true] {
            let (server, _) = authority.serve(move |stream, _| {
                request(stream);
                let _ = stream.write_all(format!("{head}12345").as_bytes());
                if goodbye {
                    stream.conn.send_close_notify();
                }
                let _ = stream.flush();
            });
            let result = fetch(&authority.http(ProxyChoice::Direct), &secure(&server));
            if goodbye && head.ends_with("OK\r\n\r\n") {
                assert_eq!(result.unwrap().1, b"12345");
            } else {
                assert_status(result, Status::Io);
            }
        }
    }
}

#[test]
fn a_get_whose_reused_tls_connection_died_is_sent_once_more() {
    let authority = Authority::new("localhost", |_| {});
    let (server, _) = authority.serve(|stream, n| match n {
        0 => {
            request(stream);
            let _ = stream.write_all(ok("{}").as_bytes());
            request(stream);
        }
        _ => answer_all(stream),
    });
    let http = authority.http(ProxyChoice::Direct);
    for _ in 0..3 {
        fetch(&http, &secure(&server)).unwrap();
    }
    assert_eq!((server.connections(), http.retries()), (2, 1));
}

#[test]
fn a_stop_and_a_stall_reach_a_body_under_tls() {
    let authority = Authority::new("localhost", |_| {});
    let (server, _) = authority.serve(|stream, _| {
        request(stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123");
        request(stream);
    });
    let http = authority.http(ProxyChoice::Direct);
    let url = secure(&server);
    let result = assert_stops(|stop| fetch_within(&http, &url, &Call { stop, ..call(10_000) }, 100));
    assert_status(result, Status::Cancelled);
    let started = Instant::now();
    let stalled = Call { stall: Duration::from_millis(200), ..call(10_000) };
    assert_status(fetch_within(&http, &secure(&server), &stalled, 100), Status::Timeout);
    assert!(started.elapsed() < Duration::from_millis(1000));
}

#[test]
fn tls_goes_through_a_tunnel_and_the_proxy_itself_may_be_secure() {
    let authority = Authority::new("localhost", |_| {});
    let config = Arc::clone(&authority.server);
    let plain = Server::new(move |peer, _| {
        let connect = peer.request().unwrap();
        assert!(connect.starts_with("CONNECT localhost:443 "), "{connect}");
        peer.send("HTTP/1.1 200 OK\r\n\r\n");
        answer_all(&mut accept(&config, peer).unwrap());
    });
    let http = authority.http(ProxyChoice::Url(format!("http://127.0.0.1:{}", plain.port())));
    for _ in 0..3 {
        fetch(&http, &Url::parse("https://localhost/").unwrap()).unwrap();
    }
    assert_eq!(plain.connections(), 1);

    let (secured, _) = authority.serve(|stream, _| {
        request(stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        answer_all(stream);
    });
    let http = authority.http(ProxyChoice::Url(format!("https://localhost:{}", secured.port())));
    for _ in 0..3 {
        fetch(&http, &Url::parse("http://api.example/").unwrap()).unwrap();
    }
    assert_eq!(secured.connections(), 1);

    // A proxy whose certificate nobody trusts gets nothing.
    let stranger = Authority::new("localhost", |_| {});
    let http = stranger.http(ProxyChoice::Url(format!("https://localhost:{}", secured.port())));
    let url = Url::parse("http://api.example/").unwrap();
    let failure = send(&http, &post(&url, b"{}")).err().unwrap();
    assert_eq!(failure.error.status(), Status::Proxy, "{}", failure.error);
    assert!(failure.error.message().contains("not trusted"), "{}", failure.error);
}

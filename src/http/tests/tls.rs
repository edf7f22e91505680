//! TLS.

use super::*;

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
    assert_eq!(failure.error.retry(), crate::error::Retry::Never);
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
        assert_eq!(failure.error.retry(), crate::error::Retry::Now, "{}", failure.error);
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

        let call = call(10_000);
        let stopper = stop_after(&call, 50);
        let failure = http().send(&get(&url), &call).err().unwrap();
        assert_eq!(failure.error.status(), Status::Cancelled);
        assert!(stopper.join().unwrap().elapsed() < Duration::from_millis(100));
    }
}

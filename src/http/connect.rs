//! From addresses to one open socket, with the stop and the deadline in reach at every moment.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::stop::Stop;

/// How often a connect looks at its token.
#[cfg(unix)]
const GLANCE: Duration = Duration::from_millis(50);
/// How long an address may keep the next one waiting (RFC 8305 calls it the connection attempt delay).
#[cfg(unix)]
const HEAD_START: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NoConnection {
    /// No address took it; what the last one said.
    Refused(io::Error),
    /// `until` has come.
    Over,
    Stopped,
}

/// Connects to the first address that answers. A silent one delays the next by a quarter of a second, a refusing one not at all.
pub(super) fn connect(addresses: &[IpAddr], port: u16, until: Instant, stop: &Stop) -> Result<TcpStream, NoConnection> {
    let addresses = alternate(addresses);
    let stream = race(&addresses, port, until, stop)?;
    stream.set_nodelay(true).map_err(NoConnection::Refused)?;
    // A comfort that not every system has.
    let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive());
    Ok(stream)
}

/// A submit may be silent for ten minutes. Probes keep the routers on the way from forgetting its connection, and find out when
/// the server is gone.
fn keepalive() -> socket2::TcpKeepalive {
    socket2::TcpKeepalive::new().with_time(Duration::from_secs(45)).with_interval(Duration::from_secs(15))
}

/// The families by turns, the resolver's favourite first: one broken family costs one head start.
fn alternate(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let Some(first) = addresses.first() else {
        return Vec::new();
    };
    let mut own = addresses.iter().filter(|ip| ip.is_ipv4() == first.is_ipv4());
    let mut other = addresses.iter().filter(|ip| ip.is_ipv4() != first.is_ipv4());
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(own.next());
        order.extend(other.next());
    }
    order
}

#[cfg(unix)]
fn race(addresses: &[IpAddr], port: u16, until: Instant, stop: &Stop) -> Result<TcpStream, NoConnection> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use socket2::Socket;

    use super::resolve::is_exhaustion;

    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut under_way: Vec<Socket> = Vec::new();
    let mut next = addresses.iter();
    let mut next_start = Instant::now();
    loop {
        if stop.is_stopped() {
            return Err(NoConnection::Stopped);
        }
        let now = Instant::now();
        if now >= until {
            return Err(NoConnection::Over);
        }
        if now >= next_start {
            if let Some(ip) = next.next() {
                match begin(SocketAddr::new(*ip, port)) {
                    Ok((socket, true)) => return finish(socket),
                    Ok((socket, false)) => {
                        under_way.push(socket);
                        next_start = now + HEAD_START;
                    }
                    Err(error) if is_exhaustion(&error) && under_way.is_empty() => {
                        return Err(NoConnection::Refused(error));
                    }
                    Err(error) => last = error,
                }
                continue;
            }
            if under_way.is_empty() {
                return Err(NoConnection::Refused(last));
            }
        }

        let mut wait = GLANCE.min(until - now);
        if !next.as_slice().is_empty() {
            wait = wait.min(next_start - now);
        }
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos() as _ };
        let mut polled: Vec<PollFd<'_>> = under_way.iter().map(|socket| PollFd::new(socket, PollFlags::OUT)).collect();
        match poll(&mut polled, Some(&wait)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(NoConnection::Refused(error.into())),
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        for at in (0..under_way.len()).rev().filter(|at| ready[*at]) {
            let socket = under_way.swap_remove(at);
            match socket.take_error().and_then(|error| error.map_or_else(|| socket.peer_addr().map(drop), Err)) {
                Ok(()) => return finish(socket),
                Err(error) => {
                    last = error;
                    next_start = now;
                }
            }
        }
    }
}

/// A socket on its way, and whether it is there already. Never inherited by a child process.
#[cfg(unix)]
fn begin(address: SocketAddr) -> io::Result<(socket2::Socket, bool)> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => Ok((socket, true)),
        // A connect that a signal interrupted goes on in the background like any other.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => Ok((socket, false)),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn finish(socket: socket2::Socket) -> Result<TcpStream, NoConnection> {
    socket.set_nonblocking(false).map_err(NoConnection::Refused)?;
    Ok(socket.into())
}

/// One address after the other, each with an equal share of the time. The stop is looked at between them.
#[cfg(not(unix))]
fn race(addresses: &[IpAddr], port: u16, until: Instant, stop: &Stop) -> Result<TcpStream, NoConnection> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (at, ip) in addresses.iter().enumerate() {
        if stop.is_stopped() {
            return Err(NoConnection::Stopped);
        }
        let left = until.saturating_duration_since(Instant::now()) / (addresses.len() - at) as u32;
        if left.is_zero() {
            return Err(NoConnection::Over);
        }
        match TcpStream::connect_timeout(&SocketAddr::new(*ip, port), left) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    match Instant::now() >= until {
        true => Err(NoConnection::Over),
        false => Err(NoConnection::Refused(last)),
    }
}

/// Whether a connection that nobody uses can still be used: not closed, and no byte came that nobody asked for.
#[cfg(unix)]
pub(super) fn is_quiet(stream: &TcpStream) -> bool {
    use rustix::net::{RecvFlags, recv};
    matches!(recv(stream, &mut [0u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT), Err(rustix::io::Errno::AGAIN))
}

#[cfg(not(unix))]
pub(super) fn is_quiet(stream: &TcpStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let quiet = matches!(stream.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).is_ok() && quiet
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::http::stop::tests::assert_stops;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
    use std::thread;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// A listener whose queue is full: a connect to it gets no answer.
    #[cfg(target_os = "linux")]
    pub(in crate::http) fn black_hole() -> (TcpListener, Vec<TcpStream>) {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(LOOPBACK, 0).into()).unwrap();
        socket.listen(0).unwrap();
        let listener: TcpListener = socket.into();
        let address = listener.local_addr().unwrap();
        let mut held = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            held.push(stream);
            assert!(held.len() < 64);
        }
        (listener, held)
    }

    #[test]
    fn families_take_turns() {
        let v4 = |n| IpAddr::from([192, 0, 2, n]);
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        assert_eq!(alternate(&[v6, v4(1), v4(2), v4(3)]), [v6, v4(1), v4(2), v4(3)]);
        assert_eq!(alternate(&[v4(1), v4(2), v6]), [v4(1), v6, v4(2)]);
        assert_eq!(alternate(&[]), [] as [IpAddr; 0]);
    }

    #[test]
    fn refusing_addresses_are_passed_over_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut addresses: Vec<IpAddr> = (2..20).map(|n| IpAddr::from([127, 0, 0, n])).collect();
        addresses.push(LOOPBACK);
        let started = Instant::now();
        let stream = connect(&addresses, port, soon(), &Stop::default()).unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip(), LOOPBACK);
        assert!(stream.nodelay().unwrap());
        assert!(socket2::SockRef::from(&stream).keepalive().unwrap());
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_port_where_nobody_listens_is_refused() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        match connect(&[LOOPBACK], port, soon(), &Stop::default()) {
            Err(NoConnection::Refused(error)) => assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused),
            other => panic!("{other:?}"),
        }
        assert!(matches!(connect(&[], port, soon(), &Stop::default()), Err(NoConnection::Refused(_))));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_silent_address_ends_at_the_limit_and_at_a_stop() {
        let (listener, _held) = black_hole();
        let port = listener.local_addr().unwrap().port();
        let started = Instant::now();
        let until = started + Duration::from_millis(300);
        assert!(matches!(connect(&[LOOPBACK], port, until, &Stop::default()), Err(NoConnection::Over)));
        assert!(started.elapsed() < Duration::from_millis(550));

        let result = assert_stops(|stop| connect(&[LOOPBACK], port, soon(), &stop));
        assert!(matches!(result, Err(NoConnection::Stopped)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_silent_address_delays_the_next_one_only_briefly() {
        let (silent, _held) = black_hole();
        let port = silent.local_addr().unwrap().port();
        let good = TcpListener::bind(("127.0.0.2", port)).unwrap();
        let started = Instant::now();
        let stream = connect(&[LOOPBACK, [127, 0, 0, 2].into()], port, soon(), &Stop::default()).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
        assert!((HEAD_START..HEAD_START * 4).contains(&started.elapsed()));
    }

    #[test]
    fn a_connection_is_quiet_until_bytes_or_the_end_come() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = || {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (stream, listener.accept().unwrap().0)
        };
        let until = soon();
        let turns_loud = |stream: &TcpStream| {
            while is_quiet(stream) {
                assert!(Instant::now() < until);
                thread::yield_now();
            }
        };
        let (stream, mut peer) = open();
        assert!(is_quiet(&stream));
        io::Write::write_all(&mut peer, b"x").unwrap();
        turns_loud(&stream);
        let (stream, peer) = open();
        drop(peer);
        turns_loud(&stream);
    }
}

//! Which addresses a link of a public API may lead to, in every spelling and by every name, as a link and as a redirect.

mod common;

use std::net::IpAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use common::{KEY, PNG, Server, json, options, redirect, succeeded, task_with_image, typed};
use imgtask::{Client, Options, Status};

/// Loopback as people and attackers spell it.
const LOOPBACK: [&str; 26] = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0X7F.1",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "127.000.000.001",
    "127.9.9.9",
    "0.0.0.0",
    "0",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
];

/// Other addresses that are not public: of networks, of clouds, reserved, for documentation.
const PRIVATE: [&str; 50] = [
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "169.254.169.254",
    "2852039166",
    "0xA9FEA9FE",
    "0xa9.0376.43518",
    "0251.0376.0251.0376",
    "169.254.169.254.",
    "100.64.0.1",
    "100.127.255.254",
    "0.1.2.3",
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.254",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "4294967295",
    "167772161",
    "012.1",
    "[fe80::1]",
    "[febf::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[::10.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:0:10.0.0.1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::1]",
    "[2001::1]",
    "[2001:0:7f00:1::]",
    "[2001:db8::1]",
    "[2001:10::1]",
    "[2002:a00:1::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[100::1]",
];

#[test]
fn no_spelling_of_a_private_address_is_asked_for_a_public_apis_image() {
    let here = Server::start(|_, _| typed("image/png", PNG));
    let base_url = Some("https://1.1.1.1".into());
    let client = Client::create(&Options { base_url, ..options("dimilinks", &here) }).expect("a client");
    for host in LOOPBACK.iter().chain(&PRIVATE) {
        for scheme in ["http", "https", "HTTP"] {
            let link = format!("{scheme}://{host}:{}/a.png?sig=CANARYSIG", here.port());
            let error = client.download(&task_with_image(&link), 0).expect_err(&link);
            assert_eq!(error.status(), Status::Blocked, "{link}: {error}");
            assert!(error.message().contains("allow_private_images") && !error.message().contains("CANARY"), "{error}");
        }
    }
    assert_eq!(here.connections(), 0);
    // They would have been reached.
    let allowed =
        Options { base_url: Some("https://1.1.1.1".into()), allow_private_images: true, ..options("dimilinks", &here) };
    let client = Client::create(&allowed).expect("a client");
    for host in LOOPBACK.iter().filter(|host| !host.starts_with('[') && **host != "127.9.9.9") {
        let link = format!("http://{host}:{}/a.png", here.port());
        assert_eq!(client.download(&task_with_image(&link), 0).expect(host).data, PNG);
    }
}

/// Where this test's own network is made, it says so to itself.
const INSIDE: &str = "IMGTASK_TEST_OWN_NETWORK";

/// Runs a test of this program again, in a network of its own where 1.1.1.1 and 10.0.0.1 are this machine and names are ours. False
/// where the system allows none.
fn again_in_an_own_network(test: &str) -> bool {
    let own_network = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "--mount", "sh", "-ec", script]);
        command
    };
    const SETUP: &str = r#"
        ip link set lo up
        for address in 1.1.1.1 8.8.8.8 10.0.0.1 172.16.0.1 192.168.0.1 169.254.169.254 100.64.0.1 192.0.0.1 198.18.0.1; do
            ip address add "$address/32" dev lo
        done
        for address in 2606:4700::1111 fc00::1 64:ff9b::a00:1 2002:a00:1::1 2001:db8::1 2001::1; do
            ip -6 address add "$address/128" dev lo nodad
        done
        names=$(mktemp)
        printf '%s\n' '127.0.0.1 localhost' '127.0.0.1 loopback.test' '10.0.0.1 private.test' '8.8.8.8 cdn.test' \
            '10.0.0.1 both.test' '8.8.8.8 both.test' '::1 loopback6.test' 'fc00::1 private6.test' >"$names"
        mount --bind "$names" /etc/hosts
        rm "$names"
    "#;
    let possible = own_network(SETUP).output().is_ok_and(|output| output.status.success());
    if possible {
        let program = std::env::current_exe().expect("this program");
        let mut command = own_network(&format!("{SETUP}\nexec \"$0\" --exact {test} --nocapture"));
        let output = command.arg(program).env(INSIDE, "1").output().expect("runs");
        let told = String::from_utf8_lossy(&output.stdout);
        let cause = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("1 passed"), "{told}\n{cause}");
    }
    possible
}

#[test]
fn links_and_redirects_of_a_public_api_reach_no_private_address_by_number_or_name() {
    if std::env::var_os(INSIDE).is_none() {
        if !again_in_an_own_network("links_and_redirects_of_a_public_api_reach_no_private_address_by_number_or_name") {
            println!("left out: this system allows no network namespaces");
        }
        return;
    }
    let target = Arc::new(Mutex::new(String::new()));
    let (there, image_link) = (target.clone(), Arc::new(Mutex::new(String::new())));
    let link = image_link.clone();
    let server = Server::start_at("[::]:0", move |asked, _| match asked.path.as_str() {
        path if path.starts_with("/v1/") => json(&succeeded(&[&link.lock().expect("a lock")])),
        "/go" => redirect(&there.lock().expect("a lock")),
        _ => typed("image/png", PNG),
    });
    let port = server.port();
    let client = |allow_private_images| {
        let base_url = Some(format!("http://1.1.1.1:{port}"));
        let options = Options {
            base_url,
            allow_plain_http: true,
            allow_private_images,
            poll_interval_ms: 1_000,
            max_requests_per_minute: 1_000_000,
            ..options("dimilinks", &server)
        };
        Client::create(&options).expect("a client")
    };
    let download = |client: &Client, host: &str, by_redirect: bool| {
        let address = format!("http://{host}:{port}/image?sig=CANARYSIG");
        *target.lock().expect("a lock") = address.clone();
        *image_link.lock().expect("a lock") = if by_redirect { "/go".to_owned() } else { address };
        client.download(&client.fetch("img_1").expect("served"), 0)
    };
    let names = ["private.test", "loopback.test", "PRIVATE.test.", "private6.test", "loopback6.test"];
    let strict = client(false);
    for host in LOOPBACK.iter().chain(&PRIVATE).chain(&names) {
        for by_redirect in [false, true] {
            let error = download(&strict, host, by_redirect).expect_err(host);
            assert_eq!(error.status(), Status::Blocked, "{host}: {error}");
            assert!(error.message().contains("is not on the public internet"), "{error}");
            assert!(!error.message().contains("CANARY"), "{error}");
        }
    }
    let api: IpAddr = "1.1.1.1".parse().expect("an address");
    assert!(server.reached().iter().all(|ip| *ip == api), "{:?}", server.reached());

    // A gateway that prints its own inner address means itself.
    *image_link.lock().expect("a lock") = format!("http://10.0.0.1:{port}/p/img/img_1/0?sig=CANARYSIG");
    let task = strict.fetch("img_1").expect("served");
    assert_eq!(strict.download(&task, 0).expect("its own").data, PNG);
    assert_eq!(server.asked().last().map(|asked| asked.path.clone()), Some("/p/img/img_1/0?sig=CANARYSIG".into()));
    assert!(server.reached().iter().all(|ip| *ip == api), "{:?}", server.reached());

    // Public ones are asked, by any name and in any spelling; of several addresses only the public ones.
    for host in ["8.8.8.8", "0x08080808", "134744072", "cdn.test", "CDN.test.", "both.test", "[::ffff:8.8.8.8]"] {
        for by_redirect in [false, true] {
            assert_eq!(download(&strict, host, by_redirect).expect(host).data, PNG);
        }
    }
    assert_eq!(download(&strict, "[2606:4700::1111]", false).expect("an address of the internet").data, PNG);
    let cdn: IpAddr = "8.8.8.8".parse().expect("an address");
    let cdn6: IpAddr = "2606:4700::1111".parse().expect("an address");
    assert!(server.reached().iter().all(|ip| [api, cdn, cdn6].contains(ip)), "{:?}", server.reached());

    // All that was blocked stood open.
    let open = client(true);
    let routed =
        LOOPBACK.iter().filter(|host| !["[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]"].contains(*host));
    for host in routed.chain(&names).chain(&[
        "10.0.0.1",
        "167772161",
        "012.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "0251.0376.0251.0376",
        "100.64.0.1",
        "192.0.0.1",
        "198.18.0.1",
        "[fc00::1]",
        "[64:ff9b::10.0.0.1]",
        "[2002:a00:1::1]",
        "[2001:db8::1]",
        "[2001::1]",
        "[::ffff:10.0.0.1]",
    ]) {
        assert_eq!(download(&open, host, false).expect(host).data, PNG);
    }
    // None of them was shown the key.
    assert!(server.asked().iter().filter(|asked| asked.path.starts_with("/image")).count() > 30);
    for asked in server.asked() {
        let has_key = asked.headers.iter().any(|(_, value)| value.contains(KEY));
        assert_eq!(has_key, asked.path.starts_with("/v1/"), "{}", asked.path);
    }
}

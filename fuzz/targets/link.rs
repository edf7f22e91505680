#![no_main]

use imgtask::fuzzing::{Address, init, link};
use url::{Host, Url};

libfuzzer_sys::fuzz_target!(init: init(), |data: &[u8]| link(data).iter().for_each(compare));

/// Browsers read what is accepted as we do: the same host, the same port, and the same path but for their escapes.
fn compare(address: &Address) {
    let whole = &address.whole;
    let Ok(url) = Url::parse(whole) else {
        // They know more names that are none.
        assert!(address.host.contains("xn--"), "{whole}");
        return;
    };
    let same = match url.host() {
        Some(Host::Ipv6(ip)) => address.host.trim_matches(['[', ']']).parse() == Ok(ip),
        host => host.map(|host| host.to_string()).as_deref() == Some(&address.host),
    };
    assert!(same && url.port_or_known_default() == Some(address.port), "{whole} is {url} elsewhere");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{whole}");
    // What was given means the same host, too.
    if let Ok(given) = Url::parse(address.base).and_then(|base| base.join(&address.given)) {
        let same = given.host_str().map(|host| host.trim_end_matches('.')) == url.host_str();
        assert!(same && given.port_or_known_default() == Some(address.port), "{address:?} is {given} elsewhere");
    }
}

//! Where a webhook may lead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// The longest address.
const LONGEST: usize = 2_000;

/// Which addresses may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Public ones, and this machine where it is named as such.
    Public,
    /// Any.
    Any,
}

impl Reach {
    /// Whether a connection to this host may go to this address.
    #[must_use]
    pub fn allows(self, host: &str, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Self::Any => true,
            Self::Public if is_loopback(host) => address.is_loopback(),
            Self::Public => is_public(address),
        }
    }
}

/// The address of a receiver: https, or http to this machine.
///
/// # Errors
/// What is wrong with it, to be said after the field's name.
pub fn receiver(text: &str, reach: Reach) -> Result<Url, String> {
    if text.len() > LONGEST {
        return Err(format!("must have at most {LONGEST} bytes"));
    }
    let url = Url::parse(text).map_err(|error| format!("must be a URL: {error}"))?;
    let host = url.host_str().unwrap_or_default();
    let is_secure = url.scheme() == "https";
    let may_be_plain = is_loopback(host) || reach == Reach::Any;
    let is_plain = url.scheme() == "http" && may_be_plain;
    if !(is_secure || is_plain) {
        return Err("must begin with https://, or with http:// for this machine".to_owned());
    }
    if host.is_empty() {
        return Err("must have a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user and no password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must have no fragment".to_owned());
    }
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
    if literal.is_ok_and(|address| !reach.allows(host, address)) {
        return Err(
            "leads to a private address (TRANCHE_WEBHOOK_PRIVATE_ADDRESSES=on allows it)"
                .to_owned(),
        );
    }
    Ok(url)
}

/// Whether a host is plainly this machine.
fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]" | "::1")
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// None of IANA's special-purpose blocks.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = match a {
        0 | 10 | 127 | 224.. => true,
        100 => (64..=127).contains(&b),
        169 => b == 254,
        172 => (16..=31).contains(&b),
        192 => b == 168 || (b, c) == (88, 99) || (b == 0 && matches!(c, 0 | 2)),
        198 => matches!(b, 18 | 19) || (b, c) == (51, 100),
        203 => (b, c) == (0, 113),
        _ => false,
    };
    !is_special
}

/// Global unicast, but for what leads to an IPv4 address inside, and for documentation.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x2001, second, ..] if second < 0x0200 || second == 0x0db8 => false,
        [0x2002 | 0x3fff, ..] => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::{Reach, receiver};

    #[test]
    fn addresses_that_are_not_public_are_refused() {
        let public = [
            "1.1.1.1",
            "192.0.1.1",
            "172.32.0.1",
            "2606:4700::1111",
            "2a00::1",
        ];
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2001:db8::1",
            "2001::1",
            "2002:a00:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
        ];
        let allows = |address: &str| {
            let address = address.parse().unwrap();
            (
                Reach::Public.allows("receiver.example", address),
                Reach::Any.allows("receiver.example", address),
            )
        };
        for address in public {
            assert_eq!(allows(address), (true, true), "{address}");
        }
        for address in private {
            assert_eq!(allows(address), (false, true), "{address}");
        }
        let local = "127.0.0.1".parse().unwrap();
        assert!(Reach::Public.allows("localhost", local));
        assert!(!Reach::Public.allows("localhost", "10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn urls_are_https_or_lead_to_this_machine() {
        for good in [
            "https://receiver.example/hook?token=1",
            "https://receiver.example:8443",
            "https://1.1.1.1/hook",
            "http://localhost:9000/hook",
            "http://127.0.0.1:9000",
            "http://[::1]:9000/",
        ] {
            assert!(receiver(good, Reach::Public).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("hook", "must be a URL"),
            ("ftp://receiver.example", "must begin with https://"),
            ("http://receiver.example", "must begin with https://"),
            ("https://ada@receiver.example", "no user"),
            ("https://:secret@receiver.example", "no user"),
            ("https://receiver.example/#part", "no fragment"),
            ("https://10.0.0.1/hook", "private address"),
            ("https://[fe80::1]/hook", "private address"),
            // However an IPv4 address is written.
            ("https://0x0a.1/hook", "private address"),
            ("https://167772161/hook", "private address"),
            ("http://169.254.169.254/latest", "must begin with https://"),
        ] {
            let flaw = receiver(bad, Reach::Public).unwrap_err();
            assert!(flaw.contains(why), "{bad}: {flaw}");
        }
        assert!(receiver("http://10.0.0.1/hook", Reach::Any).is_ok());
        let long = format!("https://receiver.example/{}", "a".repeat(2_000));
        assert!(receiver(&long, Reach::Public).is_err());
    }
}

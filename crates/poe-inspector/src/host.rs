//! Which host names a request may have.
//!
//! The fuzz target `inspector` includes this file as it is, so it imports nothing of the crate.

use std::net::IpAddr;

/// An IP address cannot be rebound; of names only `localhost` and those that the program has allowed are taken.
pub(crate) fn is_allowed_host(host: &str, allowed: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if port.is_empty() || is_port(port.strip_prefix(':')) => {
                return address.parse::<std::net::Ipv6Addr>().is_ok();
            }
            _ => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) if is_port(Some(port)) => name,
            Some(_) => return false,
            None => host,
        },
    };
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.parse::<IpAddr>().is_ok() || allowed.contains(&name)
}

fn is_port(text: Option<&str>) -> bool {
    text.is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::is_allowed_host;

    #[test]
    fn only_addresses_and_allowed_names_are_hosts() {
        let allowed = ["inspector.example.org".to_owned()];
        for host in [
            "127.0.0.1",
            "127.0.0.1:7669",
            "localhost:80",
            "LOCALHOST",
            "[::1]:7669",
            "[::1]",
            "10.1.2.3:1",
            "inspector.example.org",
            "Inspector.Example.org:443",
        ] {
            assert!(is_allowed_host(host, &allowed), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7669",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "localhost:",
            "localhost:80:80",
            "[::1",
            "[::1]x",
            "[evil]:80",
            "127.0.0.1:80@evil.example",
            "a.inspector.example.org",
        ] {
            assert!(!is_allowed_host(host, &allowed), "{host}");
        }
    }
}

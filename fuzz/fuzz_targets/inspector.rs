//! What the inspector reads from strangers, beside what hyper parses: the query of a request, the host that it was sent to, and a line of the
//! console. Byte 0 chooses one.

#![no_main]
// Not everything of these files is used here.
#![allow(dead_code)]

#[path = "../../crates/poe-inspector/src/command.rs"]
mod command;
#[path = "../../crates/poe-inspector/src/host.rs"]
mod host;
#[path = "../../crates/poe-inspector/src/query.rs"]
mod query;

use command::{Action, Command};
use libfuzzer_sys::fuzz_target;
use query::{Params, decode};

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else {
        return;
    };
    let text = &*String::from_utf8_lossy(bytes);
    match choice % 3 {
        0 => of_query(text),
        1 => of_host(text),
        _ => of_line(text),
    }
});

fn of_query(text: &str) {
    // What is decoded is never longer, and an encoded text is itself.
    if let Some(decoded) = decode(text) {
        assert!(decoded.len() <= text.len());
    }
    assert_eq!(decode(&encode(text)).as_deref(), Some(text));
    let params = Params::of(text);
    for pair in text.split('&') {
        let name = pair.split('=').next().unwrap_or("");
        if let Some(name) = decode(name) {
            let value = params.text(&name);
            assert!(value.len() <= text.len());
            assert!(params.list(&name).all(|part| !part.is_empty() && !part.contains('|')));
            if let Some(number) = params.number(&name) {
                assert_eq!(value.parse(), Ok(number));
            }
        }
    }
    // Names and values come out as they were, whatever they contain.
    if let Some((name, value)) = text.split_once('\n') {
        let params = Params::of(&format!("a=1&{}={}&z=2", encode(name), encode(value)));
        let (first, last) = (params.text("a"), params.text("z"));
        assert_eq!(
            params.text(name),
            match name {
                "z" => "2",
                _ => value,
            }
        );
        assert!(first == "1" || name == "a");
        assert_eq!(last, "2");
    }
}

/// A host that is allowed is an address or a name of the list, perhaps with a port, and nothing else stands in it.
fn of_host(text: &str) {
    let allowed = ["inspector.example".to_owned()];
    if !host::is_allowed_host(text, &allowed) {
        return;
    }
    let name = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => text.split(':').next().unwrap_or(""),
    };
    let port = text
        .rsplit(']')
        .next()
        .unwrap_or("")
        .split_once(':')
        .map(|(_, port)| port);
    assert!(
        port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())),
        "{text:?}"
    );
    let known = ["localhost", "inspector.example"];
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    assert!(
        is_address || known.iter().any(|known| name.eq_ignore_ascii_case(known)),
        "{text:?}"
    );
    assert!(!text.contains(['@', '/', '?', '#', ' ', '\0']), "{text:?}");
}

fn of_line(text: &str) {
    for line in text.lines() {
        match Command::of(line) {
            Command::Nothing => assert!(line.trim().is_empty()),
            Command::Quit => assert!(!line.trim().is_empty()),
            Command::Do { name, rest } => {
                assert!(!name.is_empty() && !name.contains(char::is_whitespace));
                assert_eq!(rest, rest.trim());
                assert!(!line.trim().ends_with("HTTP/1.1"));
                let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                assert_eq!(words(line), words(&format!("{name} {rest}")));
                let action = Action::of(rest);
                assert!(!action.to.contains(char::is_whitespace) && !action.what.contains(char::is_whitespace));
            }
        }
    }
}

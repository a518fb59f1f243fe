//! Any lines as a handshake of IKC, on both sides and in both protocols: it ends, with a peer that has a name, or it goes on for a
//! bounded time; what it says is one line or two.

#![no_main]

use libfuzzer_sys::fuzz_target;
use poe_ikc::Specifier;
use poe_ikc::wire::{Format, Handshake, Identity, Protocol};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, text)) = data.split_first() else {
        return;
    };
    let ours = Identity {
        names: vec!["id-1".to_owned(), "Name".to_owned(), "127.0.0.1:1".to_owned()],
        formats: vec![Format::MsgPack, Format::Storable],
        pid: 1,
    };
    let protocol = if choice & 2 == 0 { Protocol::Ikc0 } else { Protocol::Ikc };
    let mut handshake = match choice & 1 {
        0 => Handshake::server(ours, protocol),
        _ => Handshake::client(ours, protocol).0,
    };
    let text = String::from_utf8_lossy(text);
    let mut heard = 0;
    for line in text.lines() {
        let Ok(progress) = handshake.line(line) else {
            return;
        };
        heard += 1;
        assert!(heard <= 200);
        if let Some(send) = progress.send {
            assert!(!send.is_empty() && send.len() < 10_000 && send.split("\r\n").count() <= 2);
        }
        if progress.done {
            let names = &handshake.peer().names;
            assert!(!names.is_empty() && names.len() <= 64);
            for name in names {
                let address = format!("poe://{name}/session/event");
                assert!(address.parse::<Specifier>().is_ok(), "{name} cannot be addressed");
            }
            return;
        }
    }
});

//! Any bytes, any messages.

use poe_ikc::wire::{Codec, Fence, Form, Format, Handshake, Head, Identity, Protocol};
use poe_ikc::{Args, Specifier};
use proptest::prelude::*;

fn part() -> impl Strategy<Value = Option<String>> {
    prop_oneof![Just(None), "[a-zA-Z_][a-zA-Z0-9 _-]{0,12}".prop_map(Some)]
}

prop_compose! {
    fn address()(kernel in "[a-zA-Z][a-zA-Z0-9._-]{0,12}", session in "[a-z][a-z0-9]{0,8}", event in "[a-z][a-z0-9_]{0,8}") -> Specifier {
        Specifier::new(kernel, session, event)
    }
}

prop_compose! {
    fn head()(
        event in address(),
        from in proptest::option::of(address()),
        rsvp in proptest::option::of(address()),
        want_list in any::<Option<bool>>(),
        is_error in any::<bool>(),
        form in prop_oneof![Just(Form::Text), Just(Form::Hash)],
        fence in proptest::option::of("[a-z]{1,8}".prop_map(|name| Fence { name, number: 7 })),
        trace in proptest::option::of("[0-9a-f-]{0,60}"),
    ) -> Head {
        Head { event, form, from, rsvp, want_list, is_error, fence, trace }
    }
}

proptest! {
    #[test]
    fn a_message_is_read_as_it_was_written(head in head(), params in any::<(i64, String, Vec<Option<u8>>)>()) {
        let codec = Codec::default();
        for format in [Format::Storable, Format::MsgPack] {
            let frame = codec.write(format, &head, &params).unwrap();
            let read = codec.read(format, &frame, |head, params| (head, params.decode::<(i64, String, Vec<Option<u8>>)>()));
            let (mut read, value) = read.unwrap();
            read.form = head.form;
            let sent = match format {
                // Perl's frames have no room for these.
                Format::Storable => Head { fence: None, trace: None, ..head.clone() },
                Format::MsgPack => head.clone(),
            };
            prop_assert_eq!(&read, &sent);
            prop_assert_eq!(&value.unwrap(), &params);
        }
    }

    #[test]
    fn a_proxied_event_keeps_its_arguments(event in address(), one in any::<u32>(), two in any::<(u8, String)>(), list in any::<Vec<u16>>()) {
        let codec = Codec::default();
        let head = Head { event, form: Form::Proxied, ..Head::default() };
        macro_rules! comes_back {
            ($value:expr, $type:ty) => {
                let frame = codec.write(Format::Storable, &head, &$value).unwrap();
                let read = codec.read(Format::Storable, &frame, |read, params| {
                    assert_eq!(read.event, head.event);
                    params.decode::<$type>().unwrap()
                });
                prop_assert_eq!(&read.unwrap(), &$value);
            };
        }
        comes_back!((), ());
        comes_back!(one, u32);
        comes_back!(two, (u8, String));
        comes_back!(list, Vec<u16>);
        comes_back!(Args::from([one.into(), "x".into()]), Args);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let codec = Codec::default();
        for format in [Format::Storable, Format::MsgPack] {
            let _ = codec.read(format, &bytes, |_, params| params.decode::<Args>().is_ok());
        }
    }

    #[test]
    fn a_damaged_message_is_read_or_refused(head in head(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let codec = Codec::default();
        for format in [Format::Storable, Format::MsgPack] {
            let mut frame = codec.write(format, &head, &("text", 1, [1, 2, 3])).unwrap();
            let at = at.index(frame.len());
            frame[at] = byte;
            let _ = codec.read(format, &frame, |_, params| params.decode::<(String, u8, Vec<u8>)>().is_ok());
            frame.truncate(at);
            let _ = codec.read(format, &frame, |_, params| params.decode::<(String, u8, Vec<u8>)>().is_ok());
        }
    }

    #[test]
    fn an_address_is_read_as_it_was_printed(kernel in "[a-zA-Z][a-zA-Z0-9._:-]{0,12}", session in part(), event in part()) {
        let mut text = format!("poe://{kernel}");
        for part in [&session, &event].into_iter().flatten() {
            text += &format!("/{part}");
        }
        let read: Specifier = text.parse().unwrap();
        prop_assert_eq!(read.to_string(), text);
    }

    #[test]
    fn no_text_makes_the_address_parser_panic(text in any::<String>()) {
        if let Ok(read) = text.parse::<Specifier>() {
            prop_assert!(read.to_string().starts_with("poe:"));
        }
    }

    #[test]
    fn no_lines_make_the_handshake_panic_or_go_on_for_ever(
        lines in proptest::collection::vec(prop_oneof![
            "\\PC{0,20}",
            "(HELLO|OK|NOT|DONE|WORLD|UP|IAM [a-z]{1,4}|FREEZER [A-Za-z:]{1,8}|FREEZER Storable|SETUP KERNEL=[a-z,]{0,6};FREEZER=(Storable|x);PID=[0-9]{1,3})",
        ], 0..250),
        client in any::<bool>(),
        old in any::<bool>(),
    ) {
        let ours = Identity { names: vec!["a".into(), "b".into()], formats: vec![Format::MsgPack, Format::Storable], pid: 1 };
        let protocol = if old { Protocol::Ikc } else { Protocol::Ikc0 };
        let mut handshake = if client { Handshake::client(ours, protocol).0 } else { Handshake::server(ours, protocol) };
        let mut heard = 0;
        for line in &lines {
            match handshake.line(line) {
                Ok(progress) => {
                    heard += 1;
                    prop_assert!(heard <= 200);
                    if progress.done {
                        prop_assert!(!handshake.peer().names.is_empty());
                        break;
                    }
                }
                Err(_) => break,
            }
        }
    }

    /// Whatever protocols and serializers two peers have, both know each other afterwards.
    #[test]
    fn two_handshakes_agree(client_old in any::<bool>(), server_old in any::<bool>(), client_msgpack in any::<bool>(), server_msgpack in any::<bool>(), names in 1_usize..6) {
        let identity = |kind: &str, msgpack: bool| Identity {
            names: (0..names).map(|n| format!("{kind}{n}")).collect(),
            formats: if msgpack { vec![Format::MsgPack, Format::Storable] } else { vec![Format::Storable] },
            pid: 1,
        };
        let protocol = |old: bool| if old { Protocol::Ikc } else { Protocol::Ikc0 };
        let mut server = Handshake::server(identity("server", server_msgpack), protocol(server_old));
        let (mut client, first) = Handshake::client(identity("client", client_msgpack), protocol(client_old));
        let (mut to_server, mut to_client) = (vec![first], Vec::new());
        let mut done = (false, false);
        for _ in 0..100 {
            for line in to_server.drain(..).flat_map(|line| line.split("\r\n").map(str::to_owned).collect::<Vec<_>>()) {
                let progress = server.line(&line).unwrap();
                done.0 |= progress.done;
                to_client.extend(progress.send);
            }
            for line in to_client.drain(..) {
                let progress = client.line(&line).unwrap();
                done.1 |= progress.done;
                to_server.extend(progress.send);
            }
        }
        prop_assert_eq!(done, (true, true));
        let sorted = |mut names: Vec<String>| { names.sort(); names };
        prop_assert_eq!(sorted(client.peer().names.clone()), identity("server", true).names);
        prop_assert_eq!(sorted(server.peer().names.clone()), identity("client", true).names);
        prop_assert_eq!(client.peer().format, server.peer().format);
        let expected = if client_msgpack && server_msgpack { Format::MsgPack } else { Format::Storable };
        prop_assert_eq!(client.peer().format, expected);
    }
}

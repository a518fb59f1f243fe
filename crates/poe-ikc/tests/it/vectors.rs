//! What Perl has sent is read, and written again byte for byte.

use crate::captured::VECTORS;
use poe::storable::{self, Settings, Value};
use poe_ikc::wire::{Codec, Form, Format, Handshake, Head, Identity, Protocol, Tikc};
use poe_ikc::{Args, Specifier};
use serde::Serialize;

fn bytes(number: u32) -> Vec<u8> {
    let (_, _, hex) = VECTORS.iter().find(|vector| vector.0 == number).unwrap();
    let frame: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    // The frame's length and NUL, which `poe::filter::Block` reads and writes.
    let nul = frame.iter().position(|byte| *byte == 0).unwrap();
    let length: usize = str::from_utf8(&frame[..nul]).unwrap().parse().unwrap();
    assert_eq!(length, frame.len() - nul - 1);
    frame[nul + 1..].to_vec()
}

fn read(number: u32) -> (Head, Value) {
    let codec = Codec::default();
    let read = codec.read(Format::Storable, &bytes(number), |head, params| {
        (head, params.decode::<Value>().unwrap())
    });
    read.unwrap()
}

fn written<P: Serialize>(number: u32, head: &Head, params: &P) {
    let codec = Codec::default();
    assert_eq!(
        codec.write(Format::Storable, head, params).unwrap(),
        bytes(number),
        "V{number}"
    );
}

const ALPHA: &str = "alpha-6b03db8f-0000390d-00000001";
const BETA: &str = "beta-6b03db8e-000038bf-00000001";
const GAMMA: &str = "beta-6b03dbbe-00003c3e-00000001";

fn proxy(kernel: &str, session: &str) -> Option<Specifier> {
    Some(Specifier::new(kernel, session, "IKC:proxy"))
}

fn to(text: &str) -> Head {
    Head {
        event: text.parse().unwrap(),
        ..Head::default()
    }
}

fn hash(event: Specifier) -> Head {
    Head {
        event,
        form: Form::Hash,
        ..Head::default()
    }
}

/// Every message is read and written again as it was, whatever it is.
#[test]
fn every_captured_message_is_written_as_it_was_read() {
    for (number, what, _) in VECTORS.iter().filter(|vector| vector.0 < 25) {
        let frame = bytes(*number);
        let (head, value) = read(*number);
        // The value of a proxied event is the list of its arguments; one alone is itself.
        let whole = storable::thaw(&frame).unwrap();
        let params = whole.field("params").unwrap();
        if head.form == Form::Proxied {
            let args: Args = params.get(1).unwrap().iter().collect();
            written(*number, &head, &args);
        } else {
            assert_eq!(params, value, "V{number} {what}");
            written(*number, &head, &value);
        }
    }
}

#[test]
fn posts_and_calls_are_written_as_perl_writes_them() {
    let from = proxy(ALPHA, "cli");
    let note = Head {
        from: from.clone(),
        ..to("poe://Pulse/test/note")
    };
    written(5, &note, &"plain text");
    #[derive(Serialize)]
    struct Mixed {
        f: f64,
        l: (i32, i32, i32, i32, ()),
        n: u8,
        s: &'static str,
        u: &'static str,
    }
    let mixed = Mixed {
        f: 1.5,
        l: (1, -2, 300, 70000, ()),
        n: 1,
        s: "two",
        u: "caf\u{e9}\u{263a}",
    };
    written(6, &note, &mixed);
    let got = Some(Specifier::new("Cli", "2", "got"));
    written(
        7,
        &Head {
            from: from.clone(),
            rsvp: got.clone(),
            ..to("poe://Pulse/test/add")
        },
        &(20, 22),
    );
    let reply = Specifier::new("Cli", "2", "got");
    written(
        8,
        &Head {
            from: proxy(BETA, "test"),
            ..hash(reply.clone())
        },
        &42,
    );
    let ping = Head {
        from: from.clone(),
        rsvp: got,
        ..to("poe://Pulse/IKC/ping")
    };
    written(16, &ping, &"PING");
    written(
        17,
        &Head {
            from: proxy(BETA, "IKC"),
            ..hash(reply)
        },
        &"PONG",
    );
}

#[test]
fn error_reports_subscriptions_and_proxied_events_are_written_as_perl_writes_them() {
    let error = Head {
        is_error: true,
        ..hash(Specifier::new(ALPHA, "IKC", "remote_error"))
    };
    let text = format!(
        "Session 'test' has not published state 'nosuch'.  Request poe://Pulse/test/nosuch sent by poe://{ALPHA}/cli/IKC:proxy"
    );
    written(10, &error, &(text, "Pulse", "check"));

    let (head, _) = read(11);
    let receipt = head.rsvp.clone().unwrap();
    assert_eq!(head.event, Specifier::new("Pulse", "IKC", "do_you_have"));
    let asked = Specifier::new("Pulse", "test", "");
    written(11, &head, &(asked.clone(), ALPHA));
    let granted = Head {
        from: proxy(BETA, "IKC"),
        ..hash(receipt)
    };
    written(12, &granted, &(asked, BETA));
    let refused = Head {
        from: proxy(BETA, "IKC"),
        ..hash(read(13).0.event)
    };
    written(13, &refused, &"Refused subscription poe://Pulse/nope");

    let proxied = |kernel, session, event, from| Head {
        from,
        form: Form::Proxied,
        ..hash(Specifier::new(kernel, session, event))
    };
    written(14, &proxied("Pulse", "test", "hello", proxy(ALPHA, "cli")), &("a1", 2));
    written(15, &proxied(ALPHA, "cli", "reply", proxy(BETA, "test")), &("hi", 42));
}

#[test]
fn the_dialect_of_clientlite_is_read_and_written() {
    let lite = Some(without_event("Lite1", "IKCLite"));
    let response = |n: u32| Specifier::new("Lite1", "IKCLite", format!("response{n}"));
    let call = |event: &str, n, want| Head {
        from: lite.clone(),
        rsvp: Some(response(n)),
        want_list: Some(want),
        ..to(&format!("poe://{GAMMA}/test/{event}"))
    };
    written(18, &call("add", 0, false), &(1, 2, 3));
    written(
        19,
        &Head {
            from: proxy(GAMMA, "test"),
            ..hash(response(0))
        },
        &6,
    );
    written(20, &call("list", 1, true), &());
    written(
        21,
        &Head {
            from: proxy(GAMMA, "test"),
            ..hash(response(1))
        },
        &(1, 2, "three"),
    );
    let post = Head {
        from: lite,
        ..to(&format!("poe://{GAMMA}/test/back"))
    };
    written(22, &post, &("question", response(2)));
    written(
        23,
        &Head {
            from: proxy(GAMMA, "test"),
            ..hash(response(2))
        },
        &"answer to question",
    );
    let reply = Head {
        from: proxy(GAMMA, "test"),
        form: Form::Arguments,
        ..hash(Specifier::new("Lite1", "IKCLite", "reply"))
    };
    written(24, &reply, &("hi", 42));
}

/// An address without an event, as ClientLite has it.
fn without_event(kernel: &str, session: &str) -> Specifier {
    let value = Value::hash([("kernel", Value::from(kernel)), ("session", Value::from(session))]);
    storable::from_value(&value).unwrap()
}

/// The messages of POE::TIKC are plain hashes.
#[test]
fn the_messages_of_tikc_are_read_and_written() {
    let canonical = Settings::new().canonical(true);
    for number in 25..=27 {
        let value = storable::thaw(&bytes(number)).unwrap();
        assert_eq!(canonical.freeze(&value).unwrap(), bytes(number), "V{number}");
    }
    let codec = Codec::default();
    let said = |number| {
        let read = codec.read_tikc(&bytes(number), |message| match message {
            Tikc::Setup(aliases) => format!("setup {aliases:?}"),
            Tikc::Remove(aliases) => format!("remove {aliases:?}"),
            Tikc::Post { alias, event, args } => {
                let args: (String, (i64, i64)) = args.decode().unwrap();
                format!("post {alias} {event} {args:?}")
            }
        });
        read.unwrap()
    };
    let (client, server) = (["clisess".to_owned()], ["srvsess".to_owned()]);
    assert_eq!(said(25), format!("setup {client:?}"));
    assert_eq!(
        codec.write_tikc_aliases(Some("server"), &client, false).unwrap(),
        bytes(25)
    );
    assert_eq!(said(26), format!("setup {server:?}"));
    assert_eq!(
        codec.write_tikc_aliases(Some("client"), &server, false).unwrap(),
        bytes(26)
    );
    assert_eq!(said(27), "post srvsess hello (\"a\", (1, 2))");
    assert_eq!(
        codec.write_tikc_post("srvsess", "hello", &("a", [1, 2])).unwrap(),
        bytes(27)
    );
    // `[1, 2]` is a tuple to serde, and the second argument all the same.
    for bad in [b"" as &[u8], b"\x05\x0b\x02\0\0\0\0", &bytes(27)[..30]] {
        assert!(codec.read_tikc(bad, |_| ()).is_err());
    }
}

fn identity(names: &[&str], formats: &[Format], pid: u32) -> Identity {
    Identity {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        formats: formats.to_vec(),
        pid,
    }
}

/// V1 and V3: our server hears what Perl's client says, and says what Perl's server says.
#[test]
fn the_handshake_is_perls_on_the_servers_side() {
    let names = [BETA, "Pulse", "Beat", "127.0.0.1:7111"];
    let first = format!(
        "SETUP KERNEL={ALPHA},Cli,127.0.0.1:55958;FREEZER=Storable,FreezeThaw,POE::Component::IKC::Freezer;PID=14605"
    );
    let mut server = Handshake::server(
        identity(&names, &[Format::MsgPack, Format::Storable], 14527),
        Protocol::Ikc0,
    );
    let progress = server.line(&first).unwrap();
    assert!(progress.done);
    let reply = format!("SETUP KERNEL={BETA},Pulse,Beat,127.0.0.1:7111;FREEZER=Storable;PID=14527");
    assert_eq!(progress.send, Some(reply));
    assert_eq!(server.peer().names, [ALPHA, "Cli", "127.0.0.1:55958"]);
    assert_eq!(
        (server.peer().pid, server.peer().format),
        (Some(14605), Format::Storable)
    );

    let unix = "SETUP KERNEL=alpha-1,Cli,unix:_tmp_ikc.sock:11646-3;FREEZER=Storable;PID=11646";
    let mut server = Handshake::server(identity(&names, &[Format::Storable], 1), Protocol::Ikc0);
    assert!(server.line(unix).unwrap().done);
    assert_eq!(server.peer().names[2], "unix:_tmp_ikc.sock:11646-3");
}

/// V1 and V2 from the client's side.
#[test]
fn the_handshake_is_perls_on_the_clients_side() {
    let (client, first) = Handshake::client(identity(&["Lite1"], &[Format::Storable], 15479), Protocol::Ikc0);
    assert_eq!(first, "SETUP KERNEL=Lite1;FREEZER=Storable;PID=15479");
    let mut client = client;
    let reply = format!("SETUP KERNEL={BETA},Pulse,Beat,127.0.0.1:7111;FREEZER=Storable;PID=14527");
    assert!(client.line(&reply).unwrap().done);
    assert_eq!(client.peer().names.len(), 4);
}

/// V4: what each side says, in order.
const OLD: &[(char, &str)] = &[
    ('C', "HELLO"),
    ('S', "IAM beta-6b03db96-00003950-00000001"),
    ('C', "OK"),
    ('S', "IAM 127.0.0.1:7131"),
    ('C', "OK"),
    ('S', "IAM Beat"),
    ('C', "OK"),
    ('S', "IAM Pulse"),
    ('C', "OK"),
    ('S', "DONE"),
    ('C', "IAM alpha-6b03db97-000039ee-00000001"),
    ('S', "OK"),
    ('C', "IAM 127.0.0.1:41320"),
    ('S', "OK"),
    ('C', "IAM Cli"),
    ('S', "OK"),
    ('C', "DONE"),
    ('C', "FREEZER Storable"),
    ('S', "OK"),
    ('C', "WORLD"),
    ('S', "UP"),
];

#[test]
fn the_old_handshake_is_perls_on_both_sides() {
    let beta = identity(
        &["beta-6b03db96-00003950-00000001", "Pulse", "Beat", "127.0.0.1:7131"],
        &[Format::Storable],
        1,
    );
    let alpha = identity(
        &["alpha-6b03db97-000039ee-00000001", "Cli", "127.0.0.1:41320"],
        &[Format::Storable],
        2,
    );
    for side in ['S', 'C'] {
        let mut machine = match side {
            'S' => {
                let mut server = Handshake::server(beta.clone(), Protocol::Ikc);
                assert_eq!(
                    server
                        .line("SETUP KERNEL=a;FREEZER=Storable;PID=1")
                        .unwrap()
                        .send
                        .unwrap(),
                    "NOT"
                );
                server
            }
            _ => Handshake::client(alpha.clone(), Protocol::Ikc0).0,
        };
        let mut said: Vec<String> = Vec::new();
        let mut done = false;
        if side == 'C' {
            said.extend(machine.line("NOT").unwrap().send);
        }
        for (who, line) in OLD {
            if *who == side {
                assert_eq!(said.first().map(String::as_str), Some(*line));
                said.remove(0);
                continue;
            }
            let progress = machine.line(line).unwrap();
            said.extend(
                progress
                    .send
                    .iter()
                    .flat_map(|send| send.split("\r\n"))
                    .map(str::to_owned),
            );
            done |= progress.done;
        }
        assert!(done && said.is_empty());
        let expected: &[&str] = match side {
            'S' => &["alpha-6b03db97-000039ee-00000001", "127.0.0.1:41320", "Cli"],
            _ => &["beta-6b03db96-00003950-00000001", "127.0.0.1:7131", "Beat", "Pulse"],
        };
        assert_eq!(machine.peer().names, expected);
        assert_eq!((machine.peer().pid, machine.peer().format), (None, Format::Storable));
    }
}

/// What 0.2402 refuses with `NOT`, and what it lets pass.
#[test]
fn malformed_lines_are_refused_as_perl_refuses_them() {
    let of = || Handshake::server(identity(&["b"], &[Format::Storable], 1), Protocol::Ikc0);
    for bad in [
        "SETUP KERNEL=a;FREEZER=Storable;COLOUR=red",
        "SETUP FREEZER=Storable",
        "SETUP KERNEL=a;FREEZER=Sereal",
        "HELLO IKC1",
        "SETUP KERNEL=*;FREEZER=Storable",
        "SETUP",
    ] {
        let mut server = of();
        let progress = server.line(bad).unwrap();
        assert_eq!((progress.send.as_deref(), progress.done), (Some("NOT"), false), "{bad}");
        assert!(
            server.line("SETUP KERNEL=a;FREEZER=Storable").unwrap().done,
            "a second one may be better"
        );
    }
    assert_eq!(of().line("GET / HTTP/1.1").unwrap().send, None);
    let (mut client, _) = Handshake::client(identity(&["a"], &[Format::Storable], 1), Protocol::Ikc0);
    assert!(
        client.line("SETUP KERNEL=b;FREEZER=PoeIkc::MsgPack1").is_err(),
        "it was not offered"
    );
}

//! The filter: chunks, limits, bytes that are not UTF-8, what is refused.

use bytes::BytesMut;
use poe::filter::{Filter, FilterError, FilterExt};
use poe_irc::{IrcFilter, IrcLimits, Message, Tags, Text};
use proptest::prelude::*;

fn shown(records: Vec<Result<Message, FilterError>>) -> Vec<String> {
    let show = |record| match record {
        Ok(message) => format!("{message:?}"),
        Err(error) => format!("{error:?}"),
    };
    records.into_iter().map(show).collect()
}

fn wire(message: Message) -> Result<Vec<u8>, FilterError> {
    let mut out = BytesMut::new();
    IrcFilter::new().put(message, &mut out).map(|()| out.to_vec())
}

fn read(line: &[u8]) -> Message {
    IrcFilter::new().get(line).remove(0).unwrap()
}

#[test]
fn messages_of_the_specifications_are_read() {
    let message = read(b"@id=123AB;rose :dan!d@localhost PRIVMSG #chan   :Hey what's up! \r\n");
    assert_eq!(message.tags().get("id").unwrap(), "123AB");
    assert_eq!(message.tags().get("rose").unwrap(), "");
    assert_eq!(message.params(), ["#chan", "Hey what's up! "]);
    let source = message.source().unwrap();
    assert_eq!(
        (source.nick(), source.user(), source.host()),
        ("dan".into(), Some("d".into()), Some("localhost".into()))
    );
    assert_eq!(read(b":irc.example.com CAP * LIST :\r\n").params(), ["*", "LIST", ""]);
    assert_eq!(
        read(b"CAP REQ :sasl message-tags foo\n").params(),
        ["REQ", "sasl message-tags foo"]
    );
    assert_eq!(
        read(b":dan!d@localhost PRIVMSG #chan ::-) :-)\n").params(),
        ["#chan", ":-) :-)"]
    );
    assert_eq!(
        read(b"privmsg #chan hello \n"),
        Message::new("PRIVMSG", ["#chan", "hello"])
    );
    assert_eq!(read(b"\r\n\n\r\nPING x\r\n"), Message::new("PING", ["x"]));
    let many = read(b"X 1 2 3 4 5 6 7 8 9 10 11 12 13 14 the rest :of it\n");
    assert_eq!(many.params().len(), 15);
    assert_eq!(many.params()[14], "the rest :of it");
    assert_eq!(
        read(b"@a=\\:\\s\\\\\\r\\n\\x\\ FOO\n").tags().get("a").unwrap(),
        "; \\\r\nx"
    );
    assert_eq!(read(b"@a=1;a=2 FOO\n").tags().get("a").unwrap(), "2");
}

#[test]
fn bytes_that_are_not_utf_8_survive() {
    let line = b":\xe9t\xe9!u@h PRIVMSG #caf\xe9 :na\xefve text\r\n";
    let message = read(line);
    assert_eq!(message.arg(1).as_bytes(), b"na\xefve text");
    assert_eq!(wire(message).unwrap(), line);
}

#[test]
fn nobody_injects_a_command() {
    for param in ["hi\r\nQUIT", "hi\nQUIT", "hi\rQUIT", "nul\0"] {
        assert!(wire(Message::new("PRIVMSG", ["#a", param])).is_err(), "{param:?}");
    }
    for target in ["#a b", "", ":x", "#a\nQUIT"] {
        assert!(wire(Message::new("PRIVMSG", [target, "text"])).is_err(), "{target:?}");
    }
    assert!(wire(Message::new("PRIV MSG", ["x"])).is_err());
    assert!(wire(Message::new("", ["x"])).is_err());
    assert!(wire(Message::new("PING", ["x"]).from("a b")).is_err());
    assert!(wire(Message::new("PING", ["x"]).from("")).is_err());
    assert!(wire(Message::new("X", (0..16).map(|n| n.to_string()))).is_err());
    let mut out = BytesMut::from("before");
    let error = IrcFilter::new().put(Message::new("PRIVMSG", ["#a".to_owned(), "x".repeat(500)]), &mut out);
    assert!(error.unwrap_err().is_too_long() && out == "before");
}

#[test]
fn a_line_over_the_limit_is_one_error_and_the_next_line_follows() {
    let fits = [&b"PRIVMSG a :"[..], &[b'x'; 499], b"\r\n"].concat();
    assert_eq!(fits.len(), 512);
    assert!(IrcFilter::new().get(&fits)[0].is_ok());
    let long = [&b"PRIVMSG a :"[..], &[b'x'; 500], b"\r\nPING 1\r\n"].concat();
    let records = IrcFilter::new().get(&long);
    let error = records[0].as_ref().unwrap_err();
    assert!(error.is_too_long() && !error.is_fatal());
    assert_eq!(records[1].as_ref().unwrap(), &Message::new("PING", ["1"]));
    // Tags are counted by themselves.
    let tags = [b"@t=", &vec![b'y'; 8191 - 4][..], b" ", &fits].concat();
    assert!(IrcFilter::new().get(&tags)[0].is_ok());
    let tags = [b"@t=", &vec![b'y'; 8191 - 3][..], b" ", &fits].concat();
    assert!(IrcFilter::new().get(&tags)[0].as_ref().unwrap_err().is_too_long());
}

#[test]
fn an_endless_line_costs_no_memory() {
    let mut filter = IrcFilter::new();
    let mut errors = 0;
    for _ in 0..1000 {
        errors += filter.get(&[b'x'; 65536]).len();
        assert!(filter.pending().len() <= 512);
    }
    assert_eq!(errors, 1);
    assert_eq!(filter.get(b"\nPING\n").len(), 1);
}

#[test]
fn a_feed_over_the_buffer_is_fatal() {
    let mut filter = IrcFilter::new();
    let records = filter.get(&b"PING 1\n".repeat(40_000));
    assert!(records.len() > 30_000);
    assert!(records.last().unwrap().as_ref().unwrap_err().is_fatal());
    assert!(filter.next_record().unwrap_err().is_overflow());
    filter.take_pending();
    assert_eq!(filter.get(b"PING\n").len(), 1);
    let mut limits = IrcLimits::default();
    limits.buffer = 100;
    assert!(
        IrcFilter::new()
            .limits(limits)
            .check()
            .unwrap_err()
            .is_invalid_setting()
    );
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-zA-Z0-9#&@+:;=!]{1,9}".prop_map(String::into_bytes),
        proptest::collection::vec(prop_oneof![1..9_u8, 11..13_u8, 14..32_u8, 33..=255_u8], 1..9),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let tag = ("\\+?[a-z./-]{1,8}", ".{0,9}");
    let tags = proptest::collection::vec(tag, 0..4);
    let last = proptest::collection::vec(prop_oneof![1..10_u8, 11..13_u8, 14..=255_u8], 0..30);
    let command = prop_oneof!["[A-Z]{1,9}", "[0-9]{3}"];
    let params = proptest::collection::vec(word(), 0..14);
    (
        tags,
        proptest::option::of(word()),
        command,
        params,
        proptest::option::of(last),
    )
        .prop_map(|(tags, source, command, params, last)| {
            let last = last.map(|last| last.into_iter().filter(|b| *b != b'\n').collect());
            let params = params.into_iter().map(|mut param| {
                if param[0] == b':' {
                    param[0] = b'x';
                }
                param
            });
            let mut message = Message::new(&command, params.chain(last));
            for (key, value) in tags {
                message = message.tag(&key, value.replace('\0', "")).unwrap();
            }
            match source {
                Some(source) => message.from(source),
                None => message,
            }
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(message in message()) {
        let bytes = wire(message.clone()).unwrap();
        prop_assert_eq!(read(&bytes), message);
    }

    #[test]
    fn chunks_do_not_matter(
        lines in proptest::collection::vec(prop_oneof![
            4 => message().prop_map(|m| wire(m).unwrap()),
            2 => proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), Just(b'@'), Just(b':'), any::<u8>()], 0..60),
            1 => (0..90_usize).prop_map(|n| vec![b'a'; n]),
        ], 0..12),
        cuts in proptest::collection::vec(1..40_usize, 1..20),
    ) {
        let mut limits = IrcLimits::default();
        limits.line = 64;
        limits.tags = 32;
        let all = lines.concat();
        let whole = shown(IrcFilter::new().limits(limits).get(&all));
        let mut filter = IrcFilter::new().limits(limits);
        let (mut parts, mut rest, mut cuts) = (Vec::new(), &all[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (part, next) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            parts.extend(filter.get(part));
            rest = next;
        }
        prop_assert_eq!(shown(parts), whole);
        prop_assert!(filter.pending().len() < 64 + 32);
    }

    #[test]
    fn tags_survive_escaping(key in "[a-z]{1,8}", value in any::<Vec<u8>>()) {
        let value: Vec<u8> = value.into_iter().filter(|b| *b != 0).collect();
        let mut tags = Tags::default();
        tags.set("other", "x").unwrap();
        tags.set(&key, value.clone()).unwrap();
        prop_assert_eq!(tags.get(&key), Some(Text::from(value)));
    }
}

//! Any bytes as lines of IRC, in two chunks and in one: the same messages, which can be written and read again as the same.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use poe::filter::{Filter, FilterExt};
use poe_irc::{DccOffer, IrcFilter, IrcLimits, ctcp};

fuzz_target!(|data: &[u8]| {
    let Some((&cut, lines)) = data.split_first() else {
        return;
    };
    let mut limits = IrcLimits::default();
    (limits.line, limits.tags) = (128, 64);
    let filter = || IrcFilter::new().limits(limits);
    let whole = filter().get(lines);
    let mut other = filter();
    let mut parts = other.get(&lines[..lines.len().min(cut.into())]);
    parts.extend(other.get(&lines[lines.len().min(cut.into())..]));
    assert_eq!(format!("{whole:?}"), format!("{parts:?}"));
    assert!(other.pending().len() < 128 + 64);
    for message in whole.into_iter().flatten() {
        if let Some((_, text)) = message.params().first().and_then(|text| ctcp::parse(text.as_bytes()))
            && let Some(offer) = DccOffer::parse(&text)
            // In quotes a backslash before a quote has another meaning.
            && !text.as_bytes().contains(&b'\\')
        {
            assert_eq!(DccOffer::parse(&offer.to_text()), Some(offer));
        }
        for (key, value) in message.tags().iter() {
            assert!(key.len() + value.len() < 64);
        }
        let mut out = BytesMut::new();
        // A message without spaces where it needs some cannot be written; what is written is read as the same.
        let mut relay = IrcFilter::new();
        if relay.put(message.clone(), &mut out).is_ok() {
            let again = relay.get(&out).remove(0).expect("what was written can be read");
            assert_eq!(again, message);
        }
    }
});

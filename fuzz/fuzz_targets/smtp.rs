//! Any bytes as what an SMTP client sends, lines or a mail first, in two chunks and in one: the same records, and no mail with a bare CR or LF.

#![no_main]

use libfuzzer_sys::fuzz_target;
use poe::filter::{Filter, FilterExt};
use poe_smtp::{SmtpFilter, SmtpInput, SmtpLimits};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, sent)) = data.split_first() else {
        return;
    };
    let mut limits = SmtpLimits::default();
    (limits.line, limits.mail) = (64, 128);
    let filter = || match choice & 1 {
        0 => SmtpFilter::new().limits(limits),
        _ => SmtpFilter::mail().limits(limits),
    };
    let cut = sent.len().min(usize::from(choice / 2));
    let show = |records: Vec<_>| format!("{records:?}");
    let whole = filter().get(sent);
    let mut other = filter();
    let mut parts = other.get(&sent[..cut]);
    parts.extend(other.get(&sent[cut..]));
    for record in whole.iter().flatten() {
        if let SmtpInput::Mail(mail) = record {
            let lines = mail.windows(2).filter(|pair| *pair == b"\r\n").count();
            assert_eq!(mail.iter().filter(|b| **b == b'\n').count(), lines);
            assert_eq!(mail.iter().filter(|b| **b == b'\r').count(), lines);
        }
    }
    assert_eq!(show(whole), show(parts));
    // A command and a part of a mail, at most.
    assert!(other.pending().len() <= 64 + 128);
});

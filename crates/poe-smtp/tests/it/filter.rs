//! The filter: lines, mails, dot-stuffing, chunks, limits, smuggling.

use poe::filter::{Filter, FilterExt};
use poe_smtp::{SmtpFilter, SmtpInput, SmtpLimits, Violation};
use proptest::prelude::*;

fn in_data() -> SmtpFilter {
    let mut limits = SmtpLimits::default();
    limits.line = 100;
    limits.mail = 2000;
    SmtpFilter::mail().limits(limits)
}

fn lines() -> SmtpFilter {
    let mut filter = in_data();
    inputs(&mut filter, b".\r\n");
    filter
}

fn inputs(filter: &mut SmtpFilter, bytes: &[u8]) -> Vec<SmtpInput> {
    filter.get(bytes).into_iter().map(Result::unwrap).collect()
}

fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for line in mail.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b".") {
            all.push(b'.');
        }
        all.extend_from_slice(line);
    }
    all.extend_from_slice(b".\r\n");
    all
}

#[test]
fn only_cr_lf_ends_a_line_or_a_mail() {
    let bare_lf = vec![SmtpInput::Violation(Violation::BareLf)];
    let bare_cr = vec![SmtpInput::Violation(Violation::BareCr)];
    // What servers have taken for the end of a mail (CVE-2023-51764 and its like).
    for (end, violation) in [
        (&b"\n.\n"[..], &bare_lf),
        (b"\n.\r\n", &bare_lf),
        (b"\r\n.\n", &bare_lf),
        (b"\r.\r", &bare_cr),
        (b"\r.\r\n", &bare_cr),
        (b"\r\n.\r", &bare_cr),
        (b"\r\r\n.\r\n", &bare_cr),
        (b"\r\n.\r.\r\n", &bare_cr),
        (b"\n\r.\r\n", &bare_lf),
    ] {
        let bytes = [b"mail", end, b"MAIL FROM:<smuggled@a.test>\r\n.\r\n"].concat();
        assert_eq!(inputs(&mut in_data(), &bytes), *violation, "{}", end.escape_ascii());
        // Nor in two reads, and nothing follows.
        let mut filter = in_data();
        let mut all = Vec::new();
        for byte in bytes {
            all.extend(inputs(&mut filter, &[byte]));
        }
        assert_eq!(all, *violation, "{}", end.escape_ascii());
        assert!(filter.pending().is_empty());
    }
    assert_eq!(inputs(&mut SmtpFilter::new(), b"NOOP\nQUIT\r\n"), bare_lf);
    assert_eq!(inputs(&mut SmtpFilter::new(), b"NOOP\rQUIT\r\n"), bare_cr);
    assert_eq!(
        inputs(&mut SmtpFilter::new(), b"NO\0OP\r\n"),
        [SmtpInput::Violation(Violation::Nul)]
    );
}

#[test]
fn mails_and_lines_have_limits_and_cost_no_more_memory() {
    let mut filter = in_data();
    for _ in 0..1000 {
        assert!(inputs(&mut filter, &b"0123456789\r\n".repeat(50)).is_empty());
        assert!(filter.pending().len() <= 2600);
    }
    assert_eq!(
        inputs(&mut filter, b".\r\nNOOP\r\n"),
        [SmtpInput::LongMail, SmtpInput::Line("NOOP".into())]
    );

    let mut filter = in_data();
    assert_eq!(inputs(&mut filter, b".\r\n"), [SmtpInput::Mail("".into())]);
    assert_eq!(inputs(&mut filter, &[b'x'; 100]), [SmtpInput::LongLine]);
    for _ in 0..1000 {
        assert!(inputs(&mut filter, &[b'x'; 1000]).is_empty());
        assert!(filter.pending().len() <= 1);
    }
    assert_eq!(inputs(&mut filter, b"\r"), []);
    assert_eq!(inputs(&mut filter, b"\nNOOP\r\n"), [SmtpInput::Line("NOOP".into())]);
    let long = [&[b'y'; 99][..], b"\r\nNOOP\r\n"].concat();
    assert_eq!(
        inputs(&mut filter, &long),
        [SmtpInput::LongLine, SmtpInput::Line("NOOP".into())]
    );
}

proptest! {
    #[test]
    fn a_mail_comes_as_it_was_sent(
        lines in proptest::collection::vec("[.a-z\u{e9} ]{0,9}", 0..20),
        cuts in proptest::collection::vec(1..30_usize, 1..9),
    ) {
        let mail: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let sent = [stuffed(mail.as_bytes()), b"NOOP\r\n".to_vec()].concat();
        let expected = [SmtpInput::Mail(mail.into_bytes().into()), SmtpInput::Line("NOOP".into())];
        prop_assert_eq!(&inputs(&mut in_data(), &sent), &expected);
        let mut filter = in_data();
        let (mut rest, mut cuts, mut all) = (&sent[..], cuts.iter().cycle(), Vec::new());
        while !rest.is_empty() {
            let (part, next) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            all.extend(inputs(&mut filter, part));
            rest = next;
        }
        prop_assert_eq!(&all, &expected);
    }

    #[test]
    fn chunks_do_not_matter(
        bytes in proptest::collection::vec(prop_oneof![
            2 => Just(b"\r\n".to_vec()), 2 => Just(b".".to_vec()), 1 => Just(b"\r\n.\r\n".to_vec()),
            1 => (0..9_usize, any::<bool>())
                .prop_map(|(size, last)| format!("BDAT {size}{}\r\n", if last { " LAST" } else { "" }).into_bytes()),
            1 => (0..130_usize).prop_map(|n| vec![b'x'; n]), 1 => any::<u8>().prop_map(|b| vec![b]),
        ], 0..40),
        is_data in any::<bool>(),
        cut in 1..40_usize,
    ) {
        let filter = || match is_data {
            true => in_data(),
            false => lines(),
        };
        let bytes = bytes.concat();
        let whole = inputs(&mut filter(), &bytes);
        let mut other = filter();
        let parts: Vec<SmtpInput> = bytes.chunks(cut).flat_map(|part| inputs(&mut other, part)).collect();
        prop_assert_eq!(whole, parts);
    }
}

//! The commands that the server knows, from a line, by the parser `smtp-proto`.
//!
//! The line has passed the filter: it has no CR, LF or NUL. What the parser decides differently is decided here: `<postmaster>` is an address, an
//! empty recipient is none, and a local part that was quoted stays quoted.

use smtp_proto::{AUTH_LOGIN, AUTH_PLAIN, Error, MAIL_BODY_8BITMIME, MAIL_BODY_BINARYMIME, MAIL_SMTPUTF8, Request};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Ehlo(String),
    Helo(String),
    Mail { sender: String, size: usize, is_8bit: bool },
    Rcpt(String),
    Data,
    Rset,
    Noop,
    Quit,
    Help,
    Vrfy,
    StartTls,
    AuthPlain(String),
    AuthLogin(String),
    OtherAuth,
}

/// Why a line is no command: the code and text of the reply.
pub(crate) type Refusal = (u16, String);

pub(crate) fn parse(line: &[u8]) -> Result<Command, Refusal> {
    if !line.is_ascii() {
        return Err((
            500,
            "5.6.7 SMTPUTF8 is not offered: a command has bytes of ASCII".into(),
        ));
    }
    let mut ended = Vec::with_capacity(line.len() + 2);
    ended.extend_from_slice(line);
    ended.extend_from_slice(b"\r\n");
    let request = Request::parse(&mut ended.iter()).map_err(refusal)?;
    Ok(match request {
        Request::Ehlo { host } => Command::Ehlo(host.into_owned()),
        Request::Helo { host } => Command::Helo(host.into_owned()),
        Request::Mail { from } => {
            if from.flags & (MAIL_BODY_BINARYMIME | MAIL_SMTPUTF8) != 0 {
                return Err((555, "5.5.4 BINARYMIME and SMTPUTF8 are not offered".into()));
            }
            Command::Mail {
                sender: address(&from.address, line),
                size: from.size,
                is_8bit: from.flags & MAIL_BODY_8BITMIME != 0,
            }
        }
        Request::Rcpt { to } => match address(&to.address, line) {
            empty if empty.is_empty() => return Err((501, "5.1.3 a recipient is missing".into())),
            recipient => Command::Rcpt(recipient),
        },
        Request::Data => Command::Data,
        Request::Rset => Command::Rset,
        Request::Noop { .. } => Command::Noop,
        Request::Quit => Command::Quit,
        Request::Help { .. } => Command::Help,
        Request::Vrfy { .. } => Command::Vrfy,
        Request::StartTls => Command::StartTls,
        Request::Auth {
            mechanism,
            initial_response,
        } => match mechanism {
            AUTH_PLAIN => Command::AuthPlain(initial_response.into_owned()),
            AUTH_LOGIN => Command::AuthLogin(initial_response.into_owned()),
            _ => Command::OtherAuth,
        },
        _ => return Err((502, "5.5.1 the command is not offered".into())),
    })
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::UnknownCommand => (500, "5.5.1 unknown command".into()),
        Error::InvalidSenderAddress => (501, "5.1.7 the sender's address is not valid".into()),
        Error::InvalidRecipientAddress => (501, "5.1.3 the recipient's address is not valid".into()),
        Error::SyntaxError { syntax } => (501, format!("5.5.4 syntax: {syntax}")),
        Error::InvalidParameter { param } => (501, format!("5.5.4 the parameter {param} is not valid")),
        Error::UnsupportedParameter { .. } => (555, "5.5.4 a parameter is not known".into()),
        _ => (501, "5.5.4 the command is not complete".into()),
    }
}

/// The address as a client must write it: the parser takes quotes away, and gives an empty one for the postmaster.
fn address(parsed: &str, line: &[u8]) -> String {
    let Some((local, domain)) = parsed.rsplit_once('@') else {
        let named = line.windows(12).any(|part| part.eq_ignore_ascii_case(b"<postmaster>"));
        return if named { "postmaster".into() } else { String::new() };
    };
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    if !local.is_empty() && local.chars().all(is_atom) && !dots {
        return parsed.to_owned();
    }
    let quote = |c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]);
    let quoted: String = local.chars().flat_map(quote).collect();
    format!("\"{quoted}\"@{domain}")
}

#[cfg(test)]
mod tests {
    use super::{Command, parse};

    fn recipient(line: &str) -> Option<String> {
        match parse(line.as_bytes()) {
            Ok(Command::Rcpt(recipient)) => Some(recipient),
            _ => None,
        }
    }

    #[test]
    fn addresses_keep_their_meaning() {
        for (line, address) in [
            ("RCPT TO:<a@b.test>", Some("a@b.test")),
            ("rcpt to: <a@b.test>", Some("a@b.test")),
            ("RCPT TO:<Postmaster>", Some("postmaster")),
            ("RCPT TO:<>", None),
            ("RCPT TO:<a>", None),
            ("RCPT TO:a@b.test", None),
            ("RCPT TO:<a@b@c.test>", None),
            ("RCPT TO:<\"a b\"@c.test>", Some("\"a b\"@c.test")),
            ("RCPT TO:<\"a@b\"@c.test>", Some("\"a@b\"@c.test")),
            ("RCPT TO:<\"abc\"@c.test>", Some("abc@c.test")),
            ("RCPT TO:<@relay.test:a@b.test>", Some("a@b.test")),
            ("RCPT TO:<a@b.test> X=1", None),
        ] {
            assert_eq!(recipient(line).as_deref(), address, "{line}");
        }
    }

    #[test]
    fn commands_are_known_in_any_case() {
        assert_eq!(parse(b"ehlo x.test"), Ok(Command::Ehlo("x.test".into())));
        assert_eq!(parse(b"Quit"), Ok(Command::Quit));
        let mail = Command::Mail {
            sender: "a@b.test".into(),
            size: 100,
            is_8bit: true,
        };
        assert_eq!(parse(b"MAIL FROM:<a@b.test> SIZE=100 BODY=8BITMIME"), Ok(mail));
        let mail = Command::Mail {
            sender: String::new(),
            size: 0,
            is_8bit: false,
        };
        assert_eq!(parse(b"MAIL FROM:<>"), Ok(mail));
        assert_eq!(parse(b"AUTH PLAIN AGEAYg=="), Ok(Command::AuthPlain("AGEAYg==".into())));
        assert_eq!(parse(b"AUTH LOGIN"), Ok(Command::AuthLogin(String::new())));
        assert_eq!(parse(b"AUTH CRAM-MD5"), Ok(Command::OtherAuth));
        for (line, code) in [
            (&b"XYZ"[..], 500),
            (b"", 500),
            (b"EHLO", 501),
            (b"MAIL FROM:<\xe4@b.test>", 500),
        ] {
            assert_eq!(parse(line).unwrap_err().0, code, "{line:?}");
        }
    }
}

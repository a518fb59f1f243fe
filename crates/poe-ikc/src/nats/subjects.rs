//! Which subject a message is published to.
//!
//! | subject | who takes it |
//! |---|---|
//! | `PREFIX.to.KERNEL.SESSION.EVENT` | the kernel with that ID |
//! | `PREFIX.any.SESSION.EVENT` | one of the kernels that publish the event: a queue group |
//! | `PREFIX.all.SESSION.EVENT` | all kernels that publish it |
//!
//! | `PREFIX.post.any.SESSION.EVENT`, `PREFIX.post.to.NAME.SESSION.EVENT` | the stream of durable posts |
//! | `PREFIX.dead.` and the same | the stream of dead letters |
//!
//! Each part is a [`token`]. The reply subject of a message tells who has sent it: `PREFIX.to.KERNEL.call.NUMBER` for a call,
//! `PREFIX.to.KERNEL.post.` with the target for a post, `PREFIX.to.KERNEL.reply` for a reply. The server says there if nobody takes the
//! message.

use async_nats::Subject;

/// The session in reply subjects; no session is reached there.
const CALL: &str = "call.";
const POST: &str = "post.";

/// The subjects that an `Ikc` uses.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    prefix: String,
    /// `PREFIX.to.KERNEL.`, this kernel's.
    inbox: String,
    /// The reply subject of replies.
    pub(crate) replies: Subject,
}

/// Where a reply subject leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Awaited<'a> {
    Call(u64),
    Post(&'a str),
}

impl Subjects {
    pub(crate) fn new(prefix: &str, id: &str) -> Self {
        let inbox = format!("{prefix}.to.{}.", token(id));
        Subjects {
            prefix: prefix.to_owned(),
            replies: format!("{inbox}reply").into(),
            inbox,
        }
    }

    /// What precedes session and event in messages to a kernel.
    pub(crate) fn to(&self, kernel: &str) -> String {
        format!("{}.to.{kernel}.", self.prefix)
    }

    pub(crate) fn any(&self) -> String {
        format!("{}.any.", self.prefix)
    }

    pub(crate) fn all(&self) -> String {
        format!("{}.all.", self.prefix)
    }

    /// Where a durable post goes that nobody can handle.
    pub(crate) fn dead(&self, post: &str) -> Option<String> {
        let rest = post.strip_prefix(&*self.prefix)?.strip_prefix(".post.")?;
        Some(format!("{}.dead.{rest}", self.prefix))
    }

    /// All messages to this kernel.
    pub(crate) fn own(&self) -> String {
        format!("{}>", self.inbox)
    }

    pub(crate) fn reply_to_call(&self, number: &str) -> Subject {
        format!("{}{CALL}{number}", self.inbox).into()
    }

    pub(crate) fn reply_to_post(&self, target: &str) -> Subject {
        format!("{}{POST}{target}", self.inbox).into()
    }

    /// The token of the kernel that has sent a message with this reply subject.
    pub(crate) fn sender<'s>(&self, reply: &'s str) -> Option<&'s str> {
        let rest = reply.strip_prefix(&*self.prefix)?.strip_prefix(".to.")?;
        rest.split('.').next().filter(|token| !token.is_empty())
    }

    /// What a message to one of our reply subjects is about.
    pub(crate) fn awaited<'s>(&self, subject: &'s str) -> Option<Awaited<'s>> {
        let rest = subject.strip_prefix(&*self.inbox)?;
        match (rest.strip_prefix(CALL), rest.strip_prefix(POST)) {
            (Some(number), _) => number.parse().ok().map(Awaited::Call),
            (_, Some(target)) => Some(Awaited::Post(target)),
            _ => None,
        }
    }
}

/// Text as one part of a subject, and of a key in a bucket: other characters than letters, digits, `_` and `-` are `=` and two
/// hexadecimal digits for each byte. Nothing is `=`.
pub(crate) fn token(text: &str) -> String {
    if text.is_empty() {
        return "=".to_owned();
    }
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => token.push(char::from(byte)),
            _ => token.push_str(&format!("={byte:02X}")),
        }
    }
    token
}

/// The text of a token; `None` if it is not one.
pub(crate) fn text(token: &str) -> Option<String> {
    if token == "=" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'=' {
            bytes.push(*first);
            continue;
        }
        let digits = str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_is_one_part_of_a_subject_and_is_read_back(name in any::<String>()) {
            let token = token(&name);
            prop_assert!(!token.is_empty());
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'=')));
            prop_assert_eq!(text(&token), Some(name));
        }

        #[test]
        fn foreign_subjects_are_read_without_a_panic(subject in "[a-z.=%0-9]{0,40}", token in any::<String>()) {
            let subjects = Subjects::new("poe", "me");
            let _ = (subjects.sender(&subject), subjects.awaited(&subject), text(&token), text(&subject));
        }
    }

    #[test]
    fn a_reply_subject_tells_who_has_sent_the_message_and_what_it_is_about() {
        let subjects = Subjects::new("poe", "host.a-1");
        let call = subjects.reply_to_call("17");
        assert_eq!(call.as_str(), "poe.to.host=2Ea-1.call.17");
        assert_eq!(subjects.sender(&call), Some("host=2Ea-1"));
        assert_eq!(subjects.awaited(&call), Some(Awaited::Call(17)));
        let post = subjects.reply_to_post("poe.any.work.job");
        assert_eq!(subjects.awaited(&post), Some(Awaited::Post("poe.any.work.job")));
        assert_eq!(subjects.sender("other.to.x.call.1"), None);
    }
}

//! The error of a value that has another type than the handler takes.

use std::fmt;

/// An event that was posted by name with a value of a type that its handler does not take.
///
/// If the only difference is the type of a number literal, the text says so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrongArgument {
    /// The event.
    pub event: String,
    /// The type that the handler takes.
    pub expected: &'static str,
    /// The type of the value that was sent.
    pub sent: &'static str,
    /// The file and line of the post.
    pub place: String,
}

impl fmt::Display for WrongArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "event `{}` takes `{}` but was sent `{}` at {}",
            self.event, self.expected, self.sent, self.place
        )?;
        match mistaken_literal(self.expected, self.sent) {
            Some(("i32", meant)) => write!(
                f,
                " (an integer literal is `i32` unless it says otherwise: use a typed key, or write `5_{meant}`)"
            ),
            Some((_, meant)) => write!(
                f,
                " (a float literal is `f64` unless it says otherwise: use a typed key, or write `0.5_{meant}`)"
            ),
            None => Ok(()),
        }
    }
}

/// The types that an integer literal can have, other than `i32`.
const NUMBERS: [&str; 13] = [
    "i8", "i16", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize", "f32", "f64",
];

/// Returns the first pair of number types that differ only because a literal had no suffix, and no other difference exists.
fn mistaken_literal(expected: &'static str, sent: &'static str) -> Option<(&'static str, &'static str)> {
    let words = |name: &'static str| name.split(|c: char| !c.is_alphanumeric() && c != '_');
    if words(expected).count() != words(sent).count() {
        return None;
    }
    let differing = || {
        words(sent)
            .zip(words(expected))
            .filter(|(sent, expected)| sent != expected)
    };
    let literals = differing().all(|(sent, expected)| match sent {
        "i32" => NUMBERS.contains(&expected),
        "f64" => expected == "f32",
        _ => false,
    });
    differing().next().filter(|_| literals)
}

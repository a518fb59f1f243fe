//! What a bare name cannot prevent: a value of a type that the handler does not take.

use std::fmt;

/// A bare name was posted with a value that its handler does not take. Where a number that was written without its type
/// is all that is wrong, the text says so.
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let id = Session::builder(())
///     .on(START, |_, ()| ())
///     .on("resize", |_, size: (u32, u32)| println!("now {size:?}"))
///     .create(&kernel)?;
/// kernel.post(id, "resize", "80x24")?; // no key that would know better
/// let error = kernel.run().await.unwrap_err();
/// let wrong = error.failure().and_then(|failure| failure.wrong_type()).unwrap();
/// assert_eq!((&*wrong.event, wrong.expected, wrong.sent), ("resize", "(u32, u32)", "&str"));
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongArgument {
    /// The event.
    pub event: String,
    /// The type that the handler takes.
    pub expected: &'static str,
    /// The type that was sent.
    pub sent: &'static str,
    /// The poster's file and line.
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

/// What an integer literal can be, apart from an `i32`.
const NUMBERS: [&str; 13] = [
    "i8", "i16", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize", "f32", "f64",
];

/// The first number in a type that has come from a literal without a suffix, and the type that it should have had, if
/// nothing else is wrong.
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

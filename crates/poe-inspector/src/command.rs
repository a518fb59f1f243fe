//! The lines of a console, as commands.
//!
//! The fuzz target `inspector` includes this file as it is, so it imports nothing of the crate.

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'l> {
    /// An empty line.
    Nothing,
    /// The peer is done, or it is a browser: a page cannot be made to talk to a console.
    Quit,
    Do {
        name: &'l str,
        rest: &'l str,
    },
}

impl<'l> Command<'l> {
    pub(crate) fn of(line: &'l str) -> Self {
        let line = line.trim();
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match name {
            "" => Command::Nothing,
            "quit" | "exit" | "q" => Command::Quit,
            _ if line.ends_with("HTTP/1.1") || line.ends_with("HTTP/1.0") => Command::Quit,
            _ => Command::Do {
                name,
                rest: rest.trim_start(),
            },
        }
    }
}

/// What an action is about: a session, then an event or a signal, then an argument as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Action<'l> {
    pub(crate) to: &'l str,
    pub(crate) what: &'l str,
    pub(crate) arg: &'l str,
}

impl<'l> Action<'l> {
    pub(crate) fn of(rest: &'l str) -> Self {
        let mut words = rest.splitn(3, char::is_whitespace);
        Action {
            to: words.next().unwrap_or(""),
            what: words.next().unwrap_or(""),
            arg: words.next().unwrap_or("null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Command};

    #[test]
    fn a_line_is_a_command_and_the_rest() {
        let command = |name, rest| Command::Do { name, rest };
        assert_eq!(Command::of("  why \t book  "), command("why", "book"));
        assert_eq!(Command::of("sessions"), command("sessions", ""));
        assert_eq!(Command::of(" \t"), Command::Nothing);
        assert_eq!(Command::of("quit now"), Command::Quit);
        assert_eq!(Command::of("GET / HTTP/1.1"), Command::Quit);
        assert_eq!(Command::of("HTTP/1.0"), Command::Quit);
    }

    #[test]
    fn an_argument_may_have_spaces() {
        let post = Action::of(r#"book add {"n": 1}"#);
        assert_eq!((post.to, post.what, post.arg), ("book", "add", r#"{"n": 1}"#));
        assert_eq!(Action::of("").arg, "null");
    }
}

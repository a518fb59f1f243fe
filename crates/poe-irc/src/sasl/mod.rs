//! SASL: how a client proves who it is while it registers.

#[cfg(feature = "scram")]
mod scram;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The most bytes of base64 that a server may say at once.
const CHALLENGE: usize = 8 * 400;

/// How the client authenticates (IRCv3 `sasl`).
///
/// ```
/// use poe_irc::Sasl;
/// let sasl = Sasl::plain("ann", "secret");
/// assert!(!format!("{sasl:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct Sasl(Mechanism);

#[derive(Clone)]
enum Mechanism {
    Plain {
        user: String,
        password: String,
    },
    External,
    #[cfg(feature = "scram")]
    Scram {
        user: String,
        password: String,
    },
}

impl Sasl {
    /// Authenticates with an account and its password. Needs TLS, or [`allow_plaintext_passwords`](crate::IrcBuilder::allow_plaintext_passwords).
    pub fn plain(user: impl Into<String>, password: impl Into<String>) -> Self {
        Sasl(Mechanism::Plain {
            user: user.into(),
            password: password.into(),
        })
    }

    /// Authenticates with the client certificate of the TLS connection.
    #[must_use]
    #[doc(alias = "CertFP")]
    pub fn external() -> Self {
        Sasl(Mechanism::External)
    }

    /// Authenticates with SCRAM-SHA-256: the password is not sent, and the server has to prove that it knows the account.
    ///
    /// A server that asks for more than 100 000 iterations is left, because they would hold up the kernel's thread. The password is used as it is,
    /// without SASLprep, which changes nothing in ASCII.
    #[cfg(feature = "scram")]
    pub fn scram_sha_256(user: impl Into<String>, password: impl Into<String>) -> Self {
        Sasl(Mechanism::Scram {
            user: user.into(),
            password: password.into(),
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.0 {
            Mechanism::Plain { .. } => "PLAIN",
            Mechanism::External => "EXTERNAL",
            #[cfg(feature = "scram")]
            Mechanism::Scram { .. } => "SCRAM-SHA-256",
        }
    }

    /// Whether everybody on the way could read the secret.
    pub(crate) fn needs_secrecy(&self) -> bool {
        matches!(self.0, Mechanism::Plain { .. })
    }

    pub(crate) fn begin(&self) -> Result<Exchange, String> {
        let (step, is_proved) = match &self.0 {
            Mechanism::Plain { user, password } => (Step::Once(format!("{user}\0{user}\0{password}")), true),
            Mechanism::External => (Step::Once(String::new()), true),
            #[cfg(feature = "scram")]
            Mechanism::Scram { user, password } => (Step::Scram(scram::Scram::new(user, password)?), false),
        };
        Ok(Exchange {
            step,
            said: String::new(),
            is_proved,
        })
    }
}

impl std::fmt::Debug for Sasl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sasl").field(&self.name()).finish()
    }
}

/// An exchange that is under way.
pub(crate) struct Exchange {
    step: Step,
    /// What the server has said of a message in several parts.
    said: String,
    /// The server has proved itself, where the mechanism asks for it.
    is_proved: bool,
}

enum Step {
    Once(String),
    #[cfg(feature = "scram")]
    Scram(scram::Scram),
}

impl Exchange {
    /// Takes the parameter of an `AUTHENTICATE` message; returns the parameters of those that reply to it.
    pub(crate) fn step(&mut self, part: &str) -> Result<Vec<String>, String> {
        if part != "+" {
            self.said.push_str(part);
        }
        if self.said.len() > CHALLENGE {
            return Err("the server's message is too long".into());
        }
        if part.len() == 400 {
            return Ok(Vec::new());
        }
        let said = STANDARD.decode(std::mem::take(&mut self.said));
        let said = said.map_err(|_| "the server's message is not Base64")?;
        let reply = match &mut self.step {
            Step::Once(secret) => {
                if !said.is_empty() {
                    return Err("the server asks for more than the mechanism has".into());
                }
                std::mem::take(secret).into_bytes()
            }
            #[cfg(feature = "scram")]
            Step::Scram(scram) => {
                let reply = scram.step(&said)?;
                self.is_proved = reply.is_empty();
                reply
            }
        };
        Ok(parts(&reply))
    }

    pub(crate) fn is_proved(&self) -> bool {
        self.is_proved
    }
}

/// 400 bytes each; one that is shorter ends the message, so after a full one comes an empty one.
fn parts(message: &[u8]) -> Vec<String> {
    let encoded = STANDARD.encode(message);
    let mut parts: Vec<String> = encoded
        .as_bytes()
        .chunks(400)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect();
    if parts.last().is_none_or(|part| part.len() == 400) {
        parts.push("+".to_owned());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::Sasl;

    #[test]
    fn long_secrets_are_cut_in_parts_of_400_bytes() {
        let reply = |sasl: Sasl| sasl.begin().unwrap().step("+").unwrap();
        assert_eq!(reply(Sasl::external()), ["+"]);
        assert_eq!(reply(Sasl::plain("jilles", "sesame")), ["amlsbGVzAGppbGxlcwBzZXNhbWU="]);
        // 300 bytes are 400 in base64.
        let lengths = |password| {
            let parts = reply(Sasl::plain("a", "x".repeat(password)));
            parts.iter().map(String::len).collect::<Vec<_>>()
        };
        assert_eq!(lengths(300 - 4), [400, 1]);
        assert_eq!(lengths(301 - 4), [400, 4]);
    }

    #[test]
    fn a_server_that_says_too_much_is_left() {
        let mut exchange = Sasl::plain("a", "b").begin().unwrap();
        for _ in 0..8 {
            assert!(exchange.step(&"A".repeat(400)).unwrap().is_empty());
        }
        assert!(exchange.step(&"A".repeat(400)).is_err());
        assert!(Sasl::plain("a", "b").begin().unwrap().step("AAAA").is_err());
        assert!(Sasl::plain("a", "b").begin().unwrap().step("!").is_err());
    }
}

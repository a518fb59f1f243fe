//! SASL: how a client proves who it is while it registers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

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
    Plain { user: String, password: String },
    External,
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

    pub(crate) fn name(&self) -> &'static str {
        match self.0 {
            Mechanism::Plain { .. } => "PLAIN",
            Mechanism::External => "EXTERNAL",
        }
    }

    /// Whether everybody on the way could read the secret.
    pub(crate) fn needs_secrecy(&self) -> bool {
        matches!(self.0, Mechanism::Plain { .. })
    }

    /// The parameters of the `AUTHENTICATE` messages that reply to the server's `+`.
    pub(crate) fn reply(&self) -> Vec<String> {
        let secret = match &self.0 {
            Mechanism::Plain { user, password } => format!("{user}\0{user}\0{password}"),
            Mechanism::External => String::new(),
        };
        let encoded = STANDARD.encode(secret);
        // 400 bytes each; one that is shorter ends the reply, so after a full one comes an empty one.
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
}

impl std::fmt::Debug for Sasl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sasl").field(&self.name()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Sasl;

    #[test]
    fn long_secrets_are_cut_in_parts_of_400_bytes() {
        assert_eq!(Sasl::external().reply(), ["+"]);
        assert_eq!(
            Sasl::plain("jilles", "sesame").reply(),
            ["amlsbGVzAGppbGxlcwBzZXNhbWU="]
        );
        // 300 bytes are 400 in base64.
        let parts = Sasl::plain("a", "x".repeat(300 - 4)).reply();
        assert_eq!(parts.iter().map(String::len).collect::<Vec<_>>(), [400, 1]);
        let parts = Sasl::plain("a", "x".repeat(301 - 4)).reply();
        assert_eq!(parts.iter().map(String::len).collect::<Vec<_>>(), [400, 4]);
    }
}

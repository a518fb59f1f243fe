//! SCRAM-SHA-256 (RFC 7677): the server never sees the password, and proves that it knows the account.
//!
//! | state | the server says | the client replies |
//! |---|---|---|
//! | `First` | nothing | name and nonce |
//! | `Salt` | nonce, salt and count | the proof |
//! | `Proof` | its signature | nothing, if it is right |

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The counts that are accepted: RFC 7677's least, and what does not hold up the kernel's thread for long.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=100_000;

type Key = [u8; 32];

/// An exchange with a server.
pub(crate) struct Scram {
    user: String,
    password: String,
    nonce: String,
    state: State,
}

enum State {
    First,
    Salt { first_bare: String },
    Proof { server_signature: Key },
    Over,
}

fn mac(key: &[u8], text: &[u8]) -> Key {
    // A key may have any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    mac.update(text);
    mac.finalize().into_bytes().into()
}

impl Scram {
    pub(crate) fn new(user: &str, password: &str) -> Result<Self, String> {
        let mut random = [0; 18];
        getrandom::fill(&mut random).map_err(|error| format!("no random numbers: {error}"))?;
        Ok(Scram::with_nonce(user, password, STANDARD.encode(random)))
    }

    fn with_nonce(user: &str, password: &str, nonce: String) -> Self {
        Scram {
            user: user.replace('=', "=3D").replace(',', "=2C"),
            password: password.to_owned(),
            nonce,
            state: State::First,
        }
    }

    pub(crate) fn step(&mut self, server: &[u8]) -> Result<Vec<u8>, String> {
        let server = std::str::from_utf8(server).map_err(|_| "the server's message is not UTF-8")?;
        match std::mem::replace(&mut self.state, State::Over) {
            State::First => {
                let first_bare = format!("n={},r={}", self.user, self.nonce);
                let message = format!("n,,{first_bare}");
                self.state = State::Salt { first_bare };
                Ok(message.into_bytes())
            }
            State::Salt { first_bare } => self.prove(&first_bare, server),
            State::Proof { server_signature } => match field(server, "v=") {
                Some(signature) if STANDARD.decode(signature).is_ok_and(|bytes| bytes == server_signature) => {
                    Ok(Vec::new())
                }
                _ => Err("the server has not proved that it knows the account".into()),
            },
            State::Over => Err("the server says more than it should".into()),
        }
    }

    fn prove(&mut self, first_bare: &str, server_first: &str) -> Result<Vec<u8>, String> {
        let malformed = || "the server's first message is not SCRAM's".to_owned();
        let nonce = field(server_first, "r=").ok_or_else(malformed)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the server's nonce does not begin with the client's".into());
        }
        let salt = field(server_first, "s=").and_then(|salt| STANDARD.decode(salt).ok());
        let salt = salt.ok_or_else(malformed)?;
        let iterations: u32 = field(server_first, "i=")
            .and_then(|count| count.parse().ok())
            .ok_or_else(malformed)?;
        if !ITERATIONS.contains(&iterations) {
            return Err(format!(
                "the server wants {iterations} iterations, which is not between 4096 and 100000"
            ));
        }
        let mut salted: Key = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(self.password.as_bytes(), &salt, iterations, &mut salted);
        let client_key = mac(&salted, b"Client Key");
        let stored_key = Sha256::digest(client_key);
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{first_bare},{server_first},{without_proof}");
        let signature = mac(&stored_key, signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect();
        let server_key = mac(&salted, b"Server Key");
        self.state = State::Proof {
            server_signature: mac(&server_key, signed.as_bytes()),
        };
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes())
    }
}

fn field<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    message.split(',').find_map(|part| part.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::Scram;

    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn begun() -> Scram {
        let mut scram = Scram::with_nonce("user", "pencil", "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(scram.step(b"").unwrap(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        scram
    }

    #[test]
    fn the_example_of_rfc_7677() {
        let mut scram = begun();
        let proof = String::from_utf8(scram.step(SERVER_FIRST.as_bytes()).unwrap()).unwrap();
        assert_eq!(
            proof,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(
            scram.step(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap(),
            b""
        );
        assert!(scram.step(b"").is_err());
    }

    #[test]
    fn a_server_that_does_not_know_the_account_is_found_out() {
        for (first, last) in [
            (SERVER_FIRST, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="),
            (SERVER_FIRST, "e=invalid-proof"),
            (SERVER_FIRST, ""),
        ] {
            let mut scram = begun();
            scram.step(first.as_bytes()).unwrap();
            assert!(scram.step(last.as_bytes()).is_err(), "{last}");
        }
        for first in [
            "r=another,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
            "r=rOprNGfwEbeRWgbNEkqOx,s=!,i=4096",
            "",
            "\u{e9}",
        ] {
            assert!(begun().step(first.as_bytes()).is_err(), "{first}");
        }
    }

    #[test]
    fn names_are_escaped() {
        let mut scram = Scram::with_nonce("a=b,c", "x", "n".into());
        assert_eq!(scram.step(b"").unwrap(), b"n,,n=a=3Db=2Cc,r=n");
    }
}

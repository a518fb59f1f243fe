//! The handshake: who the peers are, and how they serialize. Two protocols, as client and as server.
//!
//! | phase | a server hears | and says |
//! |---|---|---|
//! | `ServerSetup` | `SETUP KERNEL=…;FREEZER=…;PID=…` | its own `SETUP`, and is done; `NOT` if it is malformed |
//! | | `HELLO` | `IAM id`, and goes on in the old protocol |
//! | `OurNames` | `OK` | `IAM name` for each other name, the last one first, then `DONE` |
//! | `TheirNames` | `IAM name` | `OK`; after `DONE` it waits for `FREEZER` |
//! | `ServerFormat` | `FREEZER package`, `WORLD` | `OK` or `NOT`; `UP`, and is done |
//!
//! A client does the same from the other side: `ClientSetup`, and after a `NOT` `TheirNames`, `OurNames`, `ClientFormat`, `ClientEnd`.

use super::message::Format;
use std::fmt;

/// Which handshake is spoken first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// `IKC0`, one line each way, the default since version 0.2300 of Perl's IKC. A client falls back to the old one.
    #[default]
    Ikc0,
    /// `IKC`, the old handshake alone.
    Ikc,
}

/// What a peer announces about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The kernel's names, first the one that no other kernel has.
    pub names: Vec<String>,
    /// The serializers that it offers, best first.
    pub formats: Vec<Format>,
    /// The number of its process.
    pub pid: u32,
}

/// What is known of the peer when the handshake is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its names, first the one that it calls its ID.
    pub names: Vec<String>,
    /// The number of its process; the old handshake does not tell it.
    pub pid: Option<u32>,
    /// How frames are serialized.
    pub format: Format,
}

/// What to do after a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// A line to send, without its end.
    pub send: Option<String>,
    /// The handshake is done: frames follow.
    pub done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    ServerSetup,
    ServerHello,
    ServerFormat,
    ClientSetup,
    ClientFormat,
    ClientEnd,
    OurNames,
    TheirNames,
    Done,
}

/// The handshake of one connection, as a state machine without I/O.
///
/// ```
/// use poe_ikc::wire::{Format, Handshake, Identity, Protocol};
/// let of = |name: &str| Identity { names: vec![name.to_owned()], formats: vec![Format::Storable], pid: 7 };
/// let mut server = Handshake::server(of("beta"), Protocol::Ikc0);
/// let (mut client, first) = Handshake::client(of("alpha"), Protocol::Ikc0);
/// assert_eq!(first, "SETUP KERNEL=alpha;FREEZER=Storable;PID=7");
/// let reply = server.line(&first)?.send.unwrap();
/// assert!(client.line(&reply)?.done);
/// assert_eq!((&*client.peer().names[0], &*server.peer().names[0]), ("beta", "alpha"));
/// # Ok::<(), poe_ikc::wire::HandshakeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Handshake {
    phase: Phase,
    is_client: bool,
    ours: Identity,
    /// How many of our names, or of our formats, are told already.
    told: usize,
    peer: Peer,
    lines: usize,
}

/// The longest line that a handshake may have, in bytes.
pub(crate) const MAX_LINE: usize = 8 * 1024;
const MAX_LINES: usize = 200;
const MAX_NAMES: usize = 64;
const MAX_NAME: usize = 255;

impl Handshake {
    /// Starts as the side that was connected to.
    #[must_use]
    pub fn server(ours: Identity, protocol: Protocol) -> Self {
        let phase = match protocol {
            Protocol::Ikc0 => Phase::ServerSetup,
            Protocol::Ikc => Phase::ServerHello,
        };
        Self::new(phase, false, ours)
    }

    /// Starts as the side that has connected; returns the first line to send, too.
    #[must_use]
    pub fn client(ours: Identity, protocol: Protocol) -> (Self, String) {
        match protocol {
            Protocol::Ikc0 => {
                let line = setup(&ours, &ours.formats);
                (Self::new(Phase::ClientSetup, true, ours), line)
            }
            Protocol::Ikc => (Self::new(Phase::TheirNames, true, ours), "HELLO".to_owned()),
        }
    }

    fn new(phase: Phase, is_client: bool, ours: Identity) -> Self {
        let (told, peer, lines) = (0, Peer::default(), 0);
        Handshake {
            phase,
            is_client,
            ours,
            told,
            peer,
            lines,
        }
    }

    /// Returns what is known of the peer so far.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Takes a line from the peer, without its end.
    ///
    /// # Errors
    /// The peer cannot be talked to: it says too much, or nothing that can be used. Drop the connection.
    pub fn line(&mut self, line: &str) -> Result<Progress, HandshakeError> {
        self.lines += 1;
        if self.lines > MAX_LINES {
            return Err(HandshakeError(format!("it is not over after {MAX_LINES} lines")));
        }
        match self.phase {
            Phase::ServerSetup if line.starts_with("SETUP ") => self.server_setup(line),
            Phase::ServerSetup | Phase::ServerHello if line == "HELLO" => {
                self.phase = Phase::OurNames;
                self.told = 1;
                Ok(say(format!("IAM {}", self.own_id())))
            }
            Phase::ServerSetup | Phase::ServerHello if line.starts_with("SETUP") || line.starts_with("HELLO IKC") => {
                Ok(not())
            }
            Phase::ServerSetup | Phase::ServerHello => Ok(Progress::default()),
            Phase::ServerFormat => self.server_format(line),
            Phase::ClientSetup => self.client_setup(line),
            Phase::ClientFormat => Ok(self.client_format(line)),
            Phase::ClientEnd if line == "UP" => Ok(self.done()),
            Phase::ClientEnd => Ok(prod(line)),
            Phase::OurNames => Ok(self.our_names(line)),
            Phase::TheirNames => self.their_names(line),
            Phase::Done => Err(HandshakeError("a line follows its end".to_owned())),
        }
    }

    fn own_id(&self) -> &str {
        self.ours.names.first().map_or("", String::as_str)
    }

    fn done(&mut self) -> Progress {
        self.phase = Phase::Done;
        Progress { send: None, done: true }
    }

    fn server_setup(&mut self, line: &str) -> Result<Progress, HandshakeError> {
        // The peer may try again, or fall back to the old protocol.
        let Some(theirs) = Setup::parse(line) else {
            return Ok(not());
        };
        let Some(format) = theirs.formats.iter().find_map(|package| self.offered(package)) else {
            return Ok(not());
        };
        self.peer = theirs.peer(format);
        let send = setup(&self.ours, &[format]);
        Ok(Progress {
            send: Some(send),
            ..self.done()
        })
    }

    fn client_setup(&mut self, line: &str) -> Result<Progress, HandshakeError> {
        if line == "NOT" {
            self.phase = Phase::TheirNames;
            return Ok(say("HELLO"));
        }
        let theirs = Setup::parse(line).ok_or_else(|| HandshakeError(format!("the server says {line:?}")))?;
        let format = match &*theirs.formats {
            [package] => self.offered(package),
            _ => None,
        };
        let format = format.ok_or_else(|| {
            HandshakeError(format!(
                "the server chose the serializer {:?}, which was not offered",
                theirs.formats.join(",")
            ))
        })?;
        self.peer = theirs.peer(format);
        Ok(self.done())
    }

    fn offered(&self, package: &str) -> Option<Format> {
        Format::of_package(package).filter(|format| self.ours.formats.contains(format))
    }

    fn our_names(&mut self, line: &str) -> Progress {
        if line != "OK" {
            return prod(line);
        }
        // The first was told before, the others follow from the last on.
        if self.told < self.ours.names.len() {
            let name = &self.ours.names[self.ours.names.len() - self.told];
            self.told += 1;
            return say(format!("IAM {name}"));
        }
        self.told = 0;
        if !self.is_client {
            self.phase = Phase::TheirNames;
            return say("DONE");
        }
        // Perl wants `DONE` and the next line apart, and takes them from one write.
        self.phase = Phase::ClientFormat;
        let next = self.next_format();
        say(format!("DONE\r\n{next}"))
    }

    fn their_names(&mut self, line: &str) -> Result<Progress, HandshakeError> {
        if line == "DONE" {
            if self.peer.names.is_empty() {
                return Err(HandshakeError("the peer has no name".to_owned()));
            }
            if !self.is_client {
                self.phase = Phase::ServerFormat;
                return Ok(Progress::default());
            }
            self.phase = Phase::OurNames;
            self.told = 1;
            return Ok(say(format!("IAM {}", self.own_id())));
        }
        match line.strip_prefix("IAM ").map(str::trim).filter(|name| is_name(name)) {
            Some(_) if self.peer.names.len() == MAX_NAMES => {
                Err(HandshakeError(format!("the peer has more than {MAX_NAMES} names")))
            }
            Some(name) => {
                self.peer.names.push(name.to_owned());
                Ok(say("OK"))
            }
            None => Ok(prod(line)),
        }
    }

    fn server_format(&mut self, line: &str) -> Result<Progress, HandshakeError> {
        if let Some(package) = line.strip_prefix("FREEZER ") {
            return Ok(match self.offered(package.trim()) {
                Some(format) => {
                    self.peer.format = format;
                    say("OK")
                }
                None => not(),
            });
        }
        if line == "WORLD" {
            let send = Some("UP".to_owned());
            return Ok(Progress { send, ..self.done() });
        }
        Ok(prod(line))
    }

    fn client_format(&mut self, line: &str) -> Progress {
        match line {
            "OK" => {
                self.peer.format = self.ours.formats[self.told - 1];
                self.phase = Phase::ClientEnd;
                say("WORLD")
            }
            "NOT" => say(self.next_format()),
            _ => not(),
        }
    }

    /// The offer of the next serializer. Without any both use Perl's default, which is Storable.
    fn next_format(&mut self) -> String {
        match self.ours.formats.get(self.told) {
            Some(format) => {
                self.told += 1;
                format!("FREEZER {}", format.package())
            }
            None => {
                self.phase = Phase::ClientEnd;
                "WORLD".to_owned()
            }
        }
    }
}

fn say(line: impl Into<String>) -> Progress {
    Progress {
        send: Some(line.into()),
        done: false,
    }
}

fn not() -> Progress {
    say("NOT")
}

/// `NOT` is never replied to with `NOT`, or it would go on for ever.
fn prod(line: &str) -> Progress {
    if line == "NOT" { Progress::default() } else { not() }
}

fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '.');
    !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(is_part)
}

fn setup(ours: &Identity, formats: &[Format]) -> String {
    let packages: Vec<&str> = formats.iter().map(|format| format.package()).collect();
    let (names, packages) = (ours.names.join(","), packages.join(","));
    format!("SETUP KERNEL={names};FREEZER={packages};PID={}", ours.pid)
}

/// A line of the peer: `SETUP KERNEL=…;FREEZER=…;PID=…`.
struct Setup {
    names: Vec<String>,
    formats: Vec<String>,
    pid: Option<u32>,
}

impl Setup {
    /// `None` if it is malformed: an unknown key, no name, names that no address can have.
    fn parse(line: &str) -> Option<Self> {
        let (mut names, mut formats, mut pid) = (Vec::new(), Vec::new(), None);
        for part in line.strip_prefix("SETUP ")?.split(';') {
            match part.split_once('=')? {
                ("KERNEL", value) => names.extend(value.split(',').map(str::to_owned)),
                ("FREEZER", value) => formats.extend(value.split(',').map(str::to_owned)),
                ("PID", value) => pid = Some(value.parse().ok()?),
                _ => return None,
            }
        }
        let usable = !names.is_empty() && names.len() <= MAX_NAMES && names.iter().all(|name| is_name(name));
        usable.then_some(Setup { names, formats, pid })
    }

    fn peer(self, format: Format) -> Peer {
        let (names, pid) = (self.names, self.pid);
        Peer { names, pid, format }
    }
}

/// A peer that the handshake failed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeError(pub(crate) String);

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the handshake failed: {}", self.0)
    }
}

impl std::error::Error for HandshakeError {}

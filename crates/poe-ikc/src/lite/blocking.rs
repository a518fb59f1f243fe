//! A blocking client without a kernel: `Lite`.

use crate::error::{IkcError, RemoteError, RemoteErrorKind};
use crate::specifier::Specifier;
use crate::wire::{Codec, Form, Format, Handshake, HandshakeError, Head, Identity, Protocol};
use poe::event::{Calls, EventName, Posts};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A blocking client of another kernel, for scripts, tests and threads that have no kernel: Perl's `ClientLite`.
///
/// It can post and call; nobody can call it. It does not connect again: make another one after an error that
/// [is lost](RemoteError::is_lost).
///
/// ```no_run
/// use poe::Event;
/// use poe_ikc::Lite;
/// use std::time::Duration;
/// const ADD: Event<(i64, i64), i64> = Event::new("add");
/// let mut pulse = Lite::connect_tcp("127.0.0.1:7111", "Script", Duration::from_secs(5))?;
/// assert_eq!(pulse.call("test", ADD, (20, 22))?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "POE::Component::IKC::ClientLite")]
pub struct Lite {
    stream: Stream,
    name: String,
    server: String,
    format: Format,
    codec: Codec,
    timeout: Duration,
    /// Bytes that came and were not used.
    pending: Vec<u8>,
    serial: u64,
    is_broken: bool,
}

enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    fn set_read_timeout(&self, limit: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.set_read_timeout(Some(limit)),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(bytes),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.read(bytes),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }
}

impl Lite {
    /// Connects over TCP. `timeout` is for the handshake and for each reply.
    ///
    /// # Errors
    /// The system's, or the handshake fails.
    pub fn connect_tcp(address: &str, name: &str, timeout: Duration) -> Result<Self, IkcError> {
        let what = format!("connect to {address}");
        let stream = TcpStream::connect(address).map_err(IkcError::io(&*what))?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_write_timeout(Some(timeout)))
            .map_err(IkcError::io(&*what))?;
        Self::start(Stream::Tcp(stream), name, timeout).map_err(IkcError::io(what))
    }

    /// Connects to a UNIX socket.
    ///
    /// # Errors
    /// As [`connect_tcp`](Self::connect_tcp).
    #[cfg(unix)]
    pub fn connect_unix(path: impl AsRef<std::path::Path>, name: &str, timeout: Duration) -> Result<Self, IkcError> {
        let what = format!("connect to {}", path.as_ref().display());
        let stream = UnixStream::connect(path).map_err(IkcError::io(&*what))?;
        stream.set_write_timeout(Some(timeout)).map_err(IkcError::io(&*what))?;
        Self::start(Stream::Unix(stream), name, timeout).map_err(IkcError::io(what))
    }

    fn start(stream: Stream, name: &str, timeout: Duration) -> io::Result<Self> {
        let ours = Identity {
            names: vec![name.to_owned()],
            formats: vec![Format::MsgPack, Format::Storable],
            pid: std::process::id(),
        };
        let (mut handshake, first) = Handshake::client(ours, Protocol::Ikc0);
        let mut lite = Lite {
            stream,
            name: name.to_owned(),
            server: String::new(),
            format: Format::Storable,
            codec: Codec::default(),
            timeout,
            pending: Vec::new(),
            serial: 0,
            is_broken: false,
        };
        let deadline = Instant::now() + timeout;
        let invalid = |error: HandshakeError| io::Error::new(io::ErrorKind::InvalidData, error);
        lite.stream.write_all(format!("{first}\r\n").as_bytes())?;
        loop {
            let line = lite.line(deadline)?;
            let progress = handshake.line(&line).map_err(invalid)?;
            if let Some(line) = progress.send {
                lite.stream.write_all(format!("{line}\r\n").as_bytes())?;
            }
            if progress.done {
                break;
            }
        }
        let peer = handshake.peer();
        lite.format = peer.format;
        lite.server = peer.names.first().cloned().unwrap_or_default();
        Ok(lite)
    }

    /// Returns the name that the server calls its ID.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Reads more bytes into `pending`.
    fn fill(&mut self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(left)?;
        let mut block = [0; 16 * 1024];
        match self.stream.read(&mut block) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.pending.extend_from_slice(&block[..read]);
                Ok(())
            }
            // A timeout of the socket has one name or the other.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn line(&mut self, deadline: Instant) -> io::Result<String> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.pending.len() > crate::wire::MAX_LINE {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a line of the handshake is too long",
                ));
            }
            self.fill(deadline)?;
        }
    }

    fn frame(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "the server sent bytes that are not a frame");
        loop {
            if let Some(nul) = self.pending.iter().take(20).position(|byte| *byte == 0) {
                let length = str::from_utf8(&self.pending[..nul])
                    .ok()
                    .and_then(|digits| digits.parse::<usize>().ok());
                let length = length
                    .filter(|length| *length <= self.codec.max_frame())
                    .ok_or_else(invalid)?;
                if self.pending.len() > nul + length {
                    let frame = self.pending[nul + 1..=nul + length].to_vec();
                    self.pending.drain(..=nul + length);
                    return Ok(frame);
                }
            } else if self.pending.len() >= 20 {
                return Err(invalid());
            }
            self.fill(deadline)?;
        }
    }

    fn head(&self, session: &str, event: &str) -> Head {
        let mut from = Specifier::new(&*self.name, "IKCLite", "");
        from.event = None;
        Head {
            event: Specifier::new(&*self.server, session, event),
            form: Form::Text,
            from: Some(from),
            ..Head::default()
        }
    }

    fn send<A: Serialize>(&mut self, head: &Head, arg: &A) -> Result<(), RemoteError> {
        let to = head.event.to_string();
        if self.is_broken {
            return Err(RemoteError::new(to, RemoteErrorKind::Lost));
        }
        let frame = self.codec.write(self.format, head, arg);
        let frame = frame.map_err(|error| RemoteError::new(&*to, RemoteErrorKind::Unsent(error.to_string())))?;
        let sent = self
            .stream
            .write_all(&[frame.len().to_string().as_bytes(), b"\0", &frame].concat());
        // A frame that was written in part cannot be continued.
        self.is_broken = sent.is_err();
        sent.map_err(|_| RemoteError::new(to, RemoteErrorKind::Lost))
    }

    /// Posts an event to a session of the server.
    ///
    /// # Errors
    /// The argument cannot be serialized, or the connection is lost.
    pub fn post<A: Serialize>(&mut self, session: &str, event: impl Posts<A>, arg: A) -> Result<(), RemoteError> {
        let head = self.head(session, event.name());
        self.send(&head, &arg)
    }

    /// Calls a handler of the server and waits for its reply.
    ///
    /// # Errors
    /// A refusal, a failure of the handler, no reply in time, a lost connection. Perl's kernels never reply if the handler returns undef.
    pub fn call<A, R>(&mut self, session: &str, event: impl Calls<A, R>, arg: A) -> Result<R, RemoteError>
    where
        A: Serialize,
        R: DeserializeOwned + 'static,
    {
        self.serial += 1;
        let response = format!("response{}", self.serial);
        let mut head = self.head(session, event.name());
        head.rsvp = Some(Specifier::new(&*self.name, "IKCLite", &*response));
        head.want_list = Some(false);
        self.send(&head, &arg)?;
        let to = head.event.to_string();
        let deadline = Instant::now() + self.timeout;
        loop {
            let frame = self.frame(deadline).map_err(|error| {
                let is_late = error.kind() == io::ErrorKind::TimedOut;
                self.is_broken |= !is_late;
                let kind = if is_late {
                    RemoteErrorKind::TimedOut(self.timeout)
                } else {
                    RemoteErrorKind::Lost
                };
                RemoteError::new(&*to, kind)
            })?;
            let read = self.codec.read(self.format, &frame, |reply, params| {
                let is_ours = reply.event.event() == Some(&*response);
                let is_report = reply.is_error && (is_ours || reply.event.event() == Some("remote_error"));
                if is_report {
                    let report = params.decode::<(String, String, String)>();
                    let kind = match report {
                        Ok((text, _, phase)) => RemoteErrorKind::Refused { phase, text },
                        Err(error) => RemoteErrorKind::WrongReply(error.to_string()),
                    };
                    return Some(Err(RemoteError::new(&*to, kind)));
                }
                // Anything else is the reply to a call that was given up.
                is_ours.then(|| {
                    let reply = params.decode::<R>();
                    reply.map_err(|error| RemoteError::new(&*to, RemoteErrorKind::WrongReply(error.to_string())))
                })
            });
            match read {
                Ok(Some(reply)) => return reply,
                Ok(None) => {}
                Err(_) => {
                    self.is_broken = true;
                    return Err(RemoteError::new(&*to, RemoteErrorKind::Lost));
                }
            }
        }
    }

    /// Asks the server whether it is there; returns how long the reply took.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn ping(&mut self) -> Result<Duration, RemoteError> {
        let began = Instant::now();
        self.call::<_, String>("IKC", "ping", "PING")?;
        Ok(began.elapsed())
    }
}

impl fmt::Debug for Lite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lite")
            .field("name", &self.name)
            .field("server", &self.server)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

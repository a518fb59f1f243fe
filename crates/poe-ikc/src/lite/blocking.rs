//! A blocking client without a kernel: `Lite`.

use super::client::{Client, Inbox, Incoming, Message, is_about};
use crate::error::{IkcError, RemoteError, RemoteErrorKind};
use bytes::Bytes;
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
    client: Client,
    timeout: Duration,
    inbox: Inbox,
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

    fn start(mut stream: Stream, name: &str, timeout: Duration) -> io::Result<Self> {
        let (mut handshake, first) = Client::greet(name);
        let (mut inbox, deadline) = (Inbox::default(), Instant::now() + timeout);
        stream.write_all(format!("{first}\r\n").as_bytes())?;
        loop {
            let line = loop {
                match inbox.line()? {
                    Some(line) => break line,
                    None => fill(&mut inbox, &mut stream, deadline)?,
                }
            };
            let progress = handshake
                .line(&line)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if let Some(line) = progress.send {
                stream.write_all(format!("{line}\r\n").as_bytes())?;
            }
            if progress.done {
                break;
            }
        }
        Ok(Lite {
            stream,
            client: Client::new(name, handshake.peer()),
            timeout,
            inbox,
            serial: 0,
            is_broken: false,
        })
    }

    /// Returns the name that the server calls its ID.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.client.server
    }

    fn frame(&mut self, deadline: Instant) -> io::Result<Bytes> {
        loop {
            match self.inbox.frame(self.client.max_frame())? {
                Some(frame) => return Ok(frame),
                None => fill(&mut self.inbox, &mut self.stream, deadline)?,
            }
        }
    }

    fn send(&mut self, message: &Message) -> Result<(), RemoteError> {
        let lost = || RemoteError::new(&*message.to, RemoteErrorKind::Lost);
        if self.is_broken {
            return Err(lost());
        }
        let sent = self.stream.write_all(&message.bytes);
        // A frame that was written in part cannot be continued.
        self.is_broken = sent.is_err();
        sent.map_err(|_| lost())
    }

    /// Posts an event to a session of the server.
    ///
    /// # Errors
    /// The argument cannot be serialized, or the connection is lost.
    pub fn post<A: Serialize>(&mut self, session: &str, event: impl Posts<A>, arg: A) -> Result<(), RemoteError> {
        let message = self.client.message(session, event.name(), &arg, None)?;
        self.send(&message)
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
        let message = self.client.message(session, event.name(), &arg, Some(self.serial))?;
        self.send(&message)?;
        let to = &*message.to;
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
                RemoteError::new(to, kind)
            })?;
            match self.client.incoming(&frame) {
                Ok(Incoming::Reply(id)) if id == self.serial => return self.client.reply(to, &frame),
                Ok(Incoming::Report { text, phase }) if is_about(&text, to) => {
                    return Err(RemoteError::new(to, RemoteErrorKind::Refused { phase, text }));
                }
                // The reply to a call that was given up.
                Ok(_) => {}
                Err(_) => {
                    self.is_broken = true;
                    return Err(RemoteError::new(to, RemoteErrorKind::Lost));
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
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// Reads more bytes.
fn fill(inbox: &mut Inbox, stream: &mut Stream, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(left)?;
    let mut block = [0; 16 * 1024];
    match stream.read(&mut block) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(read) => {
            inbox.extend(&block[..read]);
            Ok(())
        }
        // A timeout of the socket has one name or the other.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error),
    }
}

//! A client without a kernel for async code: `AsyncLite`.

use super::client::{Client, Inbox, Incoming, is_about};
use crate::error::{IkcError, RemoteError, RemoteErrorKind};
use bytes::Bytes;
use poe::event::{EventName, Posts};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

/// A client of another kernel for async code that has no kernel, on any runtime of Tokio.
///
/// It can post and call; nobody can call it. Its clones share one connection, and may call at the same time from any thread. The
/// connection ends with the last clone. It does not connect again: make another one after an error that
/// [is lost](RemoteError::is_lost).
///
/// ```no_run
/// use poe::Event;
/// use poe_ikc::AsyncLite;
/// use std::time::Duration;
/// const ADD: Event<(i64, i64), i64> = Event::new("add");
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pulse = AsyncLite::connect_tcp("127.0.0.1:7111", "Service", Duration::from_secs(5)).await?;
/// let (a, b) = tokio::join!(pulse.call("test", ADD, (20, 22)), pulse.call("test", ADD, (1, 2)));
/// assert_eq!((a?, b?), (42, 3));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AsyncLite {
    client: Arc<Client>,
    calls: Arc<Calls>,
    output: mpsc::Sender<Output>,
    timeout: Duration,
}

/// What the task is to do.
enum Output {
    Message(Vec<u8>),
    /// Everything before it is written.
    Flushed(oneshot::Sender<()>),
}

/// How many messages wait to be written; then a post and a call wait, too.
const MAX_UNSENT: usize = 1024;

/// The calls that wait for their replies.
#[derive(Default)]
struct Calls {
    serial: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    calls: BTreeMap<u64, Call>,
    is_over: bool,
}

struct Call {
    to: String,
    told: oneshot::Sender<Result<Bytes, RemoteError>>,
}

impl Calls {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a call that is over or was given up.
struct Forget<'c>(&'c Calls, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.waiting().calls.remove(&self.1);
    }
}

impl AsyncLite {
    /// Connects over TCP. `timeout` is for the handshake and for each reply.
    ///
    /// # Errors
    /// The system's, or the handshake fails.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn connect_tcp(address: &str, name: &str, timeout: Duration) -> Result<Self, IkcError> {
        let what = format!("connect to {address}");
        let stream = tokio::net::TcpStream::connect(address)
            .await
            .map_err(IkcError::io(&*what))?;
        let _ = stream.set_nodelay(true);
        Self::start(stream, name, timeout).await.map_err(IkcError::io(what))
    }

    /// Connects to a UNIX socket.
    ///
    /// # Errors
    /// As [`connect_tcp`](Self::connect_tcp).
    #[cfg(unix)]
    pub async fn connect_unix(
        path: impl AsRef<std::path::Path>,
        name: &str,
        timeout: Duration,
    ) -> Result<Self, IkcError> {
        let what = format!("connect to {}", path.as_ref().display());
        let stream = tokio::net::UnixStream::connect(path)
            .await
            .map_err(IkcError::io(&*what))?;
        Self::start(stream, name, timeout).await.map_err(IkcError::io(what))
    }

    /// Talks over a stream of any kind, such as TLS, or memory in a test.
    ///
    /// # Errors
    /// As [`connect_tcp`](Self::connect_tcp).
    pub async fn attach(
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
        name: &str,
        timeout: Duration,
    ) -> Result<Self, IkcError> {
        let started = Self::start(stream, name, timeout).await;
        started.map_err(IkcError::io("talk to a kernel"))
    }

    async fn start(
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
        name: &str,
        timeout: Duration,
    ) -> io::Result<Self> {
        let mut stream = Box::pin(stream);
        let mut inbox = Inbox::default();
        let greeting = greet(&mut stream, &mut inbox, name);
        let client = tokio::time::timeout(timeout, greeting)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (output, unsent) = mpsc::channel(MAX_UNSENT);
        let (client, calls) = (Arc::new(client), Arc::new(Calls::default()));
        let (shared_client, shared_calls) = (client.clone(), calls.clone());
        tokio::spawn(async move {
            carry(stream, inbox, unsent, &shared_client, &shared_calls).await;
            // Their callers learn that the connection is lost.
            let lost = {
                let mut waiting = shared_calls.waiting();
                waiting.is_over = true;
                std::mem::take(&mut waiting.calls)
            };
            drop(lost);
        });
        Ok(AsyncLite {
            client,
            calls,
            output,
            timeout,
        })
    }

    /// Returns the name that the server calls its ID.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.client.server
    }

    /// Posts an event to a session of the server. It waits while the server does not read.
    ///
    /// A task of the runtime writes it: before the runtime ends, wait for [`flush`](Self::flush).
    ///
    /// # Errors
    /// The argument cannot be serialized, or the connection is lost.
    pub async fn post<A: Serialize>(&self, session: &str, event: impl Posts<A>, arg: A) -> Result<(), RemoteError> {
        let message = self.client.message(session, event.name(), &arg, None)?;
        let sent = self.output.send(Output::Message(message.bytes)).await;
        sent.map_err(|_| RemoteError::new(message.to, RemoteErrorKind::Lost))
    }

    /// Waits until everything that was posted before is written.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn flush(&self) -> Result<(), RemoteError> {
        let lost = || RemoteError::new(self.server(), RemoteErrorKind::Lost);
        let (told, flushed) = oneshot::channel();
        let sent = self.output.send(Output::Flushed(told)).await;
        sent.map_err(|_| lost())?;
        flushed.await.map_err(|_| lost())
    }

    /// Calls a handler of the server and waits for its reply. A call whose future is dropped is given up; its handler may run.
    ///
    /// # Errors
    /// A refusal, a failure of the handler, no reply in time, a lost connection. Perl's kernels never reply if the handler returns undef.
    pub async fn call<A, R>(&self, session: &str, event: impl poe::event::Calls<A, R>, arg: A) -> Result<R, RemoteError>
    where
        A: Serialize,
        R: DeserializeOwned + 'static,
    {
        let id = self.calls.serial.fetch_add(1, Ordering::Relaxed);
        let message = self.client.message(session, event.name(), &arg, Some(id))?;
        let to = message.to;
        let lost = || RemoteError::new(&*to, RemoteErrorKind::Lost);
        let (told, reply) = oneshot::channel();
        {
            let mut waiting = self.calls.waiting();
            if waiting.is_over {
                return Err(lost());
            }
            waiting.calls.insert(id, Call { to: to.clone(), told });
        }
        let _forget = Forget(&self.calls, id);
        let exchange = async {
            self.output
                .send(Output::Message(message.bytes))
                .await
                .map_err(|_| lost())?;
            reply.await.unwrap_or_else(|_| Err(lost()))
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(frame)) => self.client.reply(&to, &frame),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(RemoteError::new(&*to, RemoteErrorKind::TimedOut(self.timeout))),
        }
    }

    /// Asks the server whether it is there; returns how long the reply took.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn ping(&self) -> Result<Duration, RemoteError> {
        let began = Instant::now();
        self.call::<_, String>("IKC", "ping", "PING").await?;
        Ok(began.elapsed())
    }
}

impl fmt::Debug for AsyncLite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncLite")
            .field("client", &self.client)
            .field("pending_calls", &self.calls.waiting().calls.len())
            .finish_non_exhaustive()
    }
}

async fn greet(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    inbox: &mut Inbox,
    name: &str,
) -> io::Result<Client> {
    let (mut handshake, first) = Client::greet(name);
    stream.write_all(format!("{first}\r\n").as_bytes()).await?;
    loop {
        let Some(line) = inbox.line()? else {
            fill(stream, inbox).await?;
            continue;
        };
        let progress = handshake
            .line(&line)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Some(line) = progress.send {
            stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        }
        if progress.done {
            return Ok(Client::new(name, handshake.peer()));
        }
    }
}

async fn fill(stream: &mut (impl AsyncRead + Unpin), inbox: &mut Inbox) -> io::Result<()> {
    let mut block = [0; 8 * 1024];
    match stream.read(&mut block).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            inbox.extend(&block[..read]);
            Ok(())
        }
    }
}

/// Reads and writes until the connection ends, or nobody has the client any more.
async fn carry(
    stream: impl AsyncRead + AsyncWrite,
    mut inbox: Inbox,
    mut unsent: mpsc::Receiver<Output>,
    client: &Client,
    calls: &Calls,
) {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut read = pin!(async {
        loop {
            let goes_on = match inbox.frame(client.max_frame()) {
                Ok(Some(frame)) => take(client, calls, frame),
                Ok(None) => fill(&mut reading, &mut inbox).await.is_ok(),
                Err(_) => false,
            };
            if !goes_on {
                return;
            }
        }
    });
    let mut write = pin!(async {
        let (mut outputs, mut bytes, mut flushed) = (Vec::new(), Vec::new(), Vec::new());
        while unsent.recv_many(&mut outputs, 64).await > 0 {
            for output in outputs.drain(..) {
                match output {
                    Output::Message(message) => bytes.extend(message),
                    Output::Flushed(told) => flushed.push(told),
                }
            }
            if writing.write_all(&bytes).await.is_err() || writing.flush().await.is_err() {
                return;
            }
            bytes.clear();
            for told in flushed.drain(..) {
                let _ = told.send(());
            }
        }
        let _ = writing.shutdown().await;
    });
    std::future::poll_fn(|cx| match read.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => write.as_mut().poll(cx),
    })
    .await;
}

/// Gives a frame to the call that waits for it; false if it is not a message.
fn take(client: &Client, calls: &Calls, frame: Bytes) -> bool {
    let (id, reply) = match client.incoming(&frame) {
        Ok(Incoming::Reply(id)) => (Some(id), Ok(frame)),
        Ok(Incoming::Report { text, phase }) => {
            let waiting = calls.waiting();
            let oldest = waiting.calls.iter().find(|(_, call)| is_about(&text, &call.to));
            let Some((id, call)) = oldest else { return true };
            let error = RemoteError::new(&*call.to, RemoteErrorKind::Refused { phase, text });
            (Some(*id), Err(error))
        }
        Ok(Incoming::Other) => return true,
        Err(_) => return false,
    };
    let call = id.and_then(|id| calls.waiting().calls.remove(&id));
    if let Some(call) = call {
        let _ = call.told.send(reply);
    }
    true
}

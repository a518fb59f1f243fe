//! What an `Ikc` is made with.

use crate::Ikc;
use crate::bounds::Bounds;
use crate::hub::Hub;
use crate::publish::{Publications, Publish};
use crate::responder;
use crate::trace::TraceContext;
use crate::wire::{Codec, Format};
use poe::Kernel;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Configures an [`Ikc`].
///
/// | setting | default |
/// |---|---|
/// | [`publish`](Self::publish) | nothing can be reached |
/// | [`alias`](Self::alias) | none beside the name |
/// | [`perl_only`](Self::perl_only) | MessagePack between peers of this crate, Storable with Perl |
/// | [`max_frame`](Self::max_frame) | 16 MiB |
/// | [`max_items`](Self::max_items) | 1 048 576 elements, keys and values in a message |
/// | [`max_connections`](Self::max_connections) | 1024 |
/// | [`max_calls`](Self::max_calls) | 65 536 waiting for replies |
/// | [`max_proxies`](Self::max_proxies) | 1024 |
/// | [`max_output`](Self::max_output) | 64 MiB unread by a peer |
/// | [`keep_unreachable`](Self::keep_unreachable) | posts to a kernel that is not connected are errors |
/// | [`handshake_timeout`](Self::handshake_timeout) | 30 s, for a handshake and for the rest of an incomplete frame |
#[must_use = "nothing happens until `start` is called"]
pub struct IkcBuilder {
    name: String,
    aliases: Vec<String>,
    published: Publications,
    formats: Vec<Format>,
    bounds: Bounds,
    max_frame: usize,
    max_items: usize,
    trace: TraceContext,
}

impl IkcBuilder {
    pub(crate) fn new(name: String) -> Self {
        IkcBuilder {
            name,
            aliases: Vec::new(),
            published: Publications::default(),
            formats: vec![Format::MsgPack, Format::Storable],
            bounds: Bounds::default(),
            max_frame: 16 * 1024 * 1024,
            max_items: 1024 * 1024,
            trace: TraceContext::default(),
        }
    }

    /// Publishes events of the session with this alias. The session may be created later.
    ///
    /// ```
    /// use poe::{Event, Kernel};
    /// use poe_ikc::Ikc;
    /// const ADD: Event<(i64, i64), i64> = Event::new("add");
    /// const NOTE: Event<String> = Event::new("note");
    /// let kernel = Kernel::new();
    /// let ikc = Ikc::builder("Pulse").publish("test", |p| p.event(ADD).event(NOTE)).start(&kernel)?;
    /// assert_eq!(ikc.published(), [("test".to_owned(), vec!["add".to_owned(), "note".to_owned()])]);
    /// # Ok::<(), poe::Error>(())
    /// ```
    pub fn publish(mut self, session: &str, events: impl FnOnce(Publish) -> Publish) -> Self {
        self.published.add(session, events(Publish::default()));
        self
    }

    /// Publishes events of a session to the kernel of one name alone. Others are refused as if they were not published.
    ///
    /// Calling it again for the same events adds a name. It is as good as names are: those of peers with `Bind::tls` are their
    /// certificates'; any other peer may claim any name that is free.
    pub fn publish_to(mut self, peer: &str, session: &str, events: impl FnOnce(Publish) -> Publish) -> Self {
        self.published.add_for(peer, session, events(Publish::default()));
        self
    }

    /// Adds a name of this kernel.
    #[doc(alias = "aliases")]
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.aliases.push(name.into());
        self
    }

    /// Offers Storable alone in the handshake. A Perl server warns about the other serializer, which it does not have.
    pub fn perl_only(mut self) -> Self {
        self.formats = vec![Format::Storable];
        self
    }

    /// Sets the longest frame in bytes, in both directions.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// Sets how many elements, keys and values a message may have together.
    pub fn max_items(mut self, items: usize) -> Self {
        self.max_items = items;
        self
    }

    /// Sets how many connections there may be. Further peers wait, or are turned away if they are not one listener's.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.bounds.channels = connections.max(1);
        self
    }

    /// Sets how many calls may wait for their replies, and how many messages of this kernel to itself may wait.
    pub fn max_calls(mut self, calls: usize) -> Self {
        self.bounds.calls = calls;
        self
    }

    /// Sets how many subscriptions there may be.
    pub fn max_proxies(mut self, proxies: usize) -> Self {
        self.bounds.proxies = proxies;
        self
    }

    /// Sets how many bytes may wait for a peer to read them; more is an error of the sender.
    pub fn max_output(mut self, bytes: usize) -> Self {
        self.bounds.output = bytes;
        self
    }

    /// Keeps up to this many posts to kernels that are not connected, until they are.
    ///
    /// They are sent in order when a kernel of that name connects. Calls are never kept.
    pub fn keep_unreachable(mut self, posts: usize) -> Self {
        self.bounds.unreachable = posts;
        self
    }

    /// Sets how long a handshake may last, and how long the rest of a frame may take.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.bounds.handshake = limit;
        self
    }

    /// Has the context of spans travel with messages, so that a trace goes on in the other kernel.
    ///
    /// `inject` writes the context of the span in which a message is sent, such as W3C's `traceparent`; a text longer than 512 bytes is not
    /// sent. `extract` gives it to the span of the request in the receiving kernel, before the handler runs. Spans are made while a
    /// subscriber wants the target `poe::spans`; with poe's feature `spans` the handler's is a child of the request's. Without these functions the
    /// text is the number of the sender's span, and only a field. Peers in Perl get none.
    ///
    /// ```
    /// use poe_ikc::Ikc;
    /// // With OpenTelemetry, `inject` and `extract` call a propagator.
    /// let builder = Ikc::builder("Pulse").trace_context(
    ///     |span| span.id().map(|id| format!("00-trace-{:016x}-01", id.into_u64())),
    ///     |span, context| drop(span.record("poe.parent", context)),
    /// );
    /// # drop(builder);
    /// ```
    pub fn trace_context(
        mut self,
        inject: impl Fn(&tracing::Span) -> Option<String> + 'static,
        extract: impl Fn(&tracing::Span, &str) + 'static,
    ) -> Self {
        self.trace = TraceContext::new(inject, extract);
        self
    }

    /// Starts it: a session with the alias `IKC`, as in POE.
    ///
    /// # Errors
    /// The alias is taken: a kernel has one `Ikc`.
    pub fn start(self, kernel: &Kernel) -> Result<Ikc, poe::Error> {
        let codec = Codec::new(self.max_frame, self.max_items);
        let id = kernel_id();
        let hub = Hub::new(
            id,
            self.name,
            self.aliases,
            self.formats,
            self.bounds,
            codec,
            self.trace,
        );
        hub.published.replace(self.published);
        let hub = Rc::new(hub);
        responder::start(kernel, &hub)?;
        Ok(Ikc { hub })
    }
}

impl fmt::Debug for IkcBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IkcBuilder")
            .field("name", &self.name)
            .field("published", &self.published.all())
            .finish_non_exhaustive()
    }
}

/// A name that no other kernel has, made as in POE: host, time, process, number.
fn kernel_id() -> String {
    static SERIAL: AtomicU32 = AtomicU32::new(1);
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    #[cfg(unix)]
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let host = std::env::var("COMPUTERNAME").unwrap_or_else(|_| "localhost".to_owned());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let host: String = host.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{host}-{:08x}-{:08x}-{serial:08x}", seconds as u32, std::process::id())
}

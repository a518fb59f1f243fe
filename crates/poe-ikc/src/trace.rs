//! Spans across the wire: the context of the sender's span travels with a message, as text.

use crate::wire::Head;
use std::fmt;
use tracing::{Level, Span};

type Inject = dyn Fn(&Span) -> Option<String>;
type Extract = dyn Fn(&Span, &str);

/// How the context of a span is written, and given to another span.
pub(crate) struct TraceContext {
    inject: Box<Inject>,
    extract: Box<Extract>,
}

impl TraceContext {
    pub(crate) fn new(
        inject: impl Fn(&Span) -> Option<String> + 'static,
        extract: impl Fn(&Span, &str) + 'static,
    ) -> Self {
        TraceContext {
            inject: Box::new(inject),
            extract: Box::new(extract),
        }
    }

    /// The context of the running code, for a message.
    pub(crate) fn here(&self) -> Option<String> {
        let span = here();
        if span.is_none() { None } else { (self.inject)(&span) }
    }

    /// The span of a request from another kernel. Without anybody who wants it, it is none.
    pub(crate) fn request(&self, head: &Head) -> Span {
        if !wanted() {
            return Span::none();
        }
        let span = tracing::info_span!(
            target: "poe::spans",
            parent: None,
            "poe.request",
            otel.name = %format_args!("receive {}", head.event.event().unwrap_or_default()),
            otel.kind = "server",
            messaging.system = "poe",
            messaging.destination.name = %head.event,
            poe.from = head.from.as_ref().map(tracing::field::display),
            poe.trace = head.trace.as_deref(),
        );
        if let Some(context) = &head.trace {
            (self.extract)(&span, context);
        }
        span
    }
}

/// Without functions of the program, the text is the span's number, and nothing but a field of the request's span.
impl Default for TraceContext {
    fn default() -> Self {
        TraceContext::new(|span| span.id().map(|id| id.into_u64().to_string()), |_, _| {})
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TraceContext")
    }
}

fn wanted() -> bool {
    tracing::enabled!(target: "poe::spans", Level::INFO)
}

/// The span of the running code, if somebody wants spans.
pub(crate) fn here() -> Span {
    if wanted() { Span::current() } else { Span::none() }
}

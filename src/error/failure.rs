//! What a handler that did not succeed gives: any error, a message, or its panic.

use super::quiet::{drop_payload, drop_quietly, text_of};
use super::wrong_argument::WrongArgument;
use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What a handler that uses `?` returns.
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(String::new())
///     .on(START, |cx, path: String| -> poe::HandlerResult {
///         *cx.heap = std::fs::read_to_string(path)?;
///         Ok(())
///     })
///     .args(String::from("/no/such/file"))
///     .create(&kernel).unwrap();
/// assert!(kernel.run().await.unwrap_err().is_died());
/// # });
/// ```
pub type HandlerResult<T = ()> = Result<T, Failure>;

/// Why a handler did not succeed: any error it met by `?`, or its panic. It becomes the `DIE` signal.
///
/// Made from every `Error + Send + Sync + 'static` and from every refused post or call. It is cheap to clone, and it
/// is not an `Error` itself (that is what lets `?` make it from all of them); [`source`](Failure::source) gives the cause.
///
/// ```
/// let failure = poe::Failure::msg("out of cheese");
/// assert_eq!(failure.to_string(), "out of cheese");
/// assert!(failure.source().is_none() && !failure.is_panic());
///
/// fn number(text: &str) -> poe::HandlerResult<u8> {
///     Ok(text.parse()?)
/// }
/// let failure = number("300").unwrap_err();
/// assert!(failure.source().unwrap().is::<std::num::ParseIntError>());
/// ```
#[derive(Clone)]
pub struct Failure(Arc<FailureKind>);

enum FailureKind {
    Error(UserError),
    Message(String),
    Panic(String),
    WrongArgument(WrongArgument),
    /// Any of these, of a component's callback.
    Callback {
        callback: String,
        failure: Failure,
    },
}

/// An error of the user's, whose drop may panic wherever the last clone of the failure goes.
struct UserError(Option<Box<dyn StdError + Send + Sync>>);

impl Drop for UserError {
    fn drop(&mut self) {
        drop_quietly(self.0.take());
    }
}

impl Failure {
    /// A failure that is only a message.
    pub fn msg(text: impl Into<String>) -> Self {
        Failure(Arc::new(FailureKind::Message(text.into())))
    }

    pub(crate) fn wrong_argument(what: WrongArgument) -> Self {
        Failure(Arc::new(FailureKind::WrongArgument(what)))
    }

    pub(crate) fn from_panic(payload: Box<dyn Any + Send>) -> Self {
        // Caught once already, and given the name of a callback on its way.
        let payload = match payload.downcast::<Failure>() {
            Ok(failure) => return *failure,
            Err(payload) => payload,
        };
        let text = match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => match payload.downcast::<&'static str>() {
                Ok(text) => (*text).to_owned(),
                Err(other) => {
                    drop_payload(other);
                    String::from("a panic without a text")
                }
            },
        };
        Failure(Arc::new(FailureKind::Panic(text)))
    }

    /// The same, as that of a component's callback. If it has come through several, the innermost is the one that failed.
    pub(crate) fn of_callback(self, callback: impl FnOnce() -> String) -> Self {
        if self.callback().is_some() {
            return self;
        }
        let (callback, failure) = (callback(), self);
        Failure(Arc::new(FailureKind::Callback { callback, failure }))
    }

    /// What went wrong, wherever that was.
    fn kind(&self) -> &FailureKind {
        match &*self.0 {
            FailureKind::Callback { failure, .. } => failure.kind(),
            kind => kind,
        }
    }

    /// The component's callback that has failed, as the program has named it, and whose it is: "`client_input` of the
    /// server `echo` (client 127.0.0.1:50312)". `None` if it was another handler. [`Error`](crate::Error)'s text begins
    /// with it; this one's has only what went wrong.
    ///
    /// ```
    /// use poe::{Kernel, OnFailure, component::{TcpClient, TcpServer}};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let server = TcpServer::builder("127.0.0.1:0")
    ///     .alias("echo")
    ///     .client_on_failure(OnFailure::StopKernel)
    ///     .client_input(|_, _| panic!("no echo"))
    ///     .start(&kernel)
    ///     .await?;
    /// TcpClient::builder(server.local_name())
    ///     .connected(|cx| cx.server().put("hello"))
    ///     .server_input(|_, _| ())
    ///     .start(&kernel)?;
    /// let error = kernel.run().await.unwrap_err();
    /// let failure = error.failure().unwrap();
    /// assert!(failure.callback().unwrap().starts_with("`client_input` of the server `echo`"));
    /// assert_eq!(failure.to_string(), "panicked: no echo");
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn callback(&self) -> Option<&str> {
        match &*self.0 {
            FailureKind::Callback { callback, .. } => Some(callback),
            _ => None,
        }
    }

    /// The error that `?` met, if that is what this is.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        match self.kind() {
            FailureKind::Error(e) => e.0.as_deref(),
            _ => None,
        }
    }

    /// Whether the handler panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.kind(), FailureKind::Panic(_))
    }

    /// The details, if a bare name was sent a value of the wrong type.
    ///
    /// ```
    /// use poe::{Kernel, Session, Signal, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| {
    ///         cx.sig("DIE", "on die");
    ///         cx.yield_to("count", "three");
    ///     })
    ///     .on("count", |_, n: u64| println!("{n}"))
    ///     .on("on die", |cx, signal: Signal| {
    ///         let wrong = signal.die().and_then(|die| die.failure.wrong_type()).unwrap();
    ///         assert_eq!((wrong.expected, wrong.sent), ("u64", "&str"));
    ///         cx.sig_handled();
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn wrong_type(&self) -> Option<&WrongArgument> {
        match self.kind() {
            FailureKind::WrongArgument(w) => Some(w),
            _ => None,
        }
    }

    /// One failure that tells of two: the first, and what was thrown while it was handled (law L70).
    pub(crate) fn followed_by(&self, second: &Failure) -> Self {
        let both = Failure::msg(format!(
            "{self}\nAdditional error thrown in handler for previous error:\n{second}"
        ));
        match self.callback() {
            Some(callback) => both.of_callback(|| callback.to_owned()),
            None => both,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            // Who formats this may be a subscriber, or the kernel itself.
            FailureKind::Error(e) => f.pad(&e.0.as_ref().map_or_else(String::new, text_of)),
            FailureKind::Message(m) => f.write_str(m),
            FailureKind::Panic(m) => write!(f, "panicked: {m}"),
            FailureKind::WrongArgument(w) => w.fmt(f),
            FailureKind::Callback { failure, .. } => failure.fmt(f),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failure({self})")
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(Arc::new(FailureKind::Error(UserError(Some(Box::new(error))))))
    }
}

//! Errors: typed, with their cause, and with the caller's argument inside where there was one.

use crate::id::SessionId;
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
///     .on(START, |cx, path: String| -> poe::Handled {
///         *cx.heap = std::fs::read_to_string(path)?;
///         Ok(())
///     })
///     .args(String::from("/no/such/file"))
///     .create(&kernel).unwrap();
/// assert!(kernel.run().await.unwrap_err().is_died());
/// # });
/// ```
pub type Handled<T = ()> = Result<T, Failure>;

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
/// fn number(text: &str) -> poe::Handled<u8> {
///     Ok(text.parse()?)
/// }
/// let failure = number("300").unwrap_err();
/// assert!(failure.source().unwrap().is::<std::num::ParseIntError>());
/// ```
#[derive(Clone)]
pub struct Failure(Arc<FailureKind>);

enum FailureKind {
    Error(Box<dyn StdError + Send + Sync>),
    Message(String),
    Panic(String),
    WrongArgument(WrongArgument),
    /// Any of these, of a component's callback.
    Callback {
        callback: String,
        failure: Failure,
    },
}

/// A bare name was posted with a value that its handler does not take. Where a number that was written without its type
/// is all that is wrong, the text says so.
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let id = Session::builder(())
///     .on(START, |_, ()| ())
///     .on("resize", |_, size: (u32, u32)| println!("now {size:?}"))
///     .create(&kernel)?;
/// kernel.post(id, "resize", "80x24")?; // no key that would know better
/// let error = kernel.run().await.unwrap_err();
/// let wrong = error.failure().and_then(|failure| failure.wrong_type()).unwrap();
/// assert_eq!((&*wrong.event, wrong.expected, wrong.sent), ("resize", "(u32, u32)", "&str"));
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongArgument {
    /// The event.
    pub event: String,
    /// The type that the handler takes.
    pub expected: &'static str,
    /// The type that was sent.
    pub sent: &'static str,
    /// The poster's file and line.
    pub place: String,
}

impl fmt::Display for WrongArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "event `{}` takes `{}` but was sent `{}` at {}",
            self.event, self.expected, self.sent, self.place
        )?;
        match mistaken_literal(self.expected, self.sent) {
            Some(("i32", meant)) => write!(
                f,
                " (an integer literal is `i32` unless it says otherwise: use a typed key, or write `5_{meant}`)"
            ),
            Some((_, meant)) => write!(
                f,
                " (a float literal is `f64` unless it says otherwise: use a typed key, or write `0.5_{meant}`)"
            ),
            None => Ok(()),
        }
    }
}

/// What an integer literal can be, apart from an `i32`.
const NUMBERS: [&str; 13] = [
    "i8", "i16", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize", "f32", "f64",
];

/// The first number in a type that has come from a literal without a suffix, and the type that it should have had, if
/// nothing else is wrong.
fn mistaken_literal(expected: &'static str, sent: &'static str) -> Option<(&'static str, &'static str)> {
    let words = |name: &'static str| name.split(|c: char| !c.is_alphanumeric() && c != '_');
    if words(expected).count() != words(sent).count() {
        return None;
    }
    let differing = || {
        words(sent)
            .zip(words(expected))
            .filter(|(sent, expected)| sent != expected)
    };
    let literals = differing().all(|(sent, expected)| match sent {
        "i32" => NUMBERS.contains(&expected),
        "f64" => expected == "f32",
        _ => false,
    });
    differing().next().filter(|_| literals)
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
                    // Dropping a payload of the user's may panic in its turn; it is not worth a process.
                    drop_quietly(other);
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
    /// server `echo` (client 127.0.0.1:50312)". `None` if it was another handler. [`Error`]'s text begins with it; this
    /// one's has only what went wrong.
    ///
    /// ```
    /// use poe::{Kernel, component::{TcpClient, TcpServer}};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let server = TcpServer::builder("127.0.0.1:0").alias("echo").client_input(|_, _| panic!("no echo")).start(&kernel).await?;
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
            FailureKind::Error(e) => Some(&**e),
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

/// Drops a value of the user's whose `Drop` may panic, and keeps that panic from taking the kernel along.
pub(crate) fn drop_quietly<T>(value: T) {
    quietly("a value panicked while it was dropped", || drop(value));
}

/// The same for many, each by itself: a second panic on the way out of a first would end the process, and a map that is
/// unwound out of leaves the rest of its values where they are.
pub(crate) fn drop_each_quietly<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(drop_quietly);
}

/// Runs code of the user's that is no handler, so that its panic is nobody's `DIE`: it is logged, as `what`.
pub(crate) fn quietly(what: &'static str, code: impl FnOnce()) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(code)).is_err() {
        tracing::error!(target: "poe::sessions", "{what}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            FailureKind::Error(e) => e.fmt(f),
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
        Failure(Arc::new(FailureKind::Error(Box::new(error))))
    }
}

impl<A> From<PostError<A>> for Failure {
    fn from(error: PostError<A>) -> Self {
        Failure::from(error.without_arg())
    }
}

impl<A> From<CallError<A>> for Failure {
    fn from(error: CallError<A>) -> Self {
        match error.kind {
            CallErrorKind::Failed(failure) => failure,
            _ => Failure::from(error.without_arg()),
        }
    }
}

/// What a caller named: kept for the message of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Id(SessionId),
    Alias(String),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Id(id) => write!(f, "no session {id}"),
            Wanted::Alias(a) => write!(f, "no session has the alias `{a}`"),
        }
    }
}

/// A post that was refused, with its argument. Turn it into [`Error`] or [`Failure`] with `?`; it is not an
/// `Error` itself, so that the argument's type needs no bound.
///
/// ```
/// use poe::{Event, Kernel};
/// const GREET: Event<String> = Event::new("greet");
/// let kernel = Kernel::new();
/// let refused = kernel.post("nobody", GREET, "hello".to_owned()).unwrap_err();
/// assert!(refused.is_no_such_session());
/// assert_eq!(refused.to_string(), "cannot post `greet`: no session has the alias `nobody`");
/// assert_eq!(refused.into_arg(), "hello");
/// ```
///
///
/// ```
/// use poe::{Event, Kernel};
/// const GREET: Event<String> = Event::new("greet");
/// // By a handle a post can also come too early or too late.
/// let kernel = Kernel::builder().inbox_capacity(1).build();
/// let handle = kernel.handle();
/// handle.post("greeter", GREET, "first".to_owned()).unwrap();
/// let refused = handle.post("greeter", GREET, "second".to_owned()).unwrap_err();
/// assert!(refused.is_full() && refused.into_arg() == "second");
/// drop(kernel);
/// assert!(handle.post("greeter", GREET, "third".to_owned()).unwrap_err().is_closed());
/// ```
pub struct PostError<A> {
    event: String,
    kind: PostErrorKind,
    arg: A,
}

#[derive(Clone, Debug)]
pub(crate) enum PostErrorKind {
    NoSuchSession(Wanted),
    Full(usize),
    Closed,
}

impl<A> PostError<A> {
    pub(crate) fn new(event: &str, kind: PostErrorKind, arg: A) -> Self {
        PostError {
            event: event.to_owned(),
            kind,
            arg,
        }
    }

    /// The argument that was not delivered.
    pub fn into_arg(self) -> A {
        self.arg
    }

    /// The same refusal around what `f` makes of the argument.
    ///
    /// ```
    /// use poe::{Event, Kernel, PostError};
    /// use std::time::SystemTime;
    /// const LOG: Event<(SystemTime, String)> = Event::new("log");
    ///
    /// fn log(kernel: &Kernel, line: String) -> Result<(), PostError<String>> {
    ///     let posted = kernel.post("logger", LOG, (SystemTime::now(), line));
    ///     posted.map_err(|refused| refused.map(|(_, line)| line))
    /// }
    /// let refused = log(&Kernel::new(), "hello".to_owned()).unwrap_err();
    /// assert!(refused.is_no_such_session());
    /// assert_eq!(refused.into_arg(), "hello");
    /// ```
    pub fn map<B>(self, f: impl FnOnce(A) -> B) -> PostError<B> {
        PostError {
            event: self.event,
            kind: self.kind,
            arg: f(self.arg),
        }
    }

    /// POE's `ESRCH`: the target is not there, or not any more.
    #[doc(alias = "ESRCH")]
    pub fn is_no_such_session(&self) -> bool {
        matches!(self.kind, PostErrorKind::NoSuchSession(_))
    }

    /// The inbox of a [`KernelHandle`](crate::KernelHandle) is full: try again later.
    pub fn is_full(&self) -> bool {
        matches!(self.kind, PostErrorKind::Full(_))
    }

    /// The kernel behind a [`KernelHandle`](crate::KernelHandle) is gone.
    pub fn is_closed(&self) -> bool {
        matches!(self.kind, PostErrorKind::Closed)
    }

    fn without_arg(self) -> Error {
        Error(Arc::new(ErrorKind::Post {
            event: self.event,
            kind: self.kind,
        }))
    }
}

impl fmt::Display for PostErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PostErrorKind::NoSuchSession(w) => w.fmt(f),
            PostErrorKind::Full(n) => write!(f, "the kernel's inbox is full ({n} messages)"),
            PostErrorKind::Closed => f.write_str("the kernel is gone"),
        }
    }
}

impl<A> fmt::Display for PostError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot post `{}`: {}", self.event, self.kind)
    }
}

impl<A> fmt::Debug for PostError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostError({self})")
    }
}

/// A call that gave no answer.
///
/// ```
/// use poe::{Event, Kernel};
/// const COUNT: Event<u8, u64> = Event::new("count");
/// let kernel = Kernel::new();
/// let error = kernel.call("nobody", COUNT, 7).unwrap_err();
/// assert!(error.is_no_such_session());
/// assert_eq!(error.into_arg(), Some(7));
/// ```
///
///
/// ```
/// use poe::{Failure, Kernel, Reply, Session, event::START};
/// let kernel = Kernel::new();
/// let id = Session::builder(())
///     .on(START, |_, ()| ())
///     .on("fail", |_, ()| -> poe::Handled { Err(Failure::msg("on purpose")) })
///     .on("name", |_, ()| Reply("poe"))
///     .create(&kernel)?;
/// let call = |event: &str| kernel.call::<_, u64>(id, event, ()).unwrap_err();
/// assert!(call("unknown").is_unhandled());
/// assert!(call("fail").is_died());
/// assert!(call("name").is_wrong_answer());
/// # Ok::<(), poe::Error>(())
/// ```
pub struct CallError<A> {
    event: String,
    pub(crate) kind: CallErrorKind,
    arg: Option<A>,
}

#[derive(Clone, Debug)]
pub(crate) enum CallErrorKind {
    NoSuchSession(Wanted),
    Unhandled(SessionId),
    Died(SessionId),
    Failed(Failure),
    WrongAnswer { expected: &'static str, got: &'static str },
    Busy,
    Full(usize),
    Closed,
}

impl<A> CallError<A> {
    pub(crate) fn no_such_session(event: &str, session: SessionId, arg: A) -> Self {
        Self::new(event, CallErrorKind::NoSuchSession(Wanted::Id(session)), Some(arg))
    }

    pub(crate) fn busy(event: &str, arg: Option<A>) -> Self {
        Self::new(event, CallErrorKind::Busy, arg)
    }

    pub(crate) fn new(event: &str, kind: CallErrorKind, arg: Option<A>) -> Self {
        CallError {
            event: event.to_owned(),
            kind,
            arg,
        }
    }

    /// The argument, where no handler took it.
    pub fn into_arg(self) -> Option<A> {
        self.arg
    }

    /// The same refusal around what `f` makes of the argument.
    ///
    /// ```
    /// use poe::{CallError, Event, Kernel};
    /// const GET: Event<(&'static str, String), String> = Event::new("get");
    ///
    /// fn user(kernel: &Kernel, name: String) -> Result<String, CallError<String>> {
    ///     kernel.call("store", GET, ("users", name)).map_err(|error| error.map(|(_, name)| name))
    /// }
    /// let error = user(&Kernel::new(), "root".to_owned()).unwrap_err();
    /// assert!(error.is_no_such_session());
    /// assert_eq!(error.into_arg().as_deref(), Some("root"));
    /// ```
    pub fn map<B>(self, f: impl FnOnce(A) -> B) -> CallError<B> {
        CallError {
            event: self.event,
            kind: self.kind,
            arg: self.arg.map(f),
        }
    }

    /// POE's `ESRCH`: the target is not there, or not any more.
    #[doc(alias = "ESRCH")]
    pub fn is_no_such_session(&self) -> bool {
        matches!(self.kind, CallErrorKind::NoSuchSession(_))
    }

    /// The session has neither a handler of that name nor a `_default` (decision D6 of the conformance table).
    #[doc(alias = "ENOSYS")]
    pub fn is_unhandled(&self) -> bool {
        matches!(self.kind, CallErrorKind::Unhandled(_))
    }

    /// The handler failed or panicked. In another session that session has a `DIE` signal on its way (law L15); in a
    /// call to oneself the failure itself is inside, and `?` passes it on (law L13).
    pub fn is_died(&self) -> bool {
        matches!(self.kind, CallErrorKind::Died(_) | CallErrorKind::Failed(_))
    }

    /// The handler answered with another type than the key or the annotation expects.
    pub fn is_wrong_answer(&self) -> bool {
        matches!(self.kind, CallErrorKind::WrongAnswer { .. })
    }

    /// A handler is running: from inside it use `cx.call`, not a cloned [`Kernel`](crate::Kernel).
    ///
    /// ```
    /// use poe::{Event, Kernel, Reply, Session, event::START};
    /// const SIZE: Event<(), usize> = Event::new("size");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, kernel: Kernel| -> poe::Handled {
    ///         let me = cx.session_id();
    ///         assert!(kernel.call(me, SIZE, ()).unwrap_err().is_busy());
    ///         assert_eq!(cx.call(me, SIZE, ())?, 3);
    ///         Ok(())
    ///     })
    ///     .on(SIZE, |_, ()| Reply(3))
    ///     .args(kernel.clone())
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    pub fn is_busy(&self) -> bool {
        matches!(self.kind, CallErrorKind::Busy)
    }

    /// The inbox of a [`KernelHandle`](crate::KernelHandle) is full.
    ///
    /// ```
    /// use poe::{Event, Kernel};
    /// const COUNT: Event<u8, u64> = Event::new("count");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::builder().inbox_capacity(1).build();
    /// let handle = kernel.handle();
    /// let first = handle.call("counter", COUNT, 1); // waits to be taken in
    /// let error = handle.call("counter", COUNT, 2).await.unwrap_err();
    /// assert!(error.is_full());
    /// assert_eq!(error.into_arg(), Some(2));
    /// # drop(first);
    /// # });
    /// ```
    pub fn is_full(&self) -> bool {
        matches!(self.kind, CallErrorKind::Full(_))
    }

    /// The kernel behind a [`KernelHandle`](crate::KernelHandle) is gone, or it dropped the call.
    ///
    /// ```
    /// use poe::{Event, Kernel};
    /// const COUNT: Event<u8, u64> = Event::new("count");
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// let handle = kernel.handle();
    /// let answer = handle.call("counter", COUNT, 1);
    /// drop(kernel);
    /// assert!(answer.await.unwrap_err().is_closed());
    /// # });
    /// ```
    pub fn is_closed(&self) -> bool {
        matches!(self.kind, CallErrorKind::Closed)
    }

    fn without_arg(self) -> Error {
        Error(Arc::new(ErrorKind::Call {
            event: self.event,
            kind: self.kind,
        }))
    }
}

impl fmt::Display for CallErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallErrorKind::NoSuchSession(w) => w.fmt(f),
            CallErrorKind::Unhandled(id) => write!(f, "session {id} has no handler for it"),
            CallErrorKind::Died(id) => write!(f, "its handler in session {id} failed (a DIE signal tells why)"),
            CallErrorKind::Failed(e) => e.fmt(f),
            CallErrorKind::WrongAnswer { expected, got } => {
                write!(f, "the answer is `{got}`, not `{expected}`")
            }
            CallErrorKind::Busy => f.write_str("the kernel is running a handler: call by the handler's context"),
            CallErrorKind::Full(n) => write!(f, "the kernel's inbox is full ({n} messages)"),
            CallErrorKind::Closed => f.write_str("the kernel is gone"),
        }
    }
}

impl<A> fmt::Display for CallError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot call `{}`: {}", self.event, self.kind)
    }
}

impl<A> fmt::Debug for CallError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallError({self})")
    }
}

/// Everything else that can go wrong. Ask it with its predicates; the kinds are private.
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// let error = Session::builder(()).create(&kernel).unwrap_err();
/// assert!(error.is_no_start());
/// # });
/// ```
///
///
/// What a handler is refused:
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// use std::time::Duration;
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| -> poe::Handled {
///         let timer = cx.delay_set("late", Duration::from_secs(60), ());
///         cx.alarm_remove(timer)?;
///         assert!(cx.alarm_remove(timer).unwrap_err().is_no_such_alarm());
///         assert!(cx.alias_remove("nobody").unwrap_err().is_no_such_alias());
///         assert!(cx.alias_resolve("nobody").unwrap_err().is_no_such_session());
///         assert!(cx.refcount_decrement(cx.session_id(), "none").unwrap_err().is_no_such_tag());
///         assert!(cx.detach_myself().unwrap_err().is_not_permitted()); // it is the kernel's child
///         Ok(())
///     })
///     .create(&kernel)?;
/// kernel.run().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Error(pub(crate) Arc<ErrorKind>);

#[derive(Debug)]
pub(crate) enum ErrorKind {
    Post {
        event: String,
        kind: PostErrorKind,
    },
    Call {
        event: String,
        kind: CallErrorKind,
    },
    NoSuchSession(String),
    NoSuchAlias(String),
    AliasTaken {
        alias: String,
        owner: SessionId,
    },
    NotPermitted(&'static str),
    NoSuchAlarm(u64),
    NoSuchProcess(u32),
    NoSuchTag {
        session: SessionId,
        tag: String,
    },
    NoStart {
        place: String,
    },
    Busy(&'static str),
    ShuttingDown,
    AlreadyRunning,
    Died {
        failure: Failure,
        session: SessionId,
        event: String,
    },
    Io {
        operation: &'static str,
        error: std::io::Error,
    },
    /// The same, of a server; the system does not say where.
    Listen {
        addr: String,
        operation: &'static str,
        error: std::io::Error,
    },
    Invalid(String),
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error(Arc::new(kind))
    }
}

impl Error {
    /// POE's `ESRCH` for sessions: there is none of that name or ID.
    #[doc(alias = "ESRCH")]
    #[must_use]
    pub fn is_no_such_session(&self) -> bool {
        matches!(
            &*self.0,
            ErrorKind::NoSuchSession(_)
                | ErrorKind::Post {
                    kind: PostErrorKind::NoSuchSession(_),
                    ..
                }
                | ErrorKind::Call {
                    kind: CallErrorKind::NoSuchSession(_),
                    ..
                }
        )
    }

    /// POE's `ESRCH` for aliases: nobody has that one.
    #[must_use]
    pub fn is_no_such_alias(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoSuchAlias(_))
    }

    /// POE's `ESRCH` for timers: it has fired, was removed, or never was.
    #[must_use]
    pub fn is_no_such_alarm(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoSuchAlarm(_))
    }

    /// There is no process of that number.
    ///
    /// ```
    /// # #[cfg(unix)] {
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| {
    ///         let error = cx.sig_child(i32::MAX as u32, "ended", ()).unwrap_err();
    ///         assert!(error.is_no_such_process());
    ///     })
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// # }
    /// ```
    #[must_use]
    pub fn is_no_such_process(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoSuchProcess(_))
    }

    /// A reference count of that tag is not held.
    #[must_use]
    pub fn is_no_such_tag(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoSuchTag { .. })
    }

    /// POE's `EPERM`: it belongs to another session.
    #[doc(alias = "EPERM")]
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        matches!(&*self.0, ErrorKind::NotPermitted(_))
    }

    /// POE's `EEXIST`: another session has the alias.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// for taken in [false, true] {
    ///     Session::builder(())
    ///         .on(START, move |cx, ()| {
    ///             let set = cx.alias_set("logger");
    ///             assert_eq!(set.is_err_and(|error| error.is_alias_taken()), taken);
    ///         })
    ///         .create(&kernel)?;
    /// }
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[doc(alias = "EEXIST")]
    #[must_use]
    pub fn is_alias_taken(&self) -> bool {
        matches!(&*self.0, ErrorKind::AliasTaken { .. })
    }

    /// The session was given no `_start` handler, so nothing was created (law L22).
    #[must_use]
    pub fn is_no_start(&self) -> bool {
        matches!(&*self.0, ErrorKind::NoStart { .. })
    }

    /// What runs handlers at once was asked for through a cloned [`Kernel`](crate::Kernel) while a handler runs.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, kernel: Kernel| -> poe::Handled {
    ///         let child = || Session::builder(()).on(START, |_, ()| ());
    ///         assert!(child().create(&kernel).unwrap_err().is_busy());
    ///         child().create_in(cx)?;
    ///         Ok(())
    ///     })
    ///     .args(kernel.clone())
    ///     .create(&kernel)?;
    /// kernel.run().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(
            &*self.0,
            ErrorKind::Busy(_)
                | ErrorKind::Call {
                    kind: CallErrorKind::Busy,
                    ..
                }
        )
    }

    /// The kernel is shutting down and takes no new session.
    ///
    /// ```
    /// use poe::{Kernel, Session, Signal, event::START};
    /// use std::time::Duration;
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| {
    ///         cx.sig("TERM", "asked to end");
    ///         cx.alias_set("server")
    ///     })
    ///     .on("asked to end", |cx, _: Signal| {
    ///         let late = Session::builder(()).on(START, |_, ()| ()).create_in(cx);
    ///         assert!(late.unwrap_err().is_shutting_down());
    ///     })
    ///     .create(&kernel)?;
    /// assert!(kernel.shutdown(Duration::from_secs(5)).await.is_clean());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        matches!(&*self.0, ErrorKind::ShuttingDown)
    }

    /// `run` or `serve` was asked for while one of them is under way.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # use std::time::Duration;
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |cx, ()| cx.delay("done", Duration::from_millis(1), ()))
    ///     .on("done", |_, ()| ())
    ///     .create(&kernel)?;
    /// let (first, second) = tokio::join!(kernel.run(), kernel.run());
    /// assert!(first.is_ok());
    /// assert!(second.unwrap_err().is_already_running());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn is_already_running(&self) -> bool {
        matches!(&*self.0, ErrorKind::AlreadyRunning)
    }

    /// A handler failed and nobody handled its `DIE`.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(()).on(START, |_, ()| panic!("on purpose")).create(&kernel)?;
    /// let error = kernel.run().await.unwrap_err();
    /// assert!(error.is_died());
    /// assert_eq!(error.to_string(), "event `_start` of session 1 failed: panicked: on purpose");
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn is_died(&self) -> bool {
        matches!(&*self.0, ErrorKind::Died { .. })
    }

    /// The failure that nobody handled, if that is what this is.
    ///
    /// ```
    /// use poe::{Kernel, Session, event::START};
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(())
    ///     .on(START, |_, text: &'static str| -> poe::Handled {
    ///         let _: u8 = text.parse()?;
    ///         Ok(())
    ///     })
    ///     .args("300")
    ///     .create(&kernel)?;
    /// let error = kernel.run().await.unwrap_err();
    /// let cause = error.failure().and_then(|failure| failure.source()).unwrap();
    /// assert!(cause.is::<std::num::ParseIntError>());
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match &*self.0 {
            ErrorKind::Died { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// The operating system's error, if that is the cause.
    ///
    /// ```
    /// use poe::{Kernel, component::TcpServer};
    /// # tokio_test::block_on(async {
    /// let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    /// let kernel = Kernel::new();
    /// let server = TcpServer::builder(taken.local_addr().unwrap())
    ///     .client_input(|cx, line| cx.client().put(line))
    ///     .start(&kernel)
    ///     .await;
    /// let error = server.unwrap_err();
    /// assert_eq!(error.io().unwrap().kind(), std::io::ErrorKind::AddrInUse);
    /// # });
    /// ```
    #[must_use]
    pub fn io(&self) -> Option<&std::io::Error> {
        match &*self.0 {
            ErrorKind::Io { error, .. } | ErrorKind::Listen { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            ErrorKind::Post { event, kind } => write!(f, "cannot post `{event}`: {kind}"),
            ErrorKind::Call { event, kind } => write!(f, "cannot call `{event}`: {kind}"),
            ErrorKind::NoSuchSession(what) => write!(f, "no such session: {what}"),
            ErrorKind::NoSuchAlias(alias) => write!(f, "no session has the alias `{alias}`"),
            ErrorKind::AliasTaken { alias, owner } => {
                write!(f, "the alias `{alias}` is taken by session {owner}")
            }
            ErrorKind::NotPermitted(what) => write!(f, "not permitted: {what}"),
            ErrorKind::NoSuchProcess(pid) => write!(f, "there is no process {pid}"),
            ErrorKind::NoSuchAlarm(id) => write!(f, "no timer {id}: it has fired or was removed"),
            ErrorKind::NoSuchTag { session, tag } => {
                write!(f, "session {session} holds no reference count `{tag}`")
            }
            ErrorKind::NoStart { place } => {
                write!(
                    f,
                    "the session made at {place} has no `_start` handler: add `.on(START, ..)`"
                )
            }
            ErrorKind::Busy(what) => write!(
                f,
                "the kernel is running a handler: {what} runs handlers at once, so it must go through that handler's context"
            ),
            ErrorKind::ShuttingDown => f.write_str("the kernel is shutting down and takes no new session"),
            ErrorKind::AlreadyRunning => f.write_str("the kernel is running already: `run` inside `run`"),
            ErrorKind::Died {
                failure,
                session,
                event,
            } => match failure.callback() {
                Some(callback) => write!(f, "{callback} failed (event `{event}` of session {session}): {failure}"),
                None => write!(f, "event `{event}` of session {session} failed: {failure}"),
            },
            ErrorKind::Io { operation, error } => write!(f, "{operation}: {error}"),
            ErrorKind::Listen { addr, operation, error } => {
                write!(f, "cannot listen at {addr}: {operation}: {error}")
            }
            ErrorKind::Invalid(what) => f.write_str(what),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text alone: it is what a `main` that returns the error prints, behind its own `Error: `.
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            ErrorKind::Died { failure, .. } => failure.source().map(|e| e as &(dyn StdError + 'static)),
            ErrorKind::Io { error, .. } | ErrorKind::Listen { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl<A> From<PostError<A>> for Error {
    fn from(error: PostError<A>) -> Self {
        error.without_arg()
    }
}

impl<A> From<CallError<A>> for Error {
    fn from(error: CallError<A>) -> Self {
        error.without_arg()
    }
}

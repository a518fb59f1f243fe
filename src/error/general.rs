//! Every error that carries nothing of the caller's.

use super::call::CallErrorKind;
use super::failure::Failure;
use super::kind::ErrorKind;
use super::post::PostErrorKind;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

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
/// What a handler is refused:
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// use std::time::Duration;
/// # tokio_test::block_on(async {
/// let kernel = Kernel::new();
/// Session::builder(())
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let timer = cx.delay_set("late", Duration::from_secs(60), ());
///         cx.alarm_remove(timer)?;
///         assert!(cx.alarm_remove(timer).unwrap_err().is_no_such_timer());
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

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error(Arc::new(kind))
    }
}

impl Error {
    /// A setting of your own wheel or component that makes no sense. Say in `text` what to write instead.
    #[must_use]
    pub fn invalid_setting(text: impl Into<String>) -> Self {
        ErrorKind::Invalid(text.into()).into()
    }

    /// A failed system call of your own wheel or component. `what` says what could not be done to what: "cannot open
    /// `/dev/tty`".
    #[must_use]
    pub fn from_io(what: impl Into<String>, error: std::io::Error) -> Self {
        let what = what.into();
        ErrorKind::IoOf { what, error, cure: "" }.into()
    }

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
    pub fn is_no_such_timer(&self) -> bool {
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

    /// Handlers were nested deeper than the kernel's [`call_stack`](crate::KernelBuilder::call_stack) allows.
    ///
    /// ```
    /// use poe::{Error, Caller, Kernel, Session, event::START};
    /// /// Each session creates the next one before its own `_start` returns.
    /// fn nest(caller: &mut impl Caller) -> Result<(), Error> {
    ///     let nested = |cx: &mut poe::Context<'_, ()>, ()| -> poe::HandlerResult {
    ///         match nest(cx) {
    ///             Err(error) if error.is_too_deep() => Ok(()),
    ///             other => Ok(other?),
    ///         }
    ///     };
    ///     Session::builder(()).on(START, nested).create_in(caller).map(drop)
    /// }
    /// let kernel = Kernel::new();
    /// nest(&mut &kernel)?;
    /// assert!(kernel.session_count() > 10);
    /// # Ok::<(), poe::Error>(())
    /// ```
    #[must_use]
    pub fn is_too_deep(&self) -> bool {
        matches!(
            &*self.0,
            ErrorKind::TooDeep(_)
                | ErrorKind::Call {
                    kind: CallErrorKind::TooDeep(_),
                    ..
                }
        )
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
    ///     .on(START, |cx, kernel: Kernel| -> poe::HandlerResult {
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
    /// # tokio_test::block_on(async {
    /// let kernel = Kernel::new();
    /// Session::builder(()).on(START, |cx, ()| cx.alias_set("daemon")).create(&kernel)?;
    /// tokio::select! {
    ///     biased;
    ///     served = kernel.serve() => served?, // goes on until it is stopped
    ///     second = kernel.run() => assert!(second.unwrap_err().is_already_running()),
    /// }
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
    ///     .on(START, |_, text: &'static str| -> poe::HandlerResult {
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
            ErrorKind::Io { error, .. } | ErrorKind::IoOf { error, .. } | ErrorKind::Listen { error, .. } => {
                Some(error)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
            ErrorKind::Io { error, .. } | ErrorKind::IoOf { error, .. } | ErrorKind::Listen { error, .. } => {
                Some(error)
            }
            _ => None,
        }
    }
}

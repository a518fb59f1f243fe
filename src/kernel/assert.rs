//! Checks of the kernel's tables and of its use (POE's ASSERT_*).

use super::{Core, Die, Kernel, KernelBuilder};
use crate::error::{Error, ErrorKind, Failure};
use crate::id::Place;
use crate::name::Name;
use crate::resource::HoldKind;
use crate::resource::sessions::KERNEL;
use std::fmt::Display;
use std::panic::Location;
use tracing::Level;

impl Core {
    /// Returns a method's result. An error is traced on the target `poe::retvals`; with `assert_retvals` it is a panic.
    #[track_caller]
    #[inline(always)]
    pub(crate) fn logged<T, E: Display>(&self, method: &'static str, result: Result<T, E>) -> Result<T, E> {
        if let Err(error) = &result {
            self.trace_error(method, error, Location::caller());
        }
        result
    }

    #[cold]
    #[inline(never)]
    pub(super) fn trace_error(&self, method: &'static str, error: &dyn Display, place: Place) {
        if tracing::enabled!(target: "poe::retvals", Level::TRACE) {
            let session = self.active.session();
            let event = self.active_event();
            let event = event.as_deref().unwrap_or("");
            tracing::trace!(target: "poe::retvals", %session, event, %place, "{method} failed: {error}");
        }
        assert!(!self.config.assert_retvals, "{method} at {place} failed: {error}");
    }

    /// Compares every session's count with its entries in the tables, and looks for entries of sessions that are gone.
    pub(super) fn check_data(&self) -> Result<(), Error> {
        let mut culprits = Vec::new();
        for session in self.why_alive().sessions {
            let slot = session.session.slot;
            let ours = session
                .holds
                .iter()
                .filter(|hold| !matches!(hold.kind, HoldKind::Other(_)));
            let ours = ours.map(|hold| match hold.kind {
                // All of one tag are one thing that holds.
                HoldKind::Refcount | HoldKind::Postback => 1,
                _ => hold.count,
            });
            let found = ours.sum::<usize>() + self.outside.borrow().places(slot).len();
            let counted = self.sessions.borrow().refs(slot) as usize;
            if counted != found {
                culprits.push(format!(
                    "{counted} references are counted and {found} are there: {session}"
                ));
            }
        }
        self.check_ends(&mut culprits);
        if culprits.is_empty() {
            return Ok(());
        }
        Err(ErrorKind::Invalid(format!(
            "the kernel's tables contradict each other: {}",
            culprits.join("; ")
        ))
        .into())
    }

    /// No event may have an end, and no alias an owner, that is gone.
    fn check_ends(&self, culprits: &mut Vec<String>) {
        let sessions = self.sessions.borrow();
        let gone = |slot: u32| slot != KERNEL && sessions.id(slot).get() == u64::MAX;
        for waiting in self.queue().in_order() {
            let post = waiting.post();
            if gone(post.to) || gone(post.from) {
                let (name, place) = (self.names.name(post.name), post.place);
                culprits.push(format!("the event `{name}` from {place} is of a session that is gone"));
            }
        }
        for (alias, owner) in self.aliases.borrow().all() {
            if gone(owner) {
                culprits.push(format!("the alias `{alias}` is of a session that is gone"));
            }
        }
    }

    /// With `assert_data`, between two slices: a contradiction ends the run.
    #[cold]
    #[inline(never)]
    pub(super) fn assert_data(&self) {
        if let Err(error) = self.check_data() {
            self.fail_run(Die {
                failure: Failure::from(error),
                event: Name::from_static("a check of the kernel's tables"),
                session: self.id(),
                sender: self.id(),
                caller_state: None,
                place: Location::caller(),
            });
            self.stop_failed();
        }
    }
}

impl Kernel {
    /// Checks the kernel's tables against each other, which [`KernelBuilder::assert_data`] does after each slice.
    ///
    /// ```
    /// let kernel = poe::Kernel::new();
    /// assert!(kernel.check().is_ok());
    /// ```
    ///
    /// # Errors
    /// They contradict each other, which is a bug of this crate. The text names the entries and the lines that made
    /// them.
    #[doc(alias = "ASSERT_DATA")]
    pub fn check(&self) -> Result<(), Error> {
        self.core().check_data()
    }
}

/// POE's ASSERT_* and CATCH_EXCEPTIONS.
///
/// ```
/// use poe::{Kernel, Session, event::START};
/// # tokio_test::block_on(async {
/// // For tests: the kernel checks itself after each slice, and mistakes of sessions do not pass in silence.
/// let kernel = Kernel::builder().assert_data(true).assert_states(true).assert_retvals(true).build();
/// let id = Session::builder(())
///     .on(START, |cx, ()| {
///         let _ = cx.post("nobody", "hello", ()); // nobody looks at the result
///     })
///     .create(&kernel)?;
/// assert_eq!(kernel.snapshot().session(id).unwrap().options["default"], "1"); // by `assert_states`
/// let error = kernel.run().await.unwrap_err(); // by `assert_retvals`
/// assert!(error.failure().unwrap().is_panic());
/// assert!(error.to_string().ends_with("cannot post `hello`: no session has the alias `nobody`"));
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
impl KernelBuilder {
    /// Makes returned errors panics (POE's `ASSERT_RETVALS`); default false.
    ///
    /// An error that a method of [`KernelRef`](crate::KernelRef), of a context or of [`Kernel`] would return becomes a
    /// panic that names the method, the file and the line; in a handler that is a `DIE`. It is for programs that ignore
    /// results: a post to a missing session, an alias that is taken, a timer that has fired.
    #[doc(alias = "ASSERT_RETVALS")]
    pub fn assert_retvals(mut self, assert: bool) -> Self {
        self.config.assert_retvals = assert;
        self
    }

    /// Sets the option `default` for every new session (POE's `ASSERT_STATES`); default false.
    ///
    /// Such a session warns of events without a handler. Options set for a session itself take precedence.
    #[doc(alias = "ASSERT_STATES")]
    pub fn assert_states(mut self, assert: bool) -> Self {
        self.config.assert_states = assert;
        self
    }

    /// Compares the kernel's tables after each slice (POE's `ASSERT_DATA`, `ASSERT_EVENTS` and `ASSERT_FILES`); default
    /// false.
    ///
    /// A contradiction ends the run with an error ([`Kernel::check`]). The check takes time that grows with the number
    /// of entries: it is for tests.
    #[doc(alias = "ASSERT_DATA")]
    #[doc(alias = "ASSERT_EVENTS")]
    #[doc(alias = "ASSERT_FILES")]
    pub fn assert_data(mut self, assert: bool) -> Self {
        self.config.assert_data = assert;
        self
    }

    /// Reads settings from the environment, as POE does.
    ///
    /// The variables are `POE_CATCH_EXCEPTIONS`, `POE_ASSERT_DATA` (or `POE_ASSERT_EVENTS`, `POE_ASSERT_FILES`),
    /// `POE_ASSERT_RETVALS`, `POE_ASSERT_STATES`, and `POE_ASSERT_DEFAULT` for all of those that are not set. Empty and
    /// `0` are false. Without this call no variable is read.
    ///
    /// ```
    /// let kernel = poe::Kernel::builder().environment().build();
    /// ```
    #[doc(alias = "POE_ASSERT_DEFAULT")]
    pub fn environment(self) -> Self {
        self.settings_of(|name| std::env::var(name).ok())
    }

    fn settings_of(mut self, get: impl Fn(&str) -> Option<String>) -> Self {
        let of = |name: &str| get(&format!("POE_{name}")).map(|value| !value.is_empty() && value != "0");
        let all = of("ASSERT_DEFAULT");
        let set = |setting: &mut bool, names: &[&str]| {
            if let Some(value) = names.iter().find_map(|name| of(name)).or(all) {
                *setting = value;
            }
        };
        set(
            &mut self.config.assert_data,
            &["ASSERT_DATA", "ASSERT_EVENTS", "ASSERT_FILES"],
        );
        set(&mut self.config.assert_retvals, &["ASSERT_RETVALS"]);
        set(&mut self.config.assert_states, &["ASSERT_STATES"]);
        if let Some(catch) = of("CATCH_EXCEPTIONS") {
            self.config.catch_exceptions = catch;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(environment: &[(&str, &str)]) -> [bool; 4] {
        let get = |name: &str| {
            let found = environment.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let config = Kernel::builder().settings_of(get).config;
        [
            config.assert_data,
            config.assert_retvals,
            config.assert_states,
            config.catch_exceptions,
        ]
    }

    #[test]
    fn the_environment_sets_what_it_names_and_the_default_the_rest() {
        assert_eq!(settings(&[]), [false, false, false, true]);
        assert_eq!(settings(&[("POE_ASSERT_DEFAULT", "1")]), [true, true, true, true]);
        let some = [("POE_ASSERT_DEFAULT", "1"), ("POE_ASSERT_STATES", "0")];
        assert_eq!(settings(&some), [true, true, false, true]);
        let other = [("POE_ASSERT_FILES", "1"), ("POE_CATCH_EXCEPTIONS", "")];
        assert_eq!(settings(&other), [true, false, false, false]);
    }

    /// A session of no handlers, for tests below `session`.
    struct Quiet;

    impl super::super::Invoke for Quiet {
        fn invoke(&self, _: super::super::KernelRef<'_>, _: &mut crate::arg::AnyArg) -> super::super::Invoked {
            super::super::Invoked::Returned
        }

        fn event_names(&self) -> Vec<Name> {
            Vec::new()
        }
    }

    #[test]
    fn a_count_that_is_not_explained_names_its_session() {
        let kernel = Kernel::new();
        let args = crate::arg::AnyArg::new(());
        let id = kernel.session_alloc(std::rc::Rc::new(Quiet), args).unwrap();
        kernel.refcount_increment(id, "tag").unwrap();
        kernel.refcount_increment(id, "tag").unwrap();
        let hold = kernel.hold_session(id).unwrap();
        kernel.check().unwrap();
        kernel.core().sessions.borrow_mut().hold(id.slot);
        let text = kernel.check().unwrap_err().to_string();
        assert!(
            text.contains("4 references are counted and 3 are there: session 1"),
            "{text}"
        );
        assert!(text.contains("assert.rs:") && text.contains("refcount `tag`"), "{text}");
        kernel.core().sessions.borrow_mut().release(id.slot);
        kernel.check().unwrap();
        drop(hold);
        kernel.check().unwrap();
    }
}

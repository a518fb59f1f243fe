//! The test kit: kernels on virtual time, transcripts of dispatched events, and leak checks.
//!
//! It needs the crate's feature `testing`; enable it in your `dev-dependencies`. A test with timers of hours takes no
//! time, and its result is the same on every machine:
//!
//! ```
//! use poe::{Event, Kernel, Session, event::START, testing::{self, Transcript}};
//! use std::time::Duration;
//!
//! const TICK: Event<u32> = Event::new("tick");
//!
//! /// What is tested: a session that ticks every hour.
//! fn start_clock(kernel: &Kernel, ticks: u32) {
//!     Session::builder(())
//!         .on(START, |cx, n: u32| cx.yield_to(TICK, n))
//!         .on(TICK, |cx, n| if n > 1 { cx.delay(TICK, Duration::from_secs(3600), n - 1) })
//!         .args(ticks)
//!         .create(kernel)
//!         .unwrap();
//! }
//!
//! // In your test: #[tokio::test(start_paused = true)]
//! # tokio_test::block_on(async { tokio::time::pause();
//! let kernel = testing::kernel();
//! let transcript = Transcript::of(&kernel);
//! start_clock(&kernel, 3);
//! kernel.run().await.unwrap();
//! transcript.assert_eq_without_places(
//!     "0.000 1 _start kernel
//!      0.000 1 tick 1
//!      3600.000 1 tick 1
//!      7200.000 1 tick 1
//!      7200.000 1 _stop kernel",
//! );
//! testing::assert_no_leaks(&kernel);
//! # });
//! ```
//!
//! Virtual time is Tokio's: it stands still while anything can run and jumps to the next timer when nothing can, in
//! steps of a millisecond. Real sockets, files, children and terminals do not wait for it, so wheels refuse them on
//! such a kernel; in-memory streams are accepted. Test real I/O on [`Kernel::new`] with deadlines.

use crate::error::Error;
use crate::id::SessionId;
use crate::kernel::{Dispatched, Kernel, KernelBuilder};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

#[cfg(not(target_family = "wasm"))]
pub use connect::{connect, connect_from};

/// Makes a kernel on Tokio's clock, which must be paused.
///
/// # Panics
/// When Tokio's clock runs: use `#[tokio::test(start_paused = true)]`, or call `tokio::time::pause` first.
#[must_use]
#[track_caller]
pub fn kernel() -> Kernel {
    builder().build()
}

/// Makes a builder for a kernel on Tokio's clock, which must be paused.
///
/// # Panics
/// When Tokio's clock runs: see [`kernel`].
#[track_caller]
pub fn builder() -> KernelBuilder {
    assert!(
        clock_is_paused(),
        "a kernel on virtual time needs Tokio's clock to be paused: \
         `#[tokio::test(start_paused = true)]`, or `tokio::time::pause()` first"
    );
    let mut builder = Kernel::builder();
    builder.config.virtual_time = true;
    builder
}

/// Tokio has no function for this; a running clock advances within the loop.
fn clock_is_paused() -> bool {
    let virtual_start = tokio::time::Instant::now();
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_micros(2) {
        std::hint::spin_loop();
    }
    tokio::time::Instant::now() == virtual_start
}

/// Runs a kernel for at most `time`. A later call continues.
///
/// Returns earlier if the run ends by itself.
///
/// # Errors
/// As [`Kernel::run`].
///
/// ```
/// use poe::{Session, event::START, testing};
/// use std::time::Duration;
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = testing::kernel();
/// Session::builder(())
///     .on(START, |cx, ()| cx.delay("done", Duration::from_secs(60), ()))
///     .on("done", |_, ()| ())
///     .create(&kernel).unwrap();
/// testing::run_for(&kernel, Duration::from_secs(59)).await.unwrap();
/// assert_eq!(kernel.session_count(), 1);
/// testing::run_for(&kernel, Duration::from_secs(2)).await.unwrap();
/// assert_eq!(kernel.session_count(), 0);
/// # });
/// ```
pub async fn run_for(kernel: &Kernel, time: Duration) -> Result<(), Error> {
    tokio::time::timeout(time, kernel.run()).await.unwrap_or(Ok(()))
}

/// Panics if a session is alive, and prints what keeps each alive ([`Kernel::why_alive`]).
///
/// # Panics
/// When a session is alive.
#[track_caller]
pub fn assert_no_leaks(kernel: &Kernel) {
    let alive = kernel.why_alive();
    assert!(
        alive.is_empty(),
        "{} sessions are left behind:\n{alive}",
        alive.sessions.len()
    );
}

/// Fails a test that leaves sessions behind: it checks when it is dropped, unless the test is already panicking.
///
/// ```should_panic
/// use poe::{Kernel, Session, event::START, testing::LeakCheck};
/// let kernel = Kernel::new();
/// let _check = LeakCheck::of(&kernel);
/// Session::builder(()).on(START, |cx, ()| cx.alias_set("daemon")).create(&kernel).unwrap();
/// // The test forgets to run the kernel.
/// ```
#[derive(Debug)]
#[must_use = "it checks when it is dropped"]
pub struct LeakCheck {
    kernel: Kernel,
    place: &'static Location<'static>,
}

impl LeakCheck {
    /// Checks the kernel at the end of the scope.
    #[track_caller]
    pub fn of(kernel: &Kernel) -> Self {
        LeakCheck {
            kernel: kernel.clone(),
            place: Location::caller(),
        }
    }
}

impl Drop for LeakCheck {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let alive = self.kernel.why_alive();
        assert!(
            alive.is_empty(),
            "the test behind {} leaves {} sessions behind:\n{alive}",
            self.place,
            alive.sessions.len()
        );
    }
}

/// One dispatch, as a [`Transcript`] recorded it.
///
/// Prints as `time session event sender file:line`, with the alternate flag (`{:#}`) without the place.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Record {
    /// Time since the recording began.
    pub time: Duration,
    /// The session to which the event was dispatched.
    pub session: SessionId,
    /// The event's name, whether or not it has a handler.
    pub event: String,
    /// Its sender.
    pub sender: SessionId,
    /// Where it was sent; `None` for events of the kernel or a component.
    pub place: Option<&'static Location<'static>>,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.time.as_secs(), self.time.subsec_millis());
        write!(
            f,
            "{seconds}.{millis:03} {} {} {}",
            self.session, self.event, self.sender
        )?;
        if f.alternate() {
            return Ok(());
        }
        match self.place {
            // Without directories, so that a golden log does not depend on where the project lies.
            Some(place) => {
                let file = place.file().rsplit(['/', '\\']).next().unwrap_or_default();
                write!(f, " {file}:{}", place.line())
            }
            None => f.write_str(" -"),
        }
    }
}

/// Records everything that a kernel dispatches, in order: `time session event sender file:line`, one line each.
///
/// Sessions are named by serial number, the kernel by `kernel`; the time is seconds and milliseconds since the
/// recording began; the place of the kernel's own events is `-`. A kernel has one transcript at a time: a new
/// one ends the recording of the one before.
///
/// ```
/// use poe::{Session, event::START, testing::{self, Transcript}};
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = testing::kernel();
/// let transcript = Transcript::of(&kernel);
/// Session::builder(()).on(START, |_, ()| ()).create(&kernel).unwrap();
/// assert_eq!(transcript.lines_without_places(), ["0.000 1 _start kernel"]);
/// transcript.clear();
/// kernel.run().await.unwrap();
/// assert_eq!(transcript.records()[0].event, "_stop");
/// assert_eq!(transcript.lines().len(), 1);
/// transcript.assert_eq("0.000 1 _stop kernel -"); // the kernel sent it, from no line of the program
/// transcript.assert_eq_without_places("0.000 1 _stop kernel");
/// # });
/// ```
#[derive(Debug)]
pub struct Transcript {
    records: Rc<RefCell<Vec<Record>>>,
}

impl Transcript {
    /// Starts to record a kernel, until the transcript is dropped.
    #[must_use]
    pub fn of(kernel: &Kernel) -> Self {
        let core = kernel.core();
        let began = core.now();
        let records = Rc::new(RefCell::new(Vec::new()));
        // The kernel does not keep the records of a dropped transcript.
        let weak = Rc::downgrade(&records);
        core.set_observer(Rc::new(move |dispatched: &Dispatched<'_>| {
            if let Some(records) = weak.upgrade() {
                records.borrow_mut().push(record(dispatched, began));
            }
        }));
        Transcript { records }
    }

    /// Returns the records so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.records.borrow().clone()
    }

    /// Returns the records so far, as `time session event sender file:line`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.records.borrow().iter().map(|r| format!("{r}")).collect()
    }

    /// Returns the records so far without places, for code whose line numbers change.
    #[must_use]
    pub fn lines_without_places(&self) -> Vec<String> {
        self.records.borrow().iter().map(|r| format!("{r:#}")).collect()
    }

    /// Removes the records so far; the time continues.
    pub fn clear(&self) {
        self.records.borrow_mut().clear();
    }

    /// Compares with a golden log; space around lines and empty lines do not count.
    ///
    /// # Panics
    /// Prints the difference, if there is one.
    #[track_caller]
    pub fn assert_eq(&self, golden: &str) {
        assert_same(golden, &self.lines());
    }

    /// Compares with a golden log without places.
    ///
    /// # Panics
    /// Prints the difference, if there is one.
    #[track_caller]
    pub fn assert_eq_without_places(&self, golden: &str) {
        assert_same(golden, &self.lines_without_places());
    }
}

impl fmt::Display for Transcript {
    /// All lines, each with its line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &*self.records.borrow() {
            writeln!(f, "{record}")?;
        }
        Ok(())
    }
}

fn record(dispatched: &Dispatched<'_>, began: u64) -> Record {
    // The places of this crate's own events would be lines of its source, which no golden log should contain.
    let own_sources = file!().strip_suffix("testing.rs").unwrap_or(file!());
    let place = Some(dispatched.place).filter(|p| !p.file().starts_with(own_sources));
    Record {
        time: Duration::from_nanos(dispatched.time.saturating_sub(began)),
        session: dispatched.session,
        event: dispatched.event.to_owned(),
        sender: dispatched.sender,
        place,
    }
}

#[track_caller]
fn assert_same(golden: &str, got: &[String]) {
    let golden: Vec<&str> = golden.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let got: Vec<&str> = got.iter().map(String::as_str).collect();
    if golden != got {
        panic!(
            "the transcript differs (- expected, + recorded):\n{}",
            difference(&golden, &got)
        );
    }
}

/// Returns the shortest difference of two lists of lines: `  ` in both, `- ` only expected, `+ ` only recorded.
fn difference(expected: &[&str], recorded: &[&str]) -> String {
    let (rows, columns) = (expected.len(), recorded.len());
    // The length of the longest common subsequence of the two rests, for each pair of positions.
    let mut common = vec![vec![0_usize; columns + 1]; rows + 1];
    for e in (0..rows).rev() {
        for r in (0..columns).rev() {
            common[e][r] = match expected[e] == recorded[r] {
                true => common[e + 1][r + 1] + 1,
                false => common[e + 1][r].max(common[e][r + 1]),
            };
        }
    }
    let mut out = String::new();
    let (mut e, mut r) = (0, 0);
    while e < rows || r < columns {
        let (sign, line) = match (expected.get(e), recorded.get(r)) {
            (Some(a), Some(b)) if a == b => {
                (e, r) = (e + 1, r + 1);
                ("  ", a)
            }
            (Some(a), _) if r == columns || common[e + 1][r] >= common[e][r + 1] => {
                e += 1;
                ("- ", a)
            }
            (_, Some(b)) => {
                r += 1;
                ("+ ", b)
            }
            (_, None) => break,
        };
        out.push_str(sign);
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Steps that must be reached in one order, anywhere in a program (POE::Test::Sequence). Clones share the sequence.
///
/// ```
/// use poe::{Session, event::{START, STOP}, testing::{self, Sequence}};
/// # tokio_test::block_on(async { tokio::time::pause();
/// let kernel = testing::kernel();
/// let steps = Sequence::of(["started", "asked", "stopped"]);
/// let [a, b, c] = [steps.clone(), steps.clone(), steps.clone()];
/// Session::builder(())
///     .on(START, move |cx, ()| {
///         a.reach("started");
///         cx.yield_to("ask", ());
///     })
///     .on("ask", move |_, ()| b.reach("asked"))
///     .on(STOP, move |_, ()| c.reach("stopped"))
///     .create(&kernel).unwrap();
/// kernel.run().await.unwrap(); // a step out of order is a panic in a handler, so an error here
/// steps.assert_over();
/// # });
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "POE::Test::Sequence")]
pub struct Sequence {
    steps: Rc<[String]>,
    next: Rc<Cell<usize>>,
}

impl Sequence {
    /// Makes a sequence of these steps; a step may occur more than once.
    pub fn of<S: Into<String>>(steps: impl IntoIterator<Item = S>) -> Self {
        Sequence {
            steps: steps.into_iter().map(Into::into).collect(),
            next: Rc::default(),
        }
    }

    /// Notes that a step was reached.
    ///
    /// # Panics
    /// When another step was expected.
    #[track_caller]
    pub fn reach(&self, step: &str) {
        let at = self.next.get();
        match self.steps.get(at) {
            Some(expected) if expected == step => self.next.set(at + 1),
            Some(expected) => panic!("`{step}` was reached, but step {} is `{expected}`", at + 1),
            None => panic!("`{step}` was reached after all {at} steps"),
        }
    }

    /// Checks that every step was reached.
    ///
    /// # Panics
    /// When one is missing.
    #[track_caller]
    pub fn assert_over(&self) {
        let at = self.next.get();
        if let Some(missing) = self.steps.get(at) {
            panic!("step {} of {} was not reached: `{missing}`", at + 1, self.steps.len());
        }
    }
}

#[cfg(not(target_family = "wasm"))]
mod connect {
    //! Clients of servers in memory.

    use crate::kernel::Kernel;
    use crate::wheel::Address;
    use std::io;
    use std::net::SocketAddr;
    use tokio::io::DuplexStream;

    /// Connects to a server in memory, such as one at `memory:echo`, and returns the client's end.
    ///
    /// The server sees a client without a name; [`connect_from`] gives it an IP address.
    ///
    /// # Errors
    /// No server of this kernel listens there, the address is not one in memory, or too many clients wait to be accepted.
    ///
    /// ```
    /// use poe::{component::TcpServer, testing};
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// // In your test: #[tokio::test(start_paused = true)]
    /// # tokio_test::block_on(async { tokio::time::pause();
    /// let kernel = testing::kernel();
    /// let server = TcpServer::builder("memory:echo")
    ///     .client_input(|cx, line| cx.client().put(line))
    ///     .start(&kernel)
    ///     .await?;
    /// let mut client = testing::connect(&kernel, "memory:echo").unwrap();
    /// let talk = async {
    ///     client.write_all(b"hello\r\n").await.unwrap();
    ///     client.shutdown().await.unwrap();
    ///     let mut reply = String::new();
    ///     client.read_to_string(&mut reply).await.unwrap();
    ///     assert_eq!(reply, "hello\r\n");
    ///     server.shutdown();
    /// };
    /// tokio::join!(async { kernel.run().await.unwrap() }, talk);
    /// testing::assert_no_leaks(&kernel);
    /// # Ok::<(), poe::Error>(()) }).unwrap();
    /// ```
    pub fn connect(kernel: &Kernel, addr: impl Into<Address>) -> io::Result<DuplexStream> {
        connect_by(kernel, &addr.into(), None)
    }

    /// Connects as [`connect`] does, from an IP address that the server sees as its client's.
    ///
    /// # Errors
    /// As [`connect`].
    pub fn connect_from(kernel: &Kernel, addr: impl Into<Address>, from: SocketAddr) -> io::Result<DuplexStream> {
        connect_by(kernel, &addr.into(), Some(from))
    }

    fn connect_by(kernel: &Kernel, addr: &Address, from: Option<SocketAddr>) -> io::Result<DuplexStream> {
        match addr.as_memory() {
            Some(name) => kernel.core().memory.connect(name, from),
            None => {
                let what = format!("`{addr}` is not an address in memory, such as `memory:echo`");
                Err(io::Error::new(io::ErrorKind::InvalidInput, what))
            }
        }
    }
}

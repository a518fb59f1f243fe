//! Programs that are functions of ours: they run beside the kernel as blocking work, with pipes in memory.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Bytes that a pipe in memory holds, as one of the system's does.
pub(super) const PIPE: usize = 65_536;

/// The standard streams of a program that is a function ([`Run::callback`](super::Run::callback)).
///
/// Their reads and writes block, as a program's do. When the wheel was told to end the program, input is at its end; when
/// the wheel is gone, output is a broken pipe as well.
///
/// ```
/// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, Run}};
/// use std::io::{BufRead, BufReader, Write};
/// # const OUT: Event<Input<String>> = Event::new("out");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # Session::builder(None::<Run>)
/// # .on(START, |cx, ()| -> poe::HandlerResult {
/// let builder = Run::callback(|io| {
///     for line in BufReader::new(&mut io.stdin).lines() {
///         writeln!(io.stdout, "{}", line?.to_uppercase())?;
///     }
///     Ok(())
/// });
/// let run = builder.stdout(Line::new(), OUT).start(cx)?;
/// run.put("hello")?;
/// #     *cx.heap = Some(run);
/// #     Ok(())
/// # })
/// # .on(OUT, |cx, input| {
/// // What comes:
/// assert_eq!(input.record, "HELLO");
/// #     *cx.heap = None;
/// # })
/// # .create(&kernel)?;
/// # kernel.run().await }).unwrap();
/// ```
///
/// One that computes, and reads nothing, has to ask; one that reads and computes has a [`KillFlag`] for that.
///
/// ```
/// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, Run}};
/// # use std::{io::Write, thread};
/// # const OUT: Event<Input<String>> = Event::new("out");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let transcript = poe::testing::Transcript::of(&kernel);
/// # Session::builder(None::<Run>)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let builder = Run::callback(|io| {
///             writeln!(io.stdout, "begun")?;
///             while !io.is_killed() {
///                 thread::yield_now(); // or some work
///             }
///             writeln!(io.stdout, "told to end")
///         });
///         *cx.heap = Some(builder.stdout(Line::new(), OUT).start(cx)?);
///         Ok(())
///     })
///     .on(OUT, |cx, input| -> poe::HandlerResult {
///         match (&*cx.heap, &*input.record) {
///             (Some(run), "begun") => assert!(run.kill("TERM")?),
///             _ => *cx.heap = None,
///         }
///         Ok(())
///     })
/// #   .create(&kernel)?;
/// # kernel.run().await?;
/// # assert_eq!(transcript.records().len(), 4); // _start and _stop
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct CallbackIo {
    /// Standard input.
    pub stdin: CallbackStdin,
    /// Standard output.
    pub stdout: CallbackStdout,
    /// Standard error.
    pub stderr: CallbackStdout,
    pub(super) killed: KillFlag,
}

impl CallbackIo {
    /// Whether the wheel was told to end the program (`kill`, `stop`). A function cannot be ended from outside: look at
    /// this now and then.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.killed.is_killed()
    }

    /// What can be asked the same while a stream is borrowed, or on a thread that the function has started.
    ///
    /// ```
    /// use poe::wheel::{CallbackIo, KillFlag};
    /// use std::thread;
    /// fn work_beside(io: &CallbackIo) -> thread::JoinHandle<u64> {
    ///     let flag: KillFlag = io.kill_flag();
    ///     thread::spawn(move || (0..).take_while(|_| !flag.is_killed()).sum())
    /// }
    /// ```
    #[must_use]
    pub fn kill_flag(&self) -> KillFlag {
        self.killed.clone()
    }
}

/// Whether a program that is a function was told to end, for whoever in it wants to know; see [`CallbackIo::kill_flag`].
///
/// ```
/// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, KillFlag, Run}};
/// # use std::{io::{BufRead, BufReader, Write}, thread};
/// # const OUT: Event<Input<String>> = Event::new("out");
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # let transcript = poe::testing::Transcript::of(&kernel);
/// # Session::builder(None::<Run>)
///     .on(START, |cx, ()| -> poe::HandlerResult {
///         let builder = Run::callback(|io| {
///             let flag: KillFlag = io.kill_flag();
///             for task in BufReader::new(&mut io.stdin).lines() {
///                 writeln!(io.stdout, "at work on {}", task?)?;
///                 while !flag.is_killed() { // `io` cannot be asked: its input is borrowed
///                     thread::yield_now(); // or some of the work
///                 }
///             }
///             writeln!(io.stdout, "told to end")
///         });
///         let run = builder.stdout(Line::new(), OUT).start(cx)?;
///         run.put("a task")?;
///         *cx.heap = Some(run);
///         Ok(())
///     })
///     .on(OUT, |cx, input| -> poe::HandlerResult {
///         match (&*cx.heap, &*input.record) {
///             (Some(run), "at work on a task") => assert!(run.kill("TERM")?),
///             _ => *cx.heap = None,
///         }
///         Ok(())
///     })
/// #   .create(&kernel)?;
/// # kernel.run().await?;
/// # assert_eq!(transcript.records().len(), 4); // _start and _stop
/// # Ok::<(), poe::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct KillFlag(Arc<AtomicBool>);

impl KillFlag {
    pub(super) fn new() -> Self {
        KillFlag(Arc::new(AtomicBool::new(false)))
    }

    /// As [`CallbackIo::is_killed`].
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Standard input of a [`CallbackIo`].
///
/// ```
/// use poe::wheel::CallbackStdin;
/// use std::io::{self, BufRead, BufReader};
/// # use poe::{Event, Kernel, Session, event::START, wheel::{Exited, Run}};
/// # const EXITED: Event<Exited> = Event::new("exited");
/// fn longest_line(stdin: &mut CallbackStdin) -> io::Result<usize> {
///     let lines: io::Result<Vec<String>> = BufReader::new(stdin).lines().collect(); // until its end
///     Ok(lines?.iter().map(String::len).max().unwrap_or(0))
/// }
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # Session::builder(None::<Run>)
/// # .on(START, |cx, ()| -> poe::HandlerResult {
/// let builder = Run::callback(|io| {
///     assert_eq!(longest_line(&mut io.stdin)?, 5);
///     Ok(())
/// });
/// #     let run = builder.exit(EXITED).start(cx)?;
/// #     run.put("one")?;
/// #     run.put("three")?;
/// #     run.shutdown_stdin_after_flush();
/// #     *cx.heap = Some(run);
/// #     Ok(())
/// # })
/// # .on(EXITED, |cx, exited| {
/// #     assert!(exited.status.unwrap().success());
/// #     *cx.heap = None;
/// # })
/// # .create(&kernel)?;
/// # kernel.run().await }).unwrap();
/// ```
pub struct CallbackStdin(pub(super) Source);

pub(super) enum Source {
    Pipe(DuplexStream),
    File(File),
    Inherited,
}

/// Standard output, or standard error, of a [`CallbackIo`].
///
/// ```
/// use poe::wheel::CallbackStdout;
/// use std::io::{self, Write};
/// # use poe::{Event, Kernel, Session, event::START, filter::Line, wheel::{Input, Run}};
/// # const OUT: Event<Input<String>> = Event::new("out");
/// fn report(stdout: &mut CallbackStdout, percent: u32) -> io::Result<()> {
///     writeln!(stdout, "{percent} % done") // waits while the wheel takes no more
/// }
/// # tokio_test::block_on(async {
/// # let kernel = Kernel::new();
/// # Session::builder(None::<Run>)
/// # .on(START, |cx, ()| -> poe::HandlerResult {
/// let builder = Run::callback(|io| report(&mut io.stdout, 100)).stdout(Line::new(), OUT);
/// #     *cx.heap = Some(builder.start(cx)?);
/// #     Ok(())
/// # })
/// # .on(OUT, |cx, input| {
/// // What comes of it as an event:
/// assert_eq!(input.record, "100 % done");
/// #     *cx.heap = None;
/// # })
/// # .create(&kernel)?;
/// # kernel.run().await }).unwrap();
/// ```
pub struct CallbackStdout(pub(super) Sink);

pub(super) enum Sink {
    Pipe(DuplexStream),
    File(File),
    InheritedOutput,
    InheritedError,
}

impl Read for CallbackStdin {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Pipe(pipe) => wait_for(pipe.read(buf)),
            Source::File(file) => file.read(buf),
            Source::Inherited => io::stdin().read(buf),
        }
    }
}

impl Write for CallbackStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Sink::Pipe(pipe) => wait_for(pipe.write(bytes)),
            Sink::File(file) => file.write(bytes),
            Sink::InheritedOutput => io::stdout().write(bytes),
            Sink::InheritedError => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Sink::Pipe(_) => Ok(()),
            Sink::File(file) => file.flush(),
            Sink::InheritedOutput => io::stdout().flush(),
            Sink::InheritedError => io::stderr().flush(),
        }
    }
}

impl fmt::Debug for CallbackStdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackStdin").finish_non_exhaustive()
    }
}

impl fmt::Debug for CallbackStdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackStdout").finish_non_exhaustive()
    }
}

/// Waits on this thread, which is one for blocking work. The future may want no reactor, only wakers.
fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        // Tokio's budget is for tasks, and this is none.
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

pub(super) type Callback = Box<dyn FnOnce(&mut CallbackIo) -> io::Result<()> + Send>;

/// Runs it to its end. It answers as a program of POE's would: what it fails with is a line on its standard error, and the
/// status 255.
pub(super) fn run(callback: Callback, mut io: CallbackIo) -> ExitStatus {
    let result = catch_unwind(AssertUnwindSafe(|| callback(&mut io)));
    let complaint = match result {
        Ok(Ok(())) => return ExitStatus::from_raw(0),
        Ok(Err(error)) => crate::error::text_of(&error),
        Err(payload) => crate::error::Failure::from_panic(payload).to_string(),
    };
    // Nobody may be listening any more.
    let _ = writeln!(io.stderr, "{complaint}");
    ExitStatus::from_raw(255 << 8)
}

//! Programs that are functions: they run beside the kernel as blocking work, with pipes in memory.

use crate::debug::debug_fields;
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

/// The size of a pipe in memory in bytes, like one of the system's.
pub(super) const PIPE: usize = 65_536;

/// The standard streams of a program that is a function ([`Run::callback`](super::Run::callback)).
///
/// Their reads and writes block, as a program's do. After the wheel was told to end the program, the input is at its end; after
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
/// A function that computes without reading has to call [`is_killed`](Self::is_killed); one that borrows a stream meanwhile has a
/// [`KillFlag`] for that.
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
    /// Whether the wheel was told to end the program (`kill`, `stop`).
    ///
    /// A function cannot be ended from outside: call this now and then.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.killed.is_killed()
    }

    /// Returns a flag with the same information, for use while a stream is borrowed, or on another thread.
    #[must_use]
    pub fn kill_flag(&self) -> KillFlag {
        self.killed.clone()
    }
}

/// Tells the parts of a function whether it was told to end; see [`CallbackIo::kill_flag`].
#[derive(Clone, Debug)]
pub struct KillFlag(Arc<AtomicBool>);

impl KillFlag {
    pub(super) fn new() -> Self {
        KillFlag(Arc::new(AtomicBool::new(false)))
    }

    /// Whether the wheel was told to end the program; see [`CallbackIo::is_killed`].
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Standard input of a [`CallbackIo`].
pub struct CallbackStdin(pub(super) Source);

pub(super) enum Source {
    Pipe(DuplexStream),
    File(File),
    Inherited,
}

/// Standard output, or standard error, of a [`CallbackIo`].
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

debug_fields!([] CallbackStdin, "CallbackStdin", |_this| { .. });

debug_fields!([] CallbackStdout, "CallbackStdout", |_this| { .. });

/// Waits on this thread, which is one for blocking work. The future may need only wakers, and no reactor.
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
        // Tokio's budget is for tasks, and this is not one.
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

pub(super) type Callback = Box<dyn FnOnce(&mut CallbackIo) -> io::Result<()> + Send>;

/// Runs the function to its end. As in POE, a failure is a line on its standard error and the
/// status 255.
pub(super) fn run(callback: Callback, mut io: CallbackIo) -> ExitStatus {
    let result = catch_unwind(AssertUnwindSafe(|| callback(&mut io)));
    let complaint = match result {
        Ok(Ok(())) => return ExitStatus::from_raw(0),
        Ok(Err(error)) => crate::error::text_of(&error),
        Err(payload) => crate::error::Failure::from_panic(payload).to_string(),
    };
    // The reader may be gone.
    let _ = writeln!(io.stderr, "{complaint}");
    ExitStatus::from_raw(255 << 8)
}

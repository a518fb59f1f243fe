//! An object on a thread, which is its own.
//!
//! The session and the handles share the sending side of a channel; the thread ends when that is dropped, and drops the object. A call is
//! a closure with the sender of its result, which a task of the calling session awaits.

use super::error::{GenericErrorKind, Refusal};
use super::{GenericError, GenericRefused};
use crate::life;
use crate::panics::caught;
use poe::event::{Posts, START, STOP};
use poe::extend::{Caller, Start};
use poe::{Error, Event, Kernel, KernelRef, OnFailure, Session, SessionId, TaskId};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use tokio::sync::oneshot;

const ENDED: Event<Result<(), oneshot::error::RecvError>> = Event::new("poe_tools_thread_ended");

/// Makes the object.
type Make<T> = dyn FnMut() -> Result<T, String> + Send;
type Call<T> = Box<dyn FnOnce(&mut Object<T>) + Send>;

/// The object as its thread has it.
struct Object<T> {
    value: Option<T>,
    make: Box<Make<T>>,
}

impl<T> Object<T> {
    fn run<R>(&mut self, call: impl FnOnce(&mut T) -> R) -> Result<R, GenericErrorKind> {
        let value = match &mut self.value {
            Some(value) => value,
            empty => {
                let made = caught(&mut self.make).and_then(|made| made);
                empty.insert(made.map_err(GenericErrorKind::Unavailable)?)
            }
        };
        caught(|| call(value)).map_err(|text| {
            // It may be inconsistent.
            let broken = self.value.take();
            let _ = caught(|| drop(broken));
            GenericErrorKind::Panicked(text)
        })
    }
}

/// An object of type `T` on its own thread, whose calls are asynchronous for sessions.
///
/// A call is a closure that gets the object, and its result comes as an event. So nothing of the kernel waits while the object blocks. Calls
/// are made one at a time, in their order. The object is made on its thread and stays there, so it need not be `Send`. A closure may capture
/// a [`KernelHandle`](poe::KernelHandle) and post events while it works.
///
/// A panic in a call ends the object: the function that makes it runs again before the next call. If that fails, the call ends with
/// [`GenericError::is_unavailable`].
///
/// After [`SHUTDOWN`](crate::SHUTDOWN) no call is taken; those that were are still made, and then the thread ends, and the session. The thread keeps
/// neither the kernel nor the process running.
///
/// Virtual time does not wait for the thread: test with a real kernel, or with the object inside of a session.
///
/// ```
/// use poe::{Event, Kernel, Session, event::START};
/// use poe_tools::{Generic, GenericError};
/// use std::collections::HashMap;
/// const FOUND: Event<Result<Option<u32>, GenericError>> = Event::new("found");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), poe::Error> {
/// let kernel = Kernel::new();
/// // Think of a database without an asynchronous interface.
/// let ages = Generic::builder(|| Ok::<_, std::io::Error>(HashMap::from([("Ann", 30)]))).start(&kernel)?;
/// Session::builder(())
///     .on(START, move |cx, ()| -> poe::HandlerResult {
///         ages.call(cx, |ages| ages.get("Ann").copied(), FOUND)?;
///         Ok(())
///     })
///     .on(FOUND, |_, age| assert_eq!(age, Ok(Some(30))))
///     .create(&kernel)?;
/// kernel.run().await
/// # }
/// ```
#[doc(alias = "POE::Component::Generic")]
pub struct Generic<T> {
    session: SessionId,
    line: Rc<Line<T>>,
}

impl<T> Clone for Generic<T> {
    fn clone(&self) -> Self {
        Generic {
            session: self.session,
            line: self.line.clone(),
        }
    }
}

/// The way to the thread.
struct Line<T> {
    calls: RefCell<Option<mpsc::Sender<Call<T>>>>,
    /// Calls that have not been made.
    waiting: Arc<AtomicUsize>,
    capacity: usize,
    /// The end of the thread, for a shutdown.
    ended: RefCell<Option<oneshot::Receiver<()>>>,
}

impl<T: 'static> Generic<T> {
    /// Starts building one with the function that makes the object, on its thread.
    ///
    /// It runs at the start, and again after a panic or its own failure, before the next call.
    pub fn builder<E: fmt::Display>(mut make: impl FnMut() -> Result<T, E> + Send + 'static) -> GenericBuilder<T> {
        GenericBuilder {
            make: Box::new(move || make().map_err(|error| error.to_string())),
            alias: None,
            name: "poe-generic".to_owned(),
            capacity: 1024,
            stack_size: None,
        }
    }

    /// Makes a call. Its result comes as the event `done` to the running session, which is kept alive until then.
    ///
    /// If the session stops or [cancels](KernelRef::cancel) the task, the result is dropped, and a call that has not begun is not made.
    ///
    /// # Errors
    /// Too many calls wait, or the component was shut down. The error gives the closure back.
    #[track_caller]
    pub fn call<R: Send + 'static, F: FnOnce(&mut T) -> R + Send + 'static>(
        &self,
        cx: &KernelRef<'_>,
        call: F,
        done: impl Posts<Result<R, GenericError>>,
    ) -> Result<TaskId, GenericRefused<F>> {
        let (line, calls) = (&self.line, self.line.calls.borrow());
        let Some(calls) = &*calls else {
            let why = Refusal::Closed;
            return Err(GenericRefused { call, why });
        };
        if line.waiting.load(Ordering::Relaxed) >= line.capacity {
            let why = Refusal::Full(line.capacity);
            return Err(GenericRefused { call, why });
        }
        let (sender, result) = oneshot::channel();
        let waiting = line.waiting.clone();
        waiting.fetch_add(1, Ordering::Relaxed);
        let sent = calls.send(Box::new(move |object| {
            waiting.fetch_sub(1, Ordering::Relaxed);
            if !sender.is_closed() {
                // The caller may have gone while the call was made.
                let _ = sender.send(object.run(call));
            }
        }));
        // The thread lives as long as the sender; the system may have ended it otherwise, and then the result's sender is dropped.
        drop(sent);
        let waits = async move {
            match result.await {
                Ok(result) => result.map_err(GenericError),
                Err(_) => Err(GenericError::ended("the object's thread has ended")),
            }
        };
        Ok(cx.spawn(waits, done))
    }

    /// Returns how many calls have not begun.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.line.waiting.load(Ordering::Relaxed)
    }

    /// Takes no further call, makes those that wait, and ends; with an event ([`SHUTDOWN`](crate::SHUTDOWN)).
    #[track_caller]
    pub fn shutdown(&self, cx: &KernelRef<'_>) {
        // It may have ended.
        let _ = cx.post(self.session, crate::SHUTDOWN, ());
    }

    /// Returns its session.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }
}

impl<T> fmt::Debug for Generic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generic")
            .field("session", &self.session)
            .field("waiting", &self.line.waiting.load(Ordering::Relaxed))
            .field("is_closed", &self.line.calls.borrow().is_none())
            .finish()
    }
}

/// Configures a [`Generic`].
///
/// | setting | default |
/// |---|---|
/// | [`capacity`](Self::capacity) | 1024 calls that wait |
/// | [`alias`](Self::alias) | one that is made of the session's number |
/// | [`thread_name`](Self::thread_name) | `poe-generic` |
/// | [`stack_size`](Self::stack_size) | that of the standard library |
#[must_use = "nothing happens until `start` is called"]
pub struct GenericBuilder<T> {
    make: Box<Make<T>>,
    alias: Option<String>,
    name: String,
    capacity: usize,
    stack_size: Option<usize>,
}

impl<T: 'static> GenericBuilder<T> {
    /// Sets the alias of the component's session.
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    /// Sets how many calls may wait for the object. More are refused.
    pub fn capacity(mut self, calls: usize) -> Self {
        self.capacity = calls;
        self
    }

    /// Sets the thread's name, for debuggers.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the size of the thread's stack in bytes.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts the thread and the component's session, below the kernel.
    ///
    /// # Errors
    /// The system refuses to start a thread; the alias is taken; a handler is running (use [`cx.start(builder)`](poe::Context::start)); the
    /// kernel is shutting down.
    #[track_caller]
    pub fn start(self, kernel: &Kernel) -> Result<Generic<T>, Error> {
        self.start_by(&mut { kernel })
    }
}

impl<T: 'static> Start for GenericBuilder<T> {
    type Started = Generic<T>;

    #[track_caller]
    fn start_by(self, caller: &mut impl Caller) -> Result<Generic<T>, Error> {
        let (sender, calls) = mpsc::channel::<Call<T>>();
        let (end, ended) = oneshot::channel();
        let mut thread = std::thread::Builder::new().name(self.name);
        if let Some(bytes) = self.stack_size {
            thread = thread.stack_size(bytes);
        }
        let make = self.make;
        let work = move || {
            let mut object = Object { value: None, make };
            // The first call that needs the object reports a failure.
            let _ = object.run(|_| ());
            calls.into_iter().for_each(|call| call(&mut object));
            let _ = caught(|| drop(object));
            // Nobody waits if the session was stopped.
            let _ = end.send(());
        };
        let spawned = thread.spawn(work);
        spawned.map_err(|error| Error::from_io("start the thread of a Generic", error))?;
        let line = Rc::new(Line {
            calls: RefCell::new(Some(sender)),
            waiting: Arc::default(),
            capacity: self.capacity,
            ended: RefCell::new(Some(ended)),
        });
        let alias = self.alias;
        let session = Session::builder(line.clone())
            .on_failure(OnFailure::StopSession)
            .on(START, move |cx, ()| life::begin(cx, alias.as_deref(), "generic"))
            .on(ENDED, |_, _| ())
            .on(STOP, |cx, ()| drop(cx.heap.calls.take()));
        let session = life::ends(session, |cx| {
            drop(cx.heap.calls.take());
            // The session lives until the thread has ended, so that its successor does not overlap.
            if let Some(ended) = cx.heap.ended.take() {
                cx.spawn(ended, ENDED);
            }
            life::end(cx);
        });
        // Without a session the thread ends at once, with the sender in `line`.
        let session = caller.create(session)?;
        Ok(Generic { session, line })
    }
}

impl<T> fmt::Debug for GenericBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenericBuilder")
            .field("alias", &self.alias)
            .field("thread_name", &self.name)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

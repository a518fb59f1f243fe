//! A domain-specific API on top of this crate: stages and requests as values, in the spirit of POE::Stage and Sprocket.
//!
//! `cargo run --example stages` makes breakfast. The program below ("The program") has no sessions, events or kernels: a stage takes requests and replies to
//! them, perhaps after it has asked other stages. The layer that provides this ("The layer") is a hundred lines. It does not lock the program in: a stage is
//! a session, so sessions, timers and wheels work beside it, and [`Stage::event`] is what they post.

use poe::event::START;
use poe::{Context, Error, Event, Kernel, Session, SessionId};
use std::marker::PhantomData;
use std::time::Duration;
use tokio::sync::oneshot;

// The layer.

/// All stages of a program.
pub struct App {
    kernel: Kernel,
}

/// A stage: takes requests of type `Q` and replies with `R`.
pub struct Stage<Q, R> {
    session: SessionId,
    types: PhantomData<fn(Q) -> R>,
}

impl<Q, R> Clone for Stage<Q, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q, R> Copy for Stage<Q, R> {}

/// A request on its way to a stage, with the place for its reply.
pub struct Envelope<Q, R>(Q, oneshot::Sender<R>);

/// A request while a stage works on it. Dropping it gives it up, and the asker is told.
pub struct Request<'a, 'k, R> {
    cx: &'a mut Context<'k, ()>,
    reply: oneshot::Sender<R>,
}

/// The session, the event and its argument, and the receiver of the reply.
pub type Posted<Q, R> = (SessionId, Event<Envelope<Q, R>>, Envelope<Q, R>, oneshot::Receiver<R>);

/// The stage has given a request up.
#[derive(Debug, PartialEq, Eq)]
pub struct GivenUp;

impl App {
    /// Makes one on a kernel, which may have sessions as well.
    pub fn new(kernel: Kernel) -> Self {
        App { kernel }
    }

    /// Adds a stage. `work` gets each request, and what was asked for.
    pub fn stage<Q: 'static, R: 'static>(
        &self,
        name: &'static str,
        work: impl Fn(Request<'_, '_, R>, Q) + 'static,
    ) -> Result<Stage<Q, R>, Error> {
        let session = Session::builder(())
            .on(START, move |cx, ()| cx.alias_set(name))
            .on(Stage::<Q, R>::EVENT, move |cx, Envelope(question, reply)| {
                work(Request { cx, reply }, question)
            });
        let session = session.create(&self.kernel)?;
        let types = PhantomData;
        Ok(Stage { session, types })
    }

    /// Asks a stage, and runs everything until it has replied.
    pub async fn ask<Q: 'static, R: 'static>(
        &self,
        stage: Stage<Q, R>,
        question: Q,
    ) -> Result<Result<R, GivenUp>, Error> {
        let (sender, reply) = oneshot::channel();
        self.kernel
            .post(stage.session, Stage::<Q, R>::EVENT, Envelope(question, sender))?;
        let mut replied = Err(GivenUp);
        let waiting = async { replied = reply.await.map_err(|_| GivenUp) };
        self.kernel.serve_until(waiting, Duration::from_secs(1)).await?;
        Ok(replied)
    }
}

impl<Q: 'static, R: 'static> Stage<Q, R> {
    const EVENT: Event<Envelope<Q, R>> = Event::new("request");

    /// What a session posts to the stage's session to ask it, with the receiver of the reply.
    pub fn event(self, question: Q) -> Posted<Q, R> {
        let (sender, reply) = oneshot::channel();
        (self.session, Self::EVENT, Envelope(question, sender), reply)
    }
}

impl<R: 'static> Request<'_, '_, R> {
    /// Sends the reply.
    pub fn reply(self, reply: R) {
        // The asker may have given up.
        let _ = self.reply.send(reply);
    }

    /// Whether anyone still wants the reply.
    pub fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    /// Goes on with the request after a while.
    pub fn after(self, time: Duration, then: impl FnOnce(Request<'_, '_, R>) + 'static) {
        let reply = self.reply;
        self.cx
            .spawn_then(tokio::time::sleep(time), move |cx, ()| then(Request { cx, reply }));
    }

    /// Asks another stage, and goes on with its reply. If that gives up, so does this one.
    pub fn ask<Q: 'static, S: 'static>(
        self,
        stage: Stage<Q, S>,
        question: Q,
        then: impl FnOnce(Request<'_, '_, R>, S) + 'static,
    ) {
        let (session, event, envelope, other) = stage.event(question);
        let mut reply = self.reply;
        if self.cx.post(session, event, envelope).is_err() {
            return;
        }
        // A request that nobody wants any more takes those along that it has made.
        let both = async move {
            tokio::select! {
                replied = other => replied.ok().map(|replied| (reply, replied)),
                () = reply.closed() => None,
            }
        };
        self.cx.spawn_then(both, move |cx, both| {
            if let Some((reply, replied)) = both {
                then(Request { cx, reply }, replied);
            }
        });
    }
}

// The program.

/// What a guest wants.
#[derive(Clone, Copy)]
pub struct Order {
    /// How many slices of toast.
    pub slices: u32,
    /// Whether there is sugar in the coffee.
    pub sugar: bool,
}

/// Opens the kitchen, with the time that toast takes; `say` gets a line for each thing that happens.
pub fn kitchen(
    app: &App,
    minute: Duration,
    say: impl Fn(String) + Clone + 'static,
) -> Result<Stage<Order, String>, Error> {
    let says = say.clone();
    let toaster = app.stage("toaster", move |request: Request<'_, '_, String>, slices: u32| {
        if slices > 4 {
            return says(format!("{slices} slices do not fit"));
        }
        let says = says.clone();
        request.after(minute, move |request| {
            says(format!(
                "the toaster pops, {}",
                if request.is_wanted() {
                    "somebody waits"
                } else {
                    "nobody waits"
                }
            ));
            request.reply(format!("{slices} slices of toast"));
        });
    })?;
    let cups = app.stage(
        "coffee machine",
        move |request: Request<'_, '_, String>, sugar: bool| {
            let sugar = if sugar { "with" } else { "without" };
            request.after(minute / 2, move |request| request.reply(format!("a cup {sugar} sugar")));
        },
    )?;
    app.stage("table", move |request: Request<'_, '_, String>, order: Order| {
        say(format!("an order of {} slices", order.slices));
        request.ask(toaster, order.slices, move |request, toast| {
            request.ask(cups, order.sugar, move |request, cup| {
                request.reply(format!("{toast} and {cup}"))
            });
        });
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = App::new(Kernel::new());
    let table = kitchen(&app, Duration::from_millis(500), |line| println!("  {line}"))?;
    for slices in [2, 5] {
        match app.ask(table, Order { slices, sugar: true }).await? {
            Ok(breakfast) => println!("{breakfast}"),
            Err(GivenUp) => println!("no breakfast"),
        }
    }
    Ok(())
}

//! Sessions as objects, in the manner of MooseX::POE: a struct is a session, its methods are handlers, roles add to it.
//!
//! `cargo run --example classes` counts sheep. A class lists its events once; a role is a set of handlers for every struct that has what the role needs.
//! The whole layer is the trait [`Class`].

use poe::event::START;
use poe::{Context, Error, Event, Kernel, Reply, Session, SessionId, States};
use std::time::Duration;

// The layer.

/// A struct that is a session.
pub trait Class: Sized + 'static {
    /// Its events and methods.
    fn methods() -> States<Self>;

    /// Makes a session of it.
    fn spawn(self, kernel: &Kernel) -> Result<SessionId, Error> {
        Session::builder(self).inline_states(&Self::methods()).create(kernel)
    }
}

/// What methods get: `me.heap` is the object, and `me` has `post`, `yield_to`, `delay` and all the rest.
pub type Me<'a, 'k, C> = &'a mut Context<'k, C>;

// A role, as of Moose: for every class that has a list of lines.

const LINES: Event<(), usize> = Event::new("lines");

/// What the role needs of a class.
pub trait HasLog {
    /// The lines.
    fn log(&mut self) -> &mut Vec<String>;
}

/// The role's events, for the class that takes it up.
fn logging<C: Class + HasLog>() -> States<C> {
    States::<C>::new().on(LINES, |me, ()| Reply(me.heap.log().len()))
}

// A class.

const COUNT: Event<u32> = Event::new("count");
const SLEEP: Event<()> = Event::new("sleep");

/// Counts sheep until it falls asleep.
#[derive(Default)]
pub struct Shepherd {
    /// The alias of its session.
    pub name: String,
    /// How many sheep it counts.
    pub tired_after: u32,
    /// What it has counted.
    pub log: Vec<String>,
}

impl HasLog for Shepherd {
    fn log(&mut self) -> &mut Vec<String> {
        &mut self.log
    }
}

impl Class for Shepherd {
    fn methods() -> States<Self> {
        States::new()
            .on(START, Self::start)
            .on(COUNT, Self::count)
            .on(SLEEP, Self::sleep)
            .with(&logging())
    }
}

impl Shepherd {
    fn start(me: Me<'_, '_, Self>, (): ()) -> poe::HandlerResult {
        let name = me.heap.name.clone();
        me.alias_set(&name)?;
        me.yield_to(COUNT, 1);
        Ok(())
    }

    fn count(me: Me<'_, '_, Self>, sheep: u32) {
        me.heap.log.push(format!("{sheep} sheep"));
        if sheep < me.heap.tired_after {
            me.delay(COUNT, Duration::from_secs(1), sheep + 1);
        } else {
            me.yield_to(SLEEP, ());
        }
    }

    fn sleep(me: Me<'_, '_, Self>, (): ()) -> poe::HandlerResult {
        // A call of its own method, of the role's.
        let lines = me.call(me.session_id(), LINES, ())?;
        println!("{} sleeps after {lines} lines", me.heap.name);
        me.heap.log.push("zzz".to_owned());
        let name = me.heap.name.clone();
        Ok(me.alias_remove(&name)?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let kernel = Kernel::new();
    for (name, tired_after) in [("Ann", 3), ("Bob", 2)] {
        let shepherd = Shepherd {
            name: name.to_owned(),
            tired_after,
            ..Shepherd::default()
        };
        shepherd.spawn(&kernel)?;
    }
    kernel.run().await
}

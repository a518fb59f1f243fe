//! A program that is built with `panic = "abort"`: errors of handlers are events as ever, a panic ends the process.
//!
//! `errors` plays the roads of errors and must print what `.ci/panic-abort` expects; any other word names a place in which
//! to panic, after which nothing more may be printed.

use poe::event::{CHILD, START, STOP};
use poe::{Event, Failure, HandlerResult, Kernel, Session, Signal};

const FAIL: Event<()> = Event::new("fail");
const GREET: Event<String> = Event::new("greet");

#[cfg(not(panic = "abort"))]
compile_error!("this program is about panic = \"abort\"");

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        match &*what {
            "errors" => errors().await,
            place => panics(place).await,
        }
    });
}

/// A session that says what happens to it and heeds DIE if it is told to.
fn session(name: &'static str, heeds_die: bool) -> poe::SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| {
            if heeds_die {
                cx.sig("DIE", "died");
            }
            cx.alias_set(name)
        })
        .on("died", move |cx, signal: Signal| {
            if let Some(die) = signal.die() {
                println!("{name} hears that {} failed: {}", die.event, die.failure);
            }
            cx.sig_handled();
        })
        .on(FAIL, |_, ()| -> HandlerResult { Err(Failure::msg("on purpose")) })
        .on(GREET, move |_, whom| println!("{name} greets {whom}"))
        .on("end", move |cx, ()| cx.alias_remove(name))
        .on(CHILD, |_, _| ())
        .on(STOP, move |_, ()| println!("{name} stops"))
}

async fn errors() {
    let kernel = Kernel::new();
    println!("== handled");
    let id = session("A", true).create(&kernel).expect("a session");
    kernel.post(id, FAIL, ()).expect("it is alive");
    kernel.post(id, "greet", 42_u8).expect("it is alive");
    kernel.post(id, GREET, String::from("the world")).expect("it is alive");
    // The DIE signals come behind what was posted before.
    kernel.post(id, "again", ()).expect("it is alive");
    kernel.call::<_, ()>(id, FAIL, ()).expect_err("it fails");
    ended(kernel.run().await);

    println!("== not handled");
    let id = session("B", false).create(&kernel).expect("a session");
    session("C", false).create(&kernel).expect("a session");
    kernel.post(id, FAIL, ()).expect("it is alive");
    ended(kernel.run().await);

    println!("== in _stop");
    Session::builder(())
        .on(START, |_, ()| ())
        .on(STOP, |_, ()| -> HandlerResult { Err(Failure::msg("in _stop")) })
        .create(&kernel)
        .expect("a session");
    ended(kernel.run().await);

    println!("== and on");
    let id = session("D", false).create(&kernel).expect("a session");
    kernel.post(id, GREET, String::from("a new run")).expect("it is alive");
    kernel.post(id, "end", ()).expect("it is alive");
    ended(kernel.run().await);
}

fn ended(result: Result<(), poe::Error>) {
    match result {
        Ok(()) => println!("the run ended"),
        Err(error) => println!("the run failed: {error}"),
    }
}

/// Says when it is dropped.
struct Loud;

impl Drop for Loud {
    fn drop(&mut self) {
        println!("dropped");
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

async fn panics(place: &str) {
    let kernel = Kernel::new();
    let witness = session("witness", true).create(&kernel).expect("a session");
    let place = place.to_owned();
    println!("before");
    Session::builder(Loud)
        .on(START, move |cx, ()| {
            match &*place {
                "handler" => panic!("on purpose"),
                "future" => drop(cx.spawn(async { panic!("on purpose") }, "never")),
                "drop" => cx.yield_to("unheard", PanicsWhenDropped),
                other => unreachable!("no place is called {other}"),
            }
            cx.post(witness, "end", ()).expect("it is alive");
        })
        .on("never", |_, (): ()| ())
        .create(&kernel)
        .expect("a session");
    ended(kernel.run().await);
}

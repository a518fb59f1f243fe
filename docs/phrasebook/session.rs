use poe::{Event, Kernel, Package, Session, States, event::{DEFAULT, START}};
use std::rc::Rc;

const GREET: Event<&str> = Event::new("greet");
const PART: Event<&str> = Event::new("part");

struct Greeter {
    word: &'static str,
}

/// Handlers for any session.
struct Partings;

impl<H: 'static> Package<H> for Partings {
    fn states(&self) -> States<H> {
        States::<H>::new().on(PART, |_, name| println!("farewell, {name}"))
    }
}

struct Heap {
    other: &'static str,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    let greeter = Rc::new(Greeter { word: "hello" });
    Session::builder(Heap { other: "bob" })
        .object_states(&greeter, |states| {
            states.on(GREET, |greeter, _, name| println!("{}, {name}", greeter.word))
        })
        .package_states(&Partings)
        .on(START, |cx, name: &'static str| {
            cx.yield_to(GREET, name);
            cx.yield_to(PART, cx.heap.other);
            cx.yield_to("unknown", 42);
        })
        .on(DEFAULT, |_, unhandled| {
            if !unhandled.event.as_str().starts_with('_') {
                let n = unhandled.arg.downcast_ref::<i32>().unwrap();
                println!("nobody handles {} with {n}", unhandled.event);
            }
        })
        .args("ann")
        .create(&kernel)?;
    kernel.run().await
}

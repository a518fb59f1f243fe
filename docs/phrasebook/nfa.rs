use poe::{Event, Kernel, Nfa, event::LEAVE};

const ENTER: Event<()> = Event::new("enter");
const PUSH: Event<()> = Event::new("push");

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Light {
    Off,
    On,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    let light = Nfa::builder(0)
        .state(Light::Off, |state| {
            state.on(ENTER, |_, ()| println!("off")).on(PUSH, |cx, ()| {
                *cx.runstate += 1;
                cx.goto_state(Light::On, ENTER, ())
            })
        })
        .state(Light::On, |state| {
            state
                .on(ENTER, |cx, ()| {
                    println!("on after {}", *cx.runstate);
                    cx.yield_to(PUSH, ());
                })
                .on(PUSH, |cx, ()| cx.goto_state(Light::Off, ENTER, ()))
                .on(LEAVE, |_, ()| println!("leaving on"))
        })
        .enter(Light::Off, ENTER, ()).start(&kernel)?.id();
    kernel.post(light, PUSH, ()).expect("the light is there");
    kernel.run().await
}

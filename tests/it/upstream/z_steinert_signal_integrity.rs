//! `POE::Test::Loops::z_steinert_signal_integrity`

use crate::laws_kit::*;
use poe::{SessionBuilder, Signal};

fn session(name: &'static str, nested: Option<&'static str>) -> SessionBuilder<()> {
    life(name, move |cx| {
        if let Some(nested) = nested {
            cx.create(session(nested, None)).unwrap();
        }
        cx.sig("MOO", "got_signal");
        cx.delay("timed_out", ms(2000), ());
    })
    .on("got_signal", move |cx, signal: Signal| {
        assert_eq!(signal.name(), "MOO");
        say(format!("{name} {}", signal.arg::<i32>().unwrap()));
        cx.delay("timed_out", ms(250), ());
    })
    .on("timed_out", |cx, ()| cx.sig_ignore("MOO"))
}

#[tokio::test(start_paused = true)]
async fn nested_sessions_each_get_the_signals_argument_whole() {
    let kernel = kernel();
    session("outer", Some("inner")).create(&kernel).unwrap();
    kernel.signal(kernel.id(), "MOO", 99).unwrap();
    said();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "inner 99",
            "outer 99",
            "inner stop",
            "outer lose inner (inner stopped)",
            "outer stop"
        ]
    );
}

//! `t/90_regression/rt14444-arg1.t`

use crate::laws_kit::*;
use poe::event::{DEFAULT, START};
use poe::{HandlerResult, Session};

#[tokio::test(start_paused = true)]
async fn default_may_pass_on_the_argument_itself_and_a_copy_of_it() {
    const GIVEN: [&str; 3] = ["some", "random", "args"];
    let kernel = kernel();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("some_random_state", GIVEN.to_vec()))
        .on(DEFAULT, |cx, unhandled| -> HandlerResult {
            if unhandled.event == "_stop" {
                return Ok(());
            }
            say(format!(
                "{} {:?}",
                unhandled.event,
                unhandled.arg.downcast_ref::<Vec<&str>>().unwrap()
            ));
            let copy = unhandled.arg.downcast_ref::<Vec<&'static str>>().unwrap().clone();
            cx.yield_to("check_ref", unhandled.arg);
            cx.yield_to("check_copy", copy);
            Ok(())
        })
        .on("check_ref", |_, args: Vec<&'static str>| assert_eq!(args, GIVEN))
        .on("check_copy", |_, args: Vec<&'static str>| {
            assert_eq!(args, GIVEN);
            say("both arrived");
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [r#"some_random_state ["some", "random", "args"]"#, "both arrived"]
    );
}

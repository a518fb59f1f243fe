//! `t/10_units/03_base/16_nfa_usage.t`: what a machine cannot be made of. Perl's errors about lists, hashes and odd
//! numbers of arguments are types here, and a kernel is an argument.

use crate::laws_kit::*;
use poe::event::SILENT;
use poe::{HandlerResult, Nfa, nfa::NfaBuilder};

fn basic() -> NfaBuilder<&'static str, ()> {
    Nfa::builder(()).state("initial", |s| s.on("start", |_, ()| say("started")))
}

#[tokio::test(start_paused = true)]
async fn a_machine_needs_states() {
    let kernel = kernel();
    let refused = Nfa::builder::<&str, ()>(()).start(&kernel).unwrap_err();
    assert!(refused.to_string().contains("has no states"), "{refused}");
    assert!(refused.to_string().contains(file!()), "{refused}");
    let refused = Nfa::builder::<&str, ()>(())
        .enter("initial", "start", ())
        .start(&kernel);
    assert!(refused.unwrap_err().to_string().contains("has no state \"initial\""));
    assert_eq!(kernel.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_state_and_its_entry_event_must_be_there() {
    let kernel = kernel();
    let refused = basic().enter("other", "start", ()).start(&kernel).unwrap_err();
    assert!(refused.to_string().contains("has no state \"other\""), "{refused}");
    let refused = basic().enter("initial", "enter", ()).start(&kernel).unwrap_err();
    let wanted = "cannot enter \"initial\" by `enter`, which has no handler there";
    assert!(refused.to_string().contains(wanted), "{refused}");
    assert_eq!(kernel.session_count(), 0);
    assert_eq!(said(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_most_basic_machine() {
    let kernel = kernel();
    let machine = basic().start(&kernel).unwrap();
    assert!(kernel.is_alive(machine.id()));
    assert_eq!(machine.current_state(), None);
    basic().enter("initial", "start", ()).start(&kernel).unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["started"]);
}

#[tokio::test(start_paused = true)]
async fn a_runstate_is_of_any_type() {
    let kernel = kernel();
    let machine = Nfa::builder(vec![1_u8])
        .state("initial", |s| {
            s.on("start", |cx, n: u8| -> HandlerResult {
                cx.runstate.push(n);
                Ok(())
            })
        })
        .start(&kernel)
        .unwrap();
    machine.goto_state(&kernel, "initial", "start", 2_u8).unwrap();
    assert_eq!(machine.with_runstate(|list| list.clone()), Some(vec![1, 2]));
    machine.goto_state(&kernel, "initial", SILENT, ()).unwrap();
    run(&kernel).await;
}

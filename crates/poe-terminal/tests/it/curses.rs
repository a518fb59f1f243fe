//! POE::Wheel::Curses on a pseudo terminal. POE's own test of it is empty.

use crate::terminal::on_terminal;
use crossterm::event::{Event as Told, KeyCode, KeyModifiers, MouseEventKind};
use poe::event::START;
use poe::{Event, Kernel, Session};
use poe_terminal::{Curses, CursesInput};
use std::time::Duration;

const INPUT: Event<CursesInput> = Event::new("input");

fn say(what: impl std::fmt::Display) {
    eprint!("<{what}>");
}

#[tokio::test]
async fn cu1_keys_the_mouse_and_sizes_come_as_they_happen() {
    on_terminal!(|terminal| {
        // The alternate screen, and the mouse.
        terminal.wait_for("\x1b[?1049h");
        terminal.wait_for("\x1b[?1000h");
        terminal.wait_for("<ready>");
        terminal.press("a\x1b[A\x03\u{263a}");
        terminal.wait_for("<a><Up><C-c><\u{263a}>");
        terminal.press("\x1b[<0;10;5M");
        terminal.wait_for("<mouse 9,4>");
        terminal.resize(30, 100);
        terminal.wait_for("<100x30>");
        terminal.press("q");
        // Both are given back.
        terminal.wait_for("\x1b[?1000l");
        terminal.wait_for("\x1b[?1049l");
        terminal.wait_for("<restored>");
    });
    let kernel = Kernel::new();
    Session::builder(None::<Curses>)
        .on(START, |cx, ()| -> poe::HandlerResult {
            *cx.heap = Some(Curses::builder().input(INPUT).mouse(true).start(cx)?);
            assert!(crossterm::terminal::is_raw_mode_enabled()?);
            assert!(Curses::builder().input(INPUT).start(cx).is_err());
            say("ready");
            Ok(())
        })
        .on(INPUT, |cx, input| match input.event {
            Told::Key(key) if key.code == KeyCode::Char('q') => *cx.heap = None,
            Told::Key(key) if key.modifiers == KeyModifiers::CONTROL => say(format_args!("C-{}", key.code)),
            Told::Key(key) => say(key.code),
            Told::Mouse(mouse) if matches!(mouse.kind, MouseEventKind::Down(_)) => {
                say(format_args!("mouse {},{}", mouse.column, mouse.row));
            }
            Told::Resize(columns, rows) => say(format_args!("{columns}x{rows}")),
            other => say(format_args!("{other:?}")),
        })
        .create(&kernel)
        .unwrap();
    tokio::time::timeout(Duration::from_secs(30), kernel.run())
        .await
        .unwrap()
        .unwrap();
    assert!(!crossterm::terminal::is_raw_mode_enabled().unwrap());
    say("restored");
}

#[tokio::test]
async fn cu2_a_failing_handler_leaves_the_terminal_as_it_was() {
    on_terminal!(|terminal| {
        terminal.wait_for("\x1b[?1049h");
        terminal.press("x");
        terminal.wait_for("\x1b[?1049l");
        terminal.wait_for("<restored>");
    });
    let kernel = Kernel::new();
    Session::builder(None::<Curses>)
        .on(START, |cx, ()| -> poe::HandlerResult {
            *cx.heap = Some(Curses::builder().input(INPUT).start(cx)?);
            Ok(())
        })
        .on(INPUT, |_, _| panic!("on a key"))
        .create(&kernel)
        .unwrap();
    assert!(kernel.run().await.is_err());
    assert!(!crossterm::terminal::is_raw_mode_enabled().unwrap());
    say("restored");
}

#[tokio::test]
async fn without_an_input_event_it_says_what_to_add() {
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| {
            let refused = Curses::builder().start(cx).unwrap_err();
            assert!(refused.to_string().contains(".input(EVENT)"));
        })
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

//! `t/10_units/03_base/11_assert_usage.t`: what may only be done inside a session, and names, times, handles and tags that
//! are missing. Nearly all of it cannot be written down here: the methods are those of a handler's context, and an
//! argument is there. (`tests/ui` shows the compiler's answers.) What is left for run time is a session that is gone
//! while its own handler still runs, and aliases.

use crate::laws_kit::*;
use crate::peek_kit::Peek as _;
use poe::event::START;
use poe::{HandlerResult, Signal};

/// After `stop` no session runs, as outside of them all: what would have taken something for it is refused or takes
/// nothing.
#[tokio::test(start_paused = true)]
async fn without_a_running_session_nothing_can_be_taken() {
    let kernel = kernel();
    life("S", |cx| cx.alias_set("S").unwrap())
        .on("go", |cx, ()| {
            let me = cx.session_id();
            cx.stop_all();
            assert!(cx.active_session().is_kernel());

            let alarm = cx.alarm_set("timer", epoch(1), ());
            assert!(cx.alarm_adjust(alarm, 1.0).unwrap_err().is_no_such_timer());
            assert!(cx.alarm_remove(alarm).unwrap_err().is_no_such_timer());
            let delay = cx.delay_set("timer", ms(1), ());
            assert!(cx.delay_adjust(delay, ms(1)).unwrap_err().is_no_such_timer());
            cx.alarm("timer", epoch(1), ());
            cx.alarm_set("timer", epoch(1), ());
            cx.delay("timer", ms(1), ());
            cx.delay_set("timer", ms(1), ());
            assert_eq!(cx.alarm_clear("timer"), 0);
            assert!(cx.alarm_remove_all().is_empty());

            assert!(cx.detach_myself().unwrap_err().is_no_such_session());
            assert!(cx.detach_child(me).unwrap_err().is_no_such_session());
            assert!(cx.alias_set("again").unwrap_err().is_no_such_session());
            assert!(cx.alias_remove("S").unwrap_err().is_no_such_session());
            assert!(cx.alias_resolve("S").unwrap_err().is_no_such_session());
            assert!(cx.refcount_increment(me, "tag").unwrap_err().is_no_such_session());
            assert!(cx.refcount_decrement(me, "tag").unwrap_err().is_no_such_session());
            assert!(cx.post(me, "timer", ()).unwrap_err().is_no_such_session());
            assert!(cx.call::<(), ()>(me, "timer", ()).unwrap_err().is_no_such_session());
            assert!(cx.signal(me, "TERM", ()).unwrap_err().is_no_such_session());

            cx.yield_to("timer", ());
            cx.sig("TERM", "signal");
            cx.sig_ignore("TERM");
            cx.state("timer", |_, ()| say("a handler of nobody"));
            assert_eq!(cx.event_count(), 0);
            say("asked");
        })
        .on("timer", |_, ()| say("a timer of nobody"))
        .on("signal", |_, _: Signal| say("a signal of nobody"))
        .on(START, |cx, ()| -> HandlerResult {
            cx.alias_set("S")?;
            go(cx);
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["S stop", "asked"]);
}

#[cfg(unix)]
#[tokio::test]
async fn without_a_running_session_no_descriptor_is_watched() {
    use poe::{
        Event, Kernel, Session,
        unix::{SelectMode, Selected, Watched},
    };
    const READY: Event<Selected> = Event::new("ready");
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("go", ()))
        .on("go", |cx, ()| -> HandlerResult {
            let (reader, _writer) = std::io::pipe()?;
            let file = Watched::new(&reader)?;
            cx.stop_all();
            // There is nobody to be told, so nothing is watched.
            for refused in [
                cx.select(&file, SelectMode::Read, READY, ()),
                cx.select(&file, SelectMode::Write, READY, ()),
                cx.select(&file, SelectMode::Expedite, READY, ()),
            ] {
                let refused = refused.unwrap_err();
                assert!(refused.is_no_such_session(), "{refused}");
                assert!(refused.to_string().ends_with("(it was stopped)"), "{refused}");
            }
            assert_eq!(cx.snapshot().handle_count(), 0);
            assert!(!cx.select_pause(&file, SelectMode::Read) && !cx.select_resume(&file, SelectMode::Read));
            assert!(!cx.select_pause(&file, SelectMode::Write) && !cx.select_resume(&file, SelectMode::Write));
            say("asked");
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["asked"]);
}

#[cfg(unix)]
#[tokio::test]
async fn without_a_running_session_no_wheel_starts() {
    use poe::filter::Line;
    use poe::wheel::{FollowTail, Input, ReadWrite, Run};
    use poe::{Event, Kernel, Session};
    const LINE: Event<Input<String>> = Event::new("line");
    let kernel = Kernel::new();
    Session::builder(())
        .on(START, |cx, ()| cx.yield_to("go", ()))
        .on("go", |cx, ()| -> HandlerResult {
            let wheel = |cx: &mut crate::laws_kit::Cx<'_>| {
                let (_peer, io) = tokio::io::duplex(64);
                ReadWrite::builder(io).input(Line::new(), LINE).start(cx)
            };
            let mine = wheel(cx)?;
            cx.stop_all();
            for refused in [
                wheel(cx).map(drop),
                Run::shell("touch /nowhere")
                    .stdout(Line::new(), LINE)
                    .start(cx)
                    .map(drop),
                FollowTail::builder(file!())
                    .input(Line::new(), LINE)
                    .start(cx)
                    .map(drop),
                mine.adopt(cx),
            ] {
                let refused = refused.unwrap_err();
                assert!(refused.is_no_such_session(), "{refused}");
            }
            say("asked");
            Ok(())
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["asked"]);
}

#[tokio::test(start_paused = true)]
async fn an_alias_may_belong_to_another_session_or_to_none() {
    let kernel = kernel();
    life("owner", |cx| cx.alias_set("moo").unwrap())
        .create(&kernel)
        .unwrap();
    life("other", |cx| {
        assert!(cx.alias_set("moo").unwrap_err().is_alias_taken());
        assert!(cx.alias_remove("moo").unwrap_err().is_not_permitted());
        assert!(cx.alias_remove("narf").unwrap_err().is_no_such_alias());
        say("asked");
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said()[0], "asked");
}

#[tokio::test(start_paused = true)]
async fn an_empty_name_is_a_name() {
    let kernel = kernel();
    life("S", |cx| {
        cx.alias_set("").unwrap();
        assert_eq!(cx.alias_resolve("").unwrap(), cx.session_id());
        cx.yield_to("", ());
        cx.delay("", ms(1), ());
        cx.sig("", "signal");
        cx.signal("", "", ()).unwrap();
        assert_eq!(cx.refcount_increment(cx.session_id(), "").unwrap(), 1);
        assert_eq!(cx.refcount_decrement(cx.session_id(), "").unwrap(), 0);
    })
    .on("", |_, ()| say("the event without a name"))
    .on("signal", |_, signal: Signal| {
        say(format!("the signal {:?}", signal.name().as_str()))
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(
        said(),
        [
            "the event without a name",
            "the signal \"\"",
            "the event without a name",
            "S stop"
        ]
    );
}

//! Laws K: file watchers. Pipes and sockets need the real clock: each test has a deadline.

use crate::laws_kit::{life, ms, named, nm, said, say};
use poe::event::{START, STOP};
use poe::testing::assert_no_leaks;
use poe::{
    Event, Kernel, Session,
    inspect::HoldKind,
    unix::{SelectMode, Selected, Watched},
};
use std::cell::Cell;
use std::io::{PipeReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

type Files = Event<Selected>;
const READABLE: Files = Event::new("readable");
const WRITABLE: Files = Event::new("writable");

async fn run(kernel: &Kernel) {
    let run = tokio::time::timeout(std::time::Duration::from_secs(10), kernel.run());
    run.await.expect("it hangs").unwrap();
    assert_no_leaks(kernel);
}

/// A pipe with that in it, and the descriptor to watch.
fn pipe(text: &str) -> (PipeReader, std::io::PipeWriter, Watched) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    let watched = Watched::new(&reader).unwrap();
    (reader, writer, watched)
}

#[tokio::test]
async fn l75_an_unread_descriptor_has_its_event_in_every_slice_ahead_of_the_queue() {
    let kernel = Kernel::builder().budget(1).build();
    let (_reader, _writer, watched) = pipe("x");
    let reads = Cell::new(0);
    life("A", move |cx| {
        cx.yield_to("chain", 1);
        cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap();
    })
    .on(READABLE, move |cx, selected: Selected| {
        assert_eq!(cx.sender(), cx.session_id());
        assert_eq!(cx.caller_state(), None);
        assert_eq!(selected.mode, SelectMode::Read);
        say("readable");
        reads.set(reads.get() + 1);
        if reads.get() == 4 {
            assert!(cx.select_clear(&selected.handle, SelectMode::Read));
        }
    })
    .on("chain", |cx, n: i32| {
        say(n);
        if n < 5 {
            cx.yield_to("chain", n + 1);
        }
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let told = said();
    assert_eq!(
        told[..7],
        ["readable", "1", "readable", "2", "readable", "3", "readable"]
    );
}

#[tokio::test]
async fn l75_a_descriptor_that_was_emptied_is_not_reported_until_there_is_more() {
    let kernel = Kernel::new();
    let (reader, writer, watched) = pipe("one");
    Session::builder((reader, Some(writer)))
        .on(START, move |cx, ()| cx.select(&watched, SelectMode::Read, READABLE, ()))
        .on(READABLE, |cx, selected| {
            let mut bytes = [0; 10];
            let n = cx.heap.0.read(&mut bytes).unwrap();
            say(String::from_utf8_lossy(&bytes[..n]));
            match n {
                0 => assert!(cx.select_clear(&selected.handle, SelectMode::Read)),
                _ => cx.delay("more", ms(5), ()),
            }
        })
        .on("more", |cx, ()| {
            if let Some(mut writer) = cx.heap.1.take() {
                writer.write_all(b"two").unwrap();
            }
        })
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    // The writer is closed then, and the end is readiness to read (law L79).
    assert_eq!(said(), ["one", "two", ""]);
}

#[tokio::test]
async fn l76_a_reader_that_drops_the_writers_watch_suppresses_its_event() {
    let kernel = Kernel::new();
    let (near, mut far) = UnixStream::pair().unwrap();
    far.write_all(b"x").unwrap();
    let watched = Watched::new(&near).unwrap();
    life("A", move |cx| {
        cx.select(&watched, SelectMode::Write, WRITABLE, ()).unwrap();
        cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap();
    })
    .on(READABLE, |cx, selected: Selected| {
        say("readable");
        cx.select_clear(&selected.handle, None);
    })
    .on(WRITABLE, |_, _| say("never"))
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["readable", "A stop"]);
}

#[tokio::test]
async fn l76_a_session_that_is_stopped_by_another_watcher_gets_no_event_more() {
    let kernel = Kernel::new();
    let (_reader, _writer, watched) = pipe("x");
    for name in ["A", "B"] {
        let watched = watched.clone();
        life(name, move |cx| {
            cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap()
        })
        .on(READABLE, move |cx, _| {
            say(name);
            cx.stop_all();
        })
        .create(&kernel)
        .unwrap();
    }
    run(&kernel).await;
    assert_eq!(said(), ["A", "B stop", "A stop"]);
}

#[tokio::test]
async fn l77_each_session_gets_each_readiness_and_one_may_leave_and_join_again() {
    let kernel = Kernel::new();
    let (mut reader, _writer, watched) = pipe("x");
    life("A", {
        let watched = watched.clone();
        move |cx| {
            cx.alias_set("A").unwrap();
            cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap();
        }
    })
    .on(READABLE, |cx, selected: Selected| {
        say("A");
        assert!(cx.select_clear(&selected.handle, SelectMode::Read));
        assert!(!cx.select_clear(&selected.handle, SelectMode::Read));
    })
    .on("again", |cx, watched: Watched| {
        cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap();
        cx.alias_remove("A").unwrap();
    })
    .create(&kernel)
    .unwrap();
    let count = Cell::new(0);
    life("B", move |cx| {
        cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap()
    })
    .on(READABLE, move |cx, selected: Selected| {
        say("B");
        count.set(count.get() + 1);
        match count.get() {
            1 => cx.post("A", "again", selected.handle).unwrap(),
            2 => {}
            _ => assert!(cx.select_clear(&selected.handle, SelectMode::Read)),
        }
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let mut told = said();
    told.retain(|line| line.len() == 1);
    assert_eq!(told.iter().filter(|line| *line == "A").count(), 2);
    assert_eq!(told.iter().filter(|line| *line == "B").count(), 3);
    let mut bytes = [0; 4];
    assert_eq!(reader.read(&mut bytes).unwrap(), 1);
}

#[tokio::test]
async fn l78_a_pause_is_for_all_sessions_and_a_resume_shows_the_backlog() {
    let kernel = Kernel::new();
    let (_reader, _writer, watched) = pipe("x");
    let resumed = Rc::new(Cell::new(false));
    for name in ["A", "B"] {
        let (watched, resumed) = (watched.clone(), resumed.clone());
        life(name, move |cx| {
            cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap()
        })
        .on(READABLE, move |cx, selected: Selected| {
            assert!(resumed.get());
            say(name);
            cx.select_clear(&selected.handle, SelectMode::Read);
        })
        .create(&kernel)
        .unwrap();
    }
    life("C", move |cx| {
        assert!(cx.select_pause(&watched, SelectMode::Read));
        assert!(!cx.select_pause(&watched, SelectMode::Write));
        assert!(!cx.select_resume(&watched, SelectMode::Write));
        cx.delay("resume", ms(10), watched.clone());
    })
    .on("resume", move |cx, watched: Watched| {
        say("resume");
        resumed.set(true);
        assert!(cx.select_resume(&watched, SelectMode::Read));
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    let mut told = said();
    told.retain(|line| !line.ends_with("stop"));
    assert_eq!(told, ["resume", "A", "B"]);
}

#[tokio::test]
async fn l78_selecting_again_resumes() {
    let kernel = Kernel::new();
    let (_reader, _writer, watched) = pipe("x");
    life("A", move |cx| {
        cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap();
        assert!(cx.select_pause(&watched, SelectMode::Read));
        cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap();
    })
    .on(READABLE, |cx, selected: Selected| {
        say("readable");
        cx.select_clear(&selected.handle, None);
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["readable", "A stop"]);
}

#[tokio::test]
async fn d4_selecting_again_replaces_event_and_extra() {
    let kernel = Kernel::new();
    let (_reader, _writer, watched) = pipe("x");
    life("A", move |cx| {
        cx.select(&watched, SelectMode::Read, "old", 1).unwrap();
        cx.select(&watched, SelectMode::Read, "new", "two").unwrap();
    })
    .on("old", |_, _: Selected<i32>| say("never"))
    .on("new", |cx, selected: Selected<&'static str>| {
        say(selected.extra);
        cx.select_clear(&selected.handle, None);
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["two", "A stop"]);
}

#[tokio::test]
async fn l79_a_regular_file_is_always_ready() {
    let kernel = Kernel::new();
    let file = std::fs::File::open("Cargo.toml").unwrap();
    let watched = Watched::new(&file).unwrap();
    let events = Cell::new(0);
    life("A", move |cx| {
        cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap();
        cx.select(&watched, SelectMode::Write, WRITABLE, ()).unwrap();
    })
    .on(READABLE, |_, _| say("readable"))
    .on(WRITABLE, move |cx, selected: Selected| {
        say("writable");
        events.set(events.get() + 1);
        if events.get() == 2 {
            cx.select_clear(&selected.handle, None);
        }
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["readable", "writable", "readable", "writable", "A stop"]);
}

#[tokio::test]
async fn l79_a_writer_learns_that_the_reader_has_gone() {
    let kernel = Kernel::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let watched = Watched::new(&writer).unwrap();
    // Full, so that only the hang-up can make it ready.
    while writer.write(&[0; 4096]).is_ok() {}
    Session::builder(Some(reader))
        .on(START, move |cx, ()| {
            named(cx.session_id(), "A");
            cx.delay("close", ms(5), ());
            cx.select(&watched, SelectMode::Write, WRITABLE, ())
        })
        .on("close", |cx, ()| {
            say("close");
            drop(cx.heap.take());
        })
        .on(WRITABLE, |cx, selected| {
            say(format!("writable {}", nm(cx.session_id())));
            cx.select_clear(&selected.handle, None);
        })
        .on(STOP, |_, ()| ())
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["close", "writable A"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn urgent_data_is_expedited() {
    let kernel = Kernel::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let far = socket2::Socket::from(std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let (near, _) = listener.accept().unwrap();
    let watched = Watched::new(&near).unwrap();
    life("A", move |cx| {
        cx.select(&watched, SelectMode::Expedite, READABLE, ()).unwrap();
        cx.delay("send", ms(5), ());
    })
    .on("send", move |_, ()| {
        say("send");
        assert_eq!(far.send_out_of_band(b"!").unwrap(), 1);
    })
    .on(READABLE, |cx, selected: Selected| {
        say(format!("{:?}", selected.mode));
        assert!(cx.select_clear(&selected.handle, SelectMode::Expedite));
    })
    .create(&kernel)
    .unwrap();
    run(&kernel).await;
    assert_eq!(said(), ["send", "Expedite", "A stop"]);
}

#[tokio::test]
async fn a_watcher_keeps_its_session_also_paused_and_says_so_with_file_and_line() {
    let kernel = Kernel::new();
    let (_reader, _writer, watched) = pipe("");
    let id = life("A", move |cx| {
        cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap();
        cx.select_pause(&watched, SelectMode::Read);
    })
    .create(&kernel)
    .unwrap();
    let run = tokio::time::timeout(ms(20), kernel.run());
    assert!(run.await.is_err());
    assert!(kernel.is_alive(id));
    let why = kernel.why_alive();
    let holds = &why.sessions[0].holds;
    assert_eq!(holds.len(), 1);
    assert_eq!((holds[0].kind, &*holds[0].name), (HoldKind::File, "readable"));
    assert!(
        why.to_string()
            .contains("watched file `readable` (tests/it/selects.rs:"),
        "{why}"
    );
    kernel.stop_all().unwrap();
    assert_no_leaks(&kernel);
    assert_eq!(said(), ["A stop"]);
}

#[tokio::test(start_paused = true)]
async fn a_kernel_on_virtual_time_refuses_real_descriptors() {
    let kernel = poe::testing::kernel();
    let (_reader, _writer, watched) = pipe("x");
    life("A", move |cx| {
        let error = cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap_err();
        assert_eq!(error.io().unwrap().kind(), std::io::ErrorKind::Unsupported);
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
    assert_eq!(said(), ["A stop"]);
}

#[tokio::test]
async fn a_descriptor_that_is_always_ready_does_not_shut_out_the_host() {
    let kernel = Kernel::new();
    let file = std::fs::File::open("Cargo.toml").unwrap();
    let watched = Watched::new(&file).unwrap();
    life("A", move |cx| {
        cx.select(&watched, SelectMode::Read, READABLE, ()).unwrap()
    })
    .on(READABLE, |_, _| ())
    .create(&kernel)
    .unwrap();
    // A timer of the host ends it.
    assert!(tokio::time::timeout(ms(10), kernel.run()).await.is_err());
    kernel.stop_all().unwrap();
    said();
}

#[tokio::test]
async fn an_extra_whose_clone_panics_is_a_die_of_its_session() {
    struct Bomb;
    impl Clone for Bomb {
        fn clone(&self) -> Self {
            panic!("no clone")
        }
    }
    let kernel = Kernel::new();
    let (_reader, _writer, watched) = pipe("x");
    life("A", move |cx| {
        cx.select(&watched, SelectMode::Read, "readable", Bomb).unwrap()
    })
    .on("readable", |_, _: Selected<Bomb>| say("never"))
    .create(&kernel)
    .unwrap();
    let error = kernel.run().await.unwrap_err();
    assert_eq!(error.failure().unwrap().to_string(), "panicked: no clone");
    assert_no_leaks(&kernel);
    assert_eq!(said(), ["A stop"]);
}

//! File watchers: what comes in which order, removal, pauses, what a slice holds. Descriptors are real, so time is too.

use super::{Cx, soon};
use poe::event::{START, STOP};
use poe::{
    Kernel, Session, SessionBuilder,
    unix::{SelectMode, Selected, Watched},
};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

async fn slices(kernel: &Kernel) {
    let mut n = 0;
    while kernel.session_count() > 0 {
        n += 1;
        out!("slice {n}");
        kernel.run_one_timeslice().await.unwrap();
        assert!(n <= 50, "endless");
    }
    kernel.run().await.unwrap();
}

fn session(start: impl Fn(&mut Cx<'_>) + 'static) -> SessionBuilder<()> {
    Session::builder(())
        .on(START, move |cx, ()| start(cx))
        .on(STOP, |_, ()| out!("  stop of A"))
}

fn mode(mode: SelectMode) -> &'static str {
    match mode {
        SelectMode::Read => "read",
        SelectMode::Write => "write",
        SelectMode::Expedite => "expedite",
    }
}

fn counter() -> Rc<Cell<u32>> {
    Rc::default()
}

fn next(count: &Cell<u32>) -> u32 {
    count.set(count.get() + 1);
    count.get()
}

pub(crate) async fn play() {
    let kernel = Kernel::builder().budget(1).build();
    out!("== a readable handle and a chain of events take turns");
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"x").unwrap();
    let reader = Watched::new(&reader).unwrap();
    let (watched, reads) = (reader.clone(), counter());
    session(move |cx| {
        cx.select(&watched, SelectMode::Read, "readable", ("extra", 7)).unwrap();
        cx.yield_to("chain", 1);
    })
    .on("readable", move |cx, ready: Selected<(&'static str, i32)>| {
        let (word, number) = ready.extra;
        out!(
            "  readable {}, mode {}, {word} {number}",
            next(&reads),
            mode(ready.mode)
        );
        if reads.get() == 4 {
            cx.select_clear(&ready.handle, SelectMode::Read);
        }
    })
    .on("chain", |cx, n: i32| {
        out!("  chain {n}");
        if n < 6 {
            cx.yield_to("chain", n + 1);
        }
    })
    .create(&kernel)
    .unwrap();
    slices(&kernel).await;

    out!("== what a handle's handler posts runs in the same slice");
    let reads = counter();
    session(move |cx| cx.select(&reader, SelectMode::Read, "readable", ()).unwrap())
        .on("readable", move |cx, ready: Selected| {
            out!("  readable {}", next(&reads));
            cx.yield_to("posted", reads.get());
            if reads.get() == 2 {
                cx.select_clear(&ready.handle, SelectMode::Read);
            }
        })
        .on("posted", |cx, n: u32| {
            out!("  posted {n}");
            cx.yield_to("later", ());
        })
        .on("later", |_, ()| out!("  later"))
        .create(&kernel)
        .unwrap();
    slices(&kernel).await;
    sockets(&kernel).await;

    out!("== a regular file is always ready");
    let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let (watched, reads) = (Watched::new(&file).unwrap(), counter());
    session(move |cx| cx.select(&watched, SelectMode::Read, "readable", ()).unwrap())
        .on("readable", move |cx, ready: Selected| {
            out!("  readable");
            if next(&reads) == 3 {
                cx.select_clear(&ready.handle, SelectMode::Read);
            }
        })
        .create(&kernel)
        .unwrap();
    slices(&kernel).await;

    out!("== a watched handle means not idle, a paused one as well");
    let (reader, _writer) = std::io::pipe().unwrap();
    let (watched, rounds) = (Watched::new(&reader).unwrap(), counter());
    let start = watched.clone();
    session(move |cx| {
        cx.sig("IDLE", "idle");
        cx.select(&start, SelectMode::Read, "event", ()).unwrap();
        cx.delay("timer", soon(20), ());
    })
    .on("idle", |_, _: poe::Signal| out!("never!"))
    .on("timer", move |cx, ()| {
        if next(&rounds) == 1 {
            out!("  pause");
            cx.select_pause(&watched, SelectMode::Read);
            cx.delay("timer", soon(20), ());
        } else {
            out!("  clear");
            cx.select_clear(&watched, SelectMode::Read);
        }
    })
    .create(&kernel)
    .unwrap();
    kernel.run().await.unwrap();
}

async fn sockets(kernel: &Kernel) {
    let (near, mut far) = UnixStream::pair().unwrap();
    far.write_all(b"x").unwrap();
    let watched = Watched::new(&near).unwrap();
    let again = || watched.clone();

    out!("== readers before writers, whichever was watched first");
    let (file, writes) = (again(), counter());
    session(move |cx| {
        cx.select(&file, SelectMode::Write, "writable", ()).unwrap();
        cx.select(&file, SelectMode::Read, "readable", ()).unwrap();
    })
    .on("readable", |_, _: Selected| out!("  readable"))
    .on("writable", move |cx, ready: Selected| {
        out!("  writable");
        if next(&writes) == 2 {
            cx.select_clear(&ready.handle, None);
        }
    })
    .create(kernel)
    .unwrap();
    slices(kernel).await;

    out!("== a reader's handler takes the write watch away");
    let file = again();
    session(move |cx| {
        cx.select(&file, SelectMode::Read, "readable", ()).unwrap();
        cx.select(&file, SelectMode::Write, "writable", ()).unwrap();
    })
    .on("readable", |cx, ready: Selected| {
        out!("  readable");
        cx.select_clear(&ready.handle, None);
    })
    .on("writable", |_, _: Selected| out!("never!"))
    .create(kernel)
    .unwrap();
    slices(kernel).await;

    out!("== paused and resumed");
    let (file, same) = (again(), again());
    session(move |cx| {
        cx.select(&file, SelectMode::Read, "readable", ()).unwrap();
        out!("  pause read: {}", i32::from(cx.select_pause(&file, SelectMode::Read)));
        out!(
            "  pause write: {}",
            i32::from(cx.select_pause(&file, SelectMode::Write))
        );
        out!(
            "  resume write: {}",
            i32::from(cx.select_resume(&file, SelectMode::Write))
        );
        cx.delay("resume", soon(20), ());
    })
    .on("resume", move |cx, ()| {
        out!(
            "  resume read: {}",
            i32::from(cx.select_resume(&same, SelectMode::Read))
        );
    })
    .on("readable", |cx, ready: Selected| {
        out!("  readable");
        cx.select_clear(&ready.handle, SelectMode::Read);
    })
    .create(kernel)
    .unwrap();
    slices(kernel).await;

    out!("== selecting again");
    let file = again();
    session(move |cx| {
        cx.select(&file, SelectMode::Read, "first", ()).unwrap();
        cx.select_pause(&file, SelectMode::Read);
        cx.select(&file, SelectMode::Read, "second", ()).unwrap();
    })
    .on("first", |_, _: Selected| out!("never!"))
    .on("second", |cx, ready: Selected| {
        out!("  [D4] second event");
        cx.select_clear(&ready.handle, SelectMode::Read);
    })
    .create(kernel)
    .unwrap();
    slices(kernel).await;

    out!("== the end of a stream can be read, and read again");
    drop(far);
    let mut bytes = [0; 10];
    assert_eq!((&near).read(&mut bytes).unwrap(), 1);
    let (file, reads) = (again(), counter());
    let near = RefCell::new(near);
    session(move |cx| cx.select(&file, SelectMode::Read, "readable", ()).unwrap())
        .on("readable", move |cx, ready: Selected| {
            out!("  read {}", near.borrow_mut().read(&mut [0; 10]).unwrap());
            if next(&reads) == 2 {
                cx.select_clear(&ready.handle, SelectMode::Read);
            }
        })
        .create(kernel)
        .unwrap();
    slices(kernel).await;
}

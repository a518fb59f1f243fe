//! FollowTail by name: records, resets and idle looks, in their order.

use super::*;
use crate::wheel_follow_tail::Folder;
use poe::event::{START, STOP};
use poe::filter::Line;
use poe::wheel::{FollowTail, FollowTailBuilder, Input, IoError};
use poe::{Event, HandlerResult, Session, WheelId};
use std::fs::{OpenOptions, hard_link, remove_file, rename, write};
use std::io::Write;
use std::path::Path;

const LINE: Event<Input<String>> = Event::new("line");
const RESET: Event<WheelId> = Event::new("reset");
const IDLE: Event<WheelId> = Event::new("idle");
const ERROR: Event<IoError> = Event::new("error");

fn append(folder: &Folder, text: &str) {
    let file = OpenOptions::new().create(true).append(true).open(folder.path("log"));
    file.and_then(|mut file| file.write_all(text.as_bytes())).unwrap();
}

/// What is done at the first idle look, at the second, and so on; after that the wheel goes.
type AtIdle = &'static [fn(&Folder)];

fn roll(folder: &Folder) {
    rename(folder.path("log"), folder.path("log.1")).unwrap();
}

async fn follow(
    title: &str,
    before: Option<&str>,
    with: impl Fn(&Path) -> FollowTailBuilder + 'static,
    at_idle: AtIdle,
) {
    out!("== {title}");
    let folder = Folder::new();
    let path = folder.path("log");
    if let Some(text) = before {
        append(&folder, text);
    }
    let kernel = kernel();
    Session::builder((None::<FollowTail>, 0))
        .on(START, move |cx, ()| -> HandlerResult {
            let wheel = with(&path).reset(RESET).idle(IDLE).error(ERROR).poll_interval(soon(20));
            cx.heap.0 = Some(wheel.start(cx)?);
            Ok(())
        })
        .on(LINE, |_, input| out!("line {}", input.record))
        .on(RESET, |_, _| out!("reset"))
        .on(ERROR, |_, error| out!("error {}", error.operation()))
        .on(IDLE, move |cx, _| {
            out!("idle");
            match at_idle.get(cx.heap.1) {
                Some(act) => act(&folder),
                None => cx.heap.0 = None,
            }
            cx.heap.1 += 1;
        })
        .on(STOP, |_, ()| out!("_stop"))
        .create(&kernel)
        .unwrap();
    kernel.run().await.unwrap();
}

pub(crate) async fn play() {
    let plain = |path: &Path| FollowTail::builder(path).input(Line::new(), LINE);
    let grows: AtIdle = &[
        |f| append(f, "a\nb\n"),
        |f| append(f, "c\npart"),
        |f| append(f, "ial\n"),
    ];
    follow("a file that grows", Some("old\n"), plain, grows).await;
    let comes: AtIdle = &[|_| (), |f| append(f, "a\n")];
    follow("a file that comes", None, plain, comes).await;
    let rolls: AtIdle = &[
        |f| {
            append(f, "a\n");
            roll(f);
            append(f, "b\n");
        },
        |f| append(f, "c\n"),
    ];
    follow("a roll between two looks", Some(""), plain, rolls).await;
    let cut: AtIdle = &[|f| write(f.path("log"), "a\n").unwrap()];
    follow("cut short", Some("old\nolder\n"), plain, cut).await;
    let back: AtIdle = &[|f| remove_file(f.path("log")).unwrap(), |f| append(f, "a\n")];
    follow("gone and back", Some("old\n"), plain, back).await;
    let link: AtIdle = &[|f| hard_link(f.path("log"), f.path("link")).unwrap()];
    let from_start = move |path: &Path| plain(path).seek(0);
    follow("a hard link", Some("a\nb\n"), from_start, link).await;
    let partial: AtIdle = &[|f| {
        append(f, "half");
        roll(f);
        append(f, "new\n");
    }];
    follow("a partial line at a roll", Some(""), plain, partial).await;
    follow("from the start", Some("a\nb\n"), from_start, &[]).await;
    let from_last = move |path: &Path| plain(path).seek_back(4);
    follow("from the last bytes", Some("a\nb\nc\n"), from_last, &[]).await;
}

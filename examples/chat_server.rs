//! A chat server with nicknames, rooms and limits.
//!
//! `cargo run --example chat_server -- 127.0.0.1:7777` prints `listening on ADDR` first. Talk to it with `nc`: a line is
//! said to the room, `/nick NAME`, `/join ROOM`, `/who`, `/quit`. A client whose unread messages reach a megabyte is
//! disconnected, and so is one that takes half a minute for a line. SIGINT and SIGTERM shut the server down.

use poe::component::{Client, Link, SHUTDOWN, TcpServer};
use poe::filter::Line;
use poe::wheel::SocketName;
use poe::{Context, Event, Kernel, SessionId, hosts};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// A message for the room, as it is shown. All members share one text.
const SAID: Event<Rc<str>> = Event::new("said");

/// The rooms, which all sessions share. Sessions run one at a time, so the `RefCell` is never borrowed twice.
#[derive(Default)]
struct Rooms(BTreeMap<String, BTreeMap<String, SessionId>>);

/// The heap of one client.
struct Chatter {
    rooms: Rc<RefCell<Rooms>>,
    nick: String,
    room: String,
}

type Cx<'a> = Context<'a, Chatter, Client<Line>>;

impl Rooms {
    fn nicks(&self) -> impl Iterator<Item = &String> {
        self.0.values().flat_map(BTreeMap::keys)
    }

    fn leave(&mut self, room: &str, nick: &str) {
        if let Some(members) = self.0.get_mut(room) {
            members.remove(nick);
            if members.is_empty() {
                self.0.remove(room);
            }
        }
    }

    fn join(&mut self, room: &str, nick: &str, session: SessionId) {
        let members = self.0.entry(room.to_owned()).or_default();
        members.insert(nick.to_owned(), session);
    }
}

/// Sends a text to everybody in the speaker's room, including the speaker.
fn tell_room(cx: &Cx<'_>, what: &str) {
    let text: Rc<str> = what.into();
    let rooms = cx.heap.rooms.borrow();
    for member in rooms.0.get(&cx.heap.room).into_iter().flat_map(BTreeMap::values) {
        // A client leaves its room when it disconnects, so the session exists.
        let _ = cx.kernel.post(*member, SAID, text.clone());
    }
}

fn enter(cx: &mut Cx<'_>, room: &str) {
    let session = cx.session_id();
    let heap = &mut *cx.heap;
    heap.room = room.to_owned();
    heap.rooms.borrow_mut().join(room, &heap.nick, session);
    let entered = format!("* {} has joined {room}", cx.heap.nick);
    tell_room(cx, &entered);
}

fn leave(cx: &mut Cx<'_>) {
    let left = format!("* {} has left {}", cx.heap.nick, cx.heap.room);
    cx.heap.rooms.borrow_mut().leave(&cx.heap.room, &cx.heap.nick);
    tell_room(cx, &left);
}

fn is_name(name: &str) -> bool {
    (1..=20).contains(&name.len()) && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
}

fn received(cx: &mut Cx<'_>, line: &str) {
    let refuse = |client: Link<'_, Line>, why: &str| client.put(format!("! {why}"));
    let (command, name) = line.split_once(' ').unwrap_or((line, ""));
    match command {
        "/nick" if !is_name(name) => refuse(cx.client(), "a nick has 1 to 20 letters, digits, - and _"),
        "/nick" if cx.heap.rooms.borrow().nicks().any(|nick| nick == name) => refuse(cx.client(), "that nick is taken"),
        "/nick" => {
            let renamed = format!("* {} is now {name}", cx.heap.nick);
            let session = cx.session_id();
            let heap = &mut *cx.heap;
            let mut rooms = heap.rooms.borrow_mut();
            rooms.leave(&heap.room, &heap.nick);
            rooms.join(&heap.room, name, session);
            drop(rooms);
            heap.nick = name.to_owned();
            tell_room(cx, &renamed);
        }
        "/join" if !is_name(name) => refuse(cx.client(), "a room has 1 to 20 letters, digits, - and _"),
        "/join" => {
            leave(cx);
            enter(cx, name);
        }
        "/who" => {
            let rooms = cx.heap.rooms.borrow();
            let members = rooms.0.get(&cx.heap.room).into_iter().flat_map(BTreeMap::keys);
            let members: Vec<&str> = members.map(String::as_str).collect();
            cx.client()
                .put(format!("* in {}: {}", cx.heap.room, members.join(", ")));
        }
        "/quit" => cx.yield_to(SHUTDOWN, ()),
        _ if command.starts_with('/') => refuse(cx.client(), "there are /nick, /join, /who and /quit"),
        _ => tell_room(cx, &format!("<{}> {line}", cx.heap.nick)),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    serve(&address, hosts::terminated()?, |addr| println!("listening on {addr}")).await
}

/// Serves until `end` completes.
pub(crate) async fn serve(
    address: &str,
    end: impl Future,
    listening: impl FnOnce(SocketName),
) -> Result<(), Box<dyn std::error::Error>> {
    let kernel = Kernel::new();
    let rooms = Rc::new(RefCell::new(Rooms::default()));
    let server = TcpServer::builder(address)
        .filter(|| Line::new().max_length(1000))
        .client_heap(move |_| Chatter {
            rooms: rooms.clone(),
            nick: String::new(),
            room: String::new(),
        })
        .watermarks(1 << 20, 1 << 16)
        .record_timeout(Duration::from_secs(30))
        .client_connected(|cx| {
            cx.heap.nick = format!("guest-{}", cx.session_id());
            enter(cx, "lobby");
        })
        .client_input(|cx, line| received(cx, &line))
        .state(SAID, |cx, text: Rc<str>| cx.client().put(&*text))
        .client_high(|cx| cx.client().abort())
        .client_error(|cx, error| {
            if error.as_filter().is_some() {
                cx.client().put(format!("! {error}"));
            }
        })
        .client_disconnected(leave)
        .start(&kernel)
        .await?;
    listening(server.local_name().clone());
    let report = kernel.serve_until(end, Duration::from_secs(5)).await?;
    if !report.is_clean() {
        eprintln!("{report}");
    }
    Ok(())
}

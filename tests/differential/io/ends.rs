//! The ends: a session for each wheel, listener, watched pipe and child, and what each does.

use super::world::{Class, Io};
use crate::program::Lines;
use bytes::Bytes;
use poe::event::{START, STOP};
use poe::filter::{Block, Line, Raw};
use poe::wheel::{Connection, Input, IoError, ReadWrite, Run, SocketError, SocketFactory};
use poe::{
    Context, Event, HandlerResult, Kernel, Session, SessionBuilder, WheelId,
    unix::{SelectMode, Selected, Watched},
};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite};

pub(super) const DO: Event<Lines> = Event::new("do");
const INPUT: Event<Input<Bytes>> = Event::new("input");
const OTHER: Event<Input<Bytes>> = Event::new("other");
const ERROR: Event<IoError> = Event::new("error");
pub(super) const FLUSHED: Event<WheelId> = Event::new("flushed");
pub(super) const CONNECTED: Event<Connection> = Event::new("connected");
pub(super) const FAILED: Event<SocketError> = Event::new("failed");
pub(super) const READY: Event<Selected> = Event::new("ready");

pub(super) enum Thing {
    Nothing,
    Wheel(ReadWrite<Bytes>),
    Factory(SocketFactory),
    Reader(PipeReader, Watched),
    Writer(PipeWriter, Watched),
    Run(Run),
}

pub(super) struct End {
    pub(super) io: Rc<Io>,
    pub(super) number: usize,
    kind: String,
    filter: char,
    pub(super) thing: Thing,
    /// Nothing can be put any more.
    shut: bool,
    /// By an error.
    failed: bool,
    reacting: bool,
    /// It was paused, or reads no more.
    silent: bool,
    in_shut: bool,
    input: Event<Input<Bytes>>,
    reacted: Vec<usize>,
    /// What a child has still to tell.
    pub(super) awaited: u32,
}

type Cx<'k> = Context<'k, End>;

impl End {
    fn say(&self, line: impl ToString) {
        self.io.of_end(self.number, "", line.to_string());
    }
}

pub(super) fn end(io: &Rc<Io>, number: usize, kind: &str) -> SessionBuilder<End> {
    let heap = End {
        io: io.clone(),
        number,
        kind: kind.to_owned(),
        filter: kind.chars().next().unwrap_or('l'),
        thing: Thing::Nothing,
        shut: false,
        failed: false,
        reacting: false,
        in_shut: false,
        silent: kind.contains('p'),
        input: INPUT,
        reacted: Vec::new(),
        awaited: 0,
    };
    Session::builder(heap)
        .on(STOP, |cx, ()| cx.heap.say("_stop"))
        .on(DO, |cx, lines| act(cx, &lines))
        .on(INPUT, |cx, input| came(cx, "input", &input.record))
        .on(OTHER, |cx, input| came(cx, "other", &input.record))
        // Which direction is served first, where both are ready, is no promise.
        .on(FLUSHED, |cx, _| cx.heap.io.flushed(cx.heap.number))
        .on(ERROR, |cx, error| {
            let end = &mut *cx.heap;
            let errno = error
                .errno()
                .map_or_else(|| "filter".to_owned(), |errno| errno.to_string());
            let part = if error.operation() == "write" { "writes" } else { "" };
            end.io
                .of_end(end.number, part, format!("error {} {errno}", error.operation()));
            end.failed |= error.operation() == "write";
            end.silent |= error.operation() == "read";
            end.io.ends.borrow_mut()[end.number].wants_close |= end.kind.contains('c');
        })
        .on(CONNECTED, connected)
        .on(FAILED, |cx, error| {
            cx.heap.say(format!(
                "failed {} {}",
                error.operation(),
                error.os_error().raw_os_error().unwrap_or(-1)
            ));
            cx.heap.thing = Thing::Nothing;
        })
        .on(READY, |cx, selected| ready(cx, &selected))
}

pub(super) fn created(io: &Rc<Io>, kernel: &Kernel, number: usize, session: SessionBuilder<End>) {
    let id = session.create(kernel).expect("a session");
    io.ends.borrow_mut()[number].session = Some(id);
}

/// With POE's limits.
pub(super) fn line_filter() -> Line<Bytes> {
    Line::bytes().literal("\n").max_length(1 << 26).max_buffer(1 << 27)
}

/// A wheel on that stream.
pub(super) fn wheel(cx: &mut Cx<'_>, stream: impl AsyncRead + AsyncWrite + 'static) {
    let kind = cx.heap.kind.clone();
    let builder = ReadWrite::builder(stream).error(ERROR);
    let mut builder = match kind.as_bytes()[0] {
        b's' => builder.input(Raw::new(), INPUT),
        b'b' => builder.input(Block::new(), INPUT),
        b'f' => builder.input(Block::fixed(5), INPUT),
        _ => builder.input(line_filter(), INPUT),
    };
    if kind.contains('m') {
        builder = builder.watermarks(2000, 500);
    }
    if kind.contains('a') {
        builder = builder.auto_flush(true);
    } else if !kind.contains('n') {
        builder = builder.flushed(FLUSHED);
    }
    let wheel = builder.start(cx).expect("a wheel");
    if kind.contains('p') {
        wheel.pause_input();
    }
    cx.heap.thing = Thing::Wheel(wheel);
}

fn came(cx: &mut Cx<'_>, event: &str, record: &Bytes) -> HandlerResult {
    let text = String::from_utf8_lossy(record).replace('\n', "/").replace('\0', "_");
    let is_stream = cx.heap.filter == 's';
    // Where a stream is cut is up to the system.
    cx.heap.say(if is_stream {
        format!("stream {text}")
    } else {
        format!("{event} {text}")
    });
    let reaction = text.strip_prefix('r').and_then(|n| n.parse::<usize>().ok());
    let io = cx.heap.io.clone();
    let Some((n, lines)) = reaction.and_then(|n| Some((n, io.reactions.get(n)?))) else {
        return Ok(());
    };
    // Once for each end, so that a program ends.
    if is_stream || cx.heap.reacted.contains(&n) {
        return Ok(());
    }
    cx.heap.reacted.push(n);
    react(cx, lines)
}

fn react(cx: &mut Cx<'_>, lines: &Lines) -> HandlerResult {
    cx.heap.io.reacted.set(true);
    cx.heap.reacting = true;
    for line in lines {
        if line == "close" {
            // A wheel that goes in the midst of a read is another matter (Q4).
            let (io, number) = (cx.heap.io.clone(), cx.heap.number);
            io.ends.borrow_mut()[number].wants_close = true;
            cx.heap.say("  react close: later");
        } else {
            action(cx, line);
            if is_flushed(cx, line) {
                break;
            }
        }
    }
    cx.heap.reacting = false;
    Ok(())
}

/// With POE a wheel that flushes by itself tells of an error at once, here after the handler.
fn is_flushed(cx: &Cx<'_>, line: &str) -> bool {
    cx.heap.kind.contains('a') && (line.starts_with("put") || line == "many")
}

fn act(cx: &mut Cx<'_>, lines: &Lines) -> HandlerResult {
    for line in lines {
        action(cx, line);
        if is_flushed(cx, line) {
            break;
        }
    }
    Ok(())
}

fn action(cx: &mut Cx<'_>, line: &str) {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let word = words.next().unwrap_or_default();
    let count: usize = words.next().and_then(|n| n.parse().ok()).unwrap_or(1);
    // What comes of these at once comes after the handler here.
    let told_before = ["flush", "filter", "in_filter", "close"].contains(&name);
    let told = |cx: &mut Cx<'_>, result: &str| {
        let number = cx.heap.number;
        cx.heap.say(format!("  {number} {line}: {result}"));
    };
    let kernel = cx.kernel;
    if told_before && !matches!(cx.heap.thing, Thing::Nothing) {
        told(cx, "ok");
    }
    let result = if name == "close" {
        note_cut(cx);
        match std::mem::replace(&mut cx.heap.thing, Thing::Nothing) {
            // Who watches is not known by the descriptor.
            Thing::Reader(_, watched) => drop(kernel.select_clear(&watched, SelectMode::Read)),
            Thing::Writer(_, watched) => drop(kernel.select_clear(&watched, SelectMode::Write)),
            _ => {}
        }
        "ok".to_owned()
    } else {
        match &cx.heap.thing {
            Thing::Wheel(_) => wheel_action(cx, name, word, count),
            Thing::Factory(factory) => match name {
                "accept_pause" => (factory.pause_accept(), "ok".to_owned()).1,
                "accept_resume" => (factory.resume_accept(), "ok".to_owned()).1,
                _ => "-".to_owned(),
            },
            Thing::Reader(_, watched) => {
                match name {
                    "sel_pause" => drop(kernel.select_pause(watched, SelectMode::Read)),
                    "sel_resume" => drop(kernel.select_resume(watched, SelectMode::Read)),
                    "sel_again" => kernel.select(watched, SelectMode::Read, READY, ()).expect("it watches"),
                    _ => return told(cx, "-"),
                }
                "ok".to_owned()
            }
            Thing::Writer(writer, watched) => {
                match name {
                    "write" => {
                        let size: usize = word.parse().unwrap_or(1);
                        let mut writer = writer;
                        let bytes = b"abcdefghijklmnopqrstuvwxyz0123456789";
                        match writer.write_all(&bytes[..size.min(36)]) {
                            Ok(()) => {}
                            Err(error) => return told(cx, &error.raw_os_error().unwrap_or(-1).to_string()),
                        }
                    }
                    "sel_pause" => drop(kernel.select_pause(watched, SelectMode::Write)),
                    "sel_resume" => drop(kernel.select_resume(watched, SelectMode::Write)),
                    _ => return told(cx, "-"),
                }
                "ok".to_owned()
            }
            _ => "-".to_owned(),
        }
    };
    if !told_before || matches!(cx.heap.thing, Thing::Nothing) && name != "close" {
        told(cx, &result);
    }
}

/// How much of what still waits the system has taken depends on how it was given.
fn note_cut(cx: &Cx<'_>) {
    if let Thing::Wheel(wheel) = &cx.heap.thing {
        let io = &cx.heap.io;
        io.cut.set(io.cut.get() || wheel.out_messages() > 20);
    }
}

fn wheel_action(cx: &mut Cx<'_>, name: &str, word: &str, count: usize) -> String {
    let end = &mut *cx.heap;
    let Thing::Wheel(wheel) = &end.thing else {
        return "-".to_owned();
    };
    let (io, number) = (end.io.clone(), end.number);
    let put = |wheel: &ReadWrite<Bytes>, text: &str| {
        io.unflushed(number);
        let text = if end.filter == 's' {
            format!("{text}\n")
        } else {
            text.to_owned()
        };
        wheel.put(Bytes::from(text))
    };
    match name {
        // A pipe stays open with POE.
        "shut_in" | "shut_out" if end.kind.contains('P') => return "-".to_owned(),
        // Of a peer that reads no more `select` does not tell one whose buffer is full.
        "shut_in" if end.io.many.get() => return "-".to_owned(),
        // POE would watch again what is shut, or paused (Q18).
        "flushed_on" | "flushed_off" if end.shut || end.failed => return "-".to_owned(),
        "input_to" if end.silent => return "-".to_owned(),
        // Which of several writes to a peer that is gone fails depends on when it tells so.
        "put" if end.silent && end.kind.contains('T') => return "-".to_owned(),
        "put" | "many" | "bytes" | "flush" if end.shut || (end.failed && !end.reacting) => return "-".to_owned(),
        "put" => {
            let mut result = "put".to_owned();
            for _ in 0..count {
                result += match put(wheel, word) {
                    // After an error it is refused here (Q29).
                    _ if end.kind.contains('a') || end.reacting => "",
                    Ok(level) if level.is_high() => " high",
                    Ok(_) => " low",
                    Err(_) => " refused",
                };
            }
            return result;
        }
        "many" => {
            // POE forgets to go on with what it could not write at once, if it flushes by itself.
            if !end.io.ends.borrow()[end.number].wide || end.kind.contains('a') {
                return "-".to_owned();
            }
            end.io.many.set(true);
            let text = "0123456789".repeat(300);
            for _ in 0..100 {
                let _ = put(wheel, &text);
            }
        }
        "pause" => {
            end.silent = true;
            wheel.pause_input();
        }
        "resume" => wheel.resume_input(),
        "shut_in" => {
            (end.silent, end.in_shut) = (true, true);
            wheel.shutdown_input();
        }
        "shut_out" => {
            end.io.cut.set(end.io.cut.get() || wheel.out_messages() > 20);
            end.shut = true;
            wheel.shutdown_output();
        }
        "filter" | "in_filter" | "out_filter" if end.filter == 'b' || end.in_shut => return "-".to_owned(),
        "filter" | "in_filter" => {
            let (input, both) = (end.input, name == "filter");
            end.filter = word.chars().next().unwrap_or('l');
            let set = match (word, both) {
                ("s", true) => wheel.set_filter(Raw::new(), input),
                ("f", true) => wheel.set_filter(Block::fixed(5), input),
                (_, true) => wheel.set_filter(line_filter(), input),
                ("s", _) => wheel.set_input_filter(Raw::new(), input),
                ("f", _) => wheel.set_input_filter(Block::fixed(5), input),
                (_, _) => wheel.set_input_filter(line_filter(), input),
            };
            set.expect("a good filter");
        }
        "out_filter" => {
            let set = match word {
                "s" => wheel.set_output_filter(Raw::new()),
                "f" => wheel.set_output_filter(Block::fixed(5)),
                _ => wheel.set_output_filter(line_filter()),
            };
            set.expect("a good filter");
        }
        "flush" => wheel.flush(),
        "flushed_off" => wheel.set_flushed_event(None::<Event<WheelId>>),
        "flushed_on" if end.kind.contains('a') => return "-".to_owned(),
        "flushed_on" => wheel.set_flushed_event(Some(FLUSHED)),
        "input_to" => {
            end.input = if word == "1" { OTHER } else { INPUT };
            wheel.set_input_event(Some(end.input)).expect("it reads");
        }
        // How much the system takes at once depends on how it is given.
        "bytes" if wheel.out_messages() > 20 => return "many".to_owned(),
        "bytes" => return format!("{} {}", wheel.buffered_bytes(), wheel.out_messages()),
        _ => return "-".to_owned(),
    }
    "ok".to_owned()
}

fn connected(cx: &mut Cx<'_>, connection: Connection) -> HandlerResult {
    let io = cx.heap.io.clone();
    let number = cx.heap.number;
    if io.ends.borrow()[number].class != Class::Listener {
        cx.heap.say("connected");
        wheel(cx, connection.stream);
        return Ok(());
    }
    let next = {
        let mut listeners = io.listeners.borrow_mut();
        let listener = listeners.iter_mut().find(|listener| listener.end == number);
        listener.and_then(|listener| listener.coming.pop_front())
    };
    let Some((number, kind)) = next else {
        cx.heap.say("accepted nobody");
        return Ok(());
    };
    cx.heap.say(format!("accepted {number}"));
    let stream = std::cell::Cell::new(Some(connection.stream));
    let session = end(&io, number, &kind).on(START, move |cx, ()| {
        wheel(cx, stream.take().expect("a session starts once"));
    });
    let id = cx.create(session)?;
    io.ends.borrow_mut()[number].session = Some(id);
    Ok(())
}

fn ready(cx: &mut Cx<'_>, selected: &Selected) -> HandlerResult {
    match &cx.heap.thing {
        Thing::Reader(reader, watched) => {
            let mut bytes = [0; 10];
            let mut reader = reader;
            match reader.read(&mut bytes) {
                Ok(0) => {
                    cx.heap.say("read the end");
                    cx.select_clear(&watched.clone(), SelectMode::Read);
                    cx.heap.thing = Thing::Nothing;
                }
                Ok(n) => cx.heap.say(format!("read {}", String::from_utf8_lossy(&bytes[..n]))),
                Err(error) => cx
                    .heap
                    .say(format!("read failed {}", error.raw_os_error().unwrap_or(-1))),
            }
        }
        _ => {
            cx.heap.say("writable");
            cx.select_pause(&selected.handle, SelectMode::Write);
        }
    }
    Ok(())
}

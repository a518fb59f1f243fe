//! What begins something new: pairs, listeners, watched pipes, programs and children.

use super::ends::{CONNECTED, End, FAILED, FLUSHED, READY, Thing, created, end, line_filter, wheel};
use super::world::{Class, Io, Listener, Where};
use bytes::Bytes;
use poe::event::START;
use poe::wheel::{Descriptor, Exited, Input, IoError, Run, SocketFactory, StdStream};
use poe::{
    Context, Event, HandlerResult, Kernel, SessionBuilder, WheelId,
    unix::{ProcessExit, SelectMode, Watched},
};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite};

type Cx<'k> = Context<'k, End>;

const OUT: Event<Input<Bytes>> = Event::new("out");
const ERR: Event<Input<Bytes>> = Event::new("err");
const RUN_ERROR: Event<IoError> = Event::new("run_error");
const CLOSED: Event<WheelId> = Event::new("closed");
const EXITED: Event<Exited> = Event::new("exited");
const CHILD_EXITED: Event<ProcessExit> = Event::new("child_exited");

/// The lines for the shell that are run.
const PROGRAMS: [&str; 7] = [
    "cat",
    "exit 3",
    "echo one; echo two",
    "echo bad >&2; echo good; exit 1",
    "kill -9 $$",
    "read x; echo got $x",
    "cat; echo done >&2",
];

fn status(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "unknown".to_owned(), |status| status.into_raw().to_string())
}

/// One thing less that a child has still to tell; its wheel goes with the last.
fn told(cx: &mut Cx<'_>) {
    let io = &cx.heap.io;
    io.in_flight.set(io.in_flight.get() - 1);
    cx.heap.awaited -= 1;
    if cx.heap.awaited == 0 {
        cx.heap.thing = Thing::Nothing;
    }
}

fn run(cx: &mut Cx<'_>, which: usize, lines: usize) -> HandlerResult {
    // A program that does not read may be gone before anything is written to it.
    let lines = match which {
        0 | 6 => lines,
        5 => 1,
        _ => 0,
    };
    let run = Run::shell(PROGRAMS[which])
        .stdin_filter(line_filter())
        .stdout(line_filter(), OUT)
        .stderr(line_filter(), ERR)
        .error(RUN_ERROR)
        .close(CLOSED)
        .exit(EXITED);
    let run = if lines > 0 { run.stdin_flushed(FLUSHED) } else { run };
    let run = run.start(cx)?;
    for n in 0..lines {
        let _ = run.put(Bytes::from(format!("line {n}")));
    }
    if lines == 0 {
        run.shutdown_stdin();
    }
    cx.heap.thing = Thing::Run(run);
    cx.heap.awaited = 2;
    let io = &cx.heap.io;
    io.in_flight.set(io.in_flight.get() + 2);
    Ok(())
}

fn runner(io: &Rc<Io>, number: usize) -> SessionBuilder<End> {
    let part = |cx: &Cx<'_>, part: &str, line: String| cx.heap.io.of_end(cx.heap.number, part, line);
    end(io, number, "l")
        .on(FLUSHED, move |cx, _| {
            part(cx, "in", "flushed".to_owned());
            if let Thing::Run(run) = &cx.heap.thing {
                run.shutdown_stdin();
            }
        })
        .on(OUT, move |cx, input| {
            part(cx, "out", String::from_utf8_lossy(&input.record).into_owned());
        })
        .on(ERR, move |cx, input| {
            part(cx, "err", String::from_utf8_lossy(&input.record).into_owned());
        })
        .on(RUN_ERROR, move |cx, error| {
            let stream = match error.stream().unwrap() {
                StdStream::Stdin => "in",
                StdStream::Stdout => "out",
                StdStream::Stderr => "err",
            };
            let errno = error.errno().unwrap_or(-1);
            part(cx, stream, format!("error {} {errno}", error.operation()));
        })
        .on(CLOSED, move |cx, _| {
            part(cx, "out", "closed".to_owned());
            part(cx, "err", "closed".to_owned());
            told(cx);
        })
        .on(EXITED, move |cx, exited| {
            part(cx, "exit", status(exited.status));
            told(cx);
        })
        .on(CHILD_EXITED, move |cx, exit| {
            part(cx, "exit", status(exit.status));
            told(cx);
        })
}

/// A listener there.
fn listen(cx: &mut Cx<'_>, address: &Where) {
    let builder = match address {
        Where::Path(path) => SocketFactory::listen(path.as_path()),
        Where::Tcp(addr) => SocketFactory::listen(*addr),
    };
    let factory = builder.nodelay(true).success(CONNECTED).failure(FAILED).start(cx);
    cx.heap.thing = Thing::Factory(factory);
}

fn connect(cx: &mut Cx<'_>, address: &Where) {
    let builder = match address {
        Where::Path(path) => SocketFactory::connect(path.as_path()),
        Where::Tcp(addr) => SocketFactory::connect(*addr),
    };
    let factory = builder.nodelay(true).success(CONNECTED).failure(FAILED).start(cx);
    cx.heap.thing = Thing::Factory(factory);
}

/// Something new, outside of any session.
pub(super) fn act_by_line(kernel: &Kernel, io: &Rc<Io>, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let word = |n: usize| words.get(n).copied().unwrap_or("l");
    let number = |n: usize| word(n).parse::<usize>().unwrap_or(0);
    let begin = |class: Class, f: Box<dyn Fn(&mut Cx<'_>)>| {
        let n = io.new_end(class, false);
        created(io, kernel, n, end(io, n, "l").on(START, move |cx, ()| f(cx)));
        n
    };
    match word(0) {
        "socketpair" => {
            let (one, other) = tokio::net::UnixStream::pair().expect("a pair");
            pair(kernel, io, [word(1), word(2)], one, other);
        }
        "pipes" => {
            let ((r1, w1), (r2, w2)) = (std::io::pipe().expect("a pipe"), std::io::pipe().expect("a pipe"));
            let one = Descriptor::pair(r1, w2).expect("a pair");
            let other = Descriptor::pair(r2, w1).expect("a pair");
            let kinds = [format!("{}P", word(1)), format!("{}P", word(2))];
            pair(kernel, io, [&kinds[0], &kinds[1]], one, other);
        }
        "listen" => {
            let address = if word(1) == "tcp" {
                io.tcp.set(true);
                Where::Tcp(([127, 0, 0, 1], 0).into())
            } else {
                Where::Path(io.folder.join(io.ends.borrow().len().to_string()))
            };
            let found = Rc::new(std::cell::RefCell::new(address));
            let tells = found.clone();
            let n = begin(
                Class::Listener,
                Box::new(move |cx| {
                    listen(cx, &found.borrow().clone());
                    if let (Where::Tcp(addr), Thing::Factory(factory)) = (&mut *found.borrow_mut(), &cx.heap.thing) {
                        *addr = factory.local_addr().expect("bound at once");
                    }
                }),
            );
            io.listeners.borrow_mut().push(Listener {
                end: n,
                address: tells.borrow().clone(),
                coming: Default::default(),
            });
        }
        "taken" | "connect" => {
            let which = number(1);
            let address = {
                let listeners = io.listeners.borrow();
                match which.checked_rem(listeners.len()) {
                    Some(which) => listeners[which].address.clone(),
                    None => return "-".to_owned(),
                }
            };
            if word(0) == "taken" {
                begin(Class::Other, Box::new(move |cx| listen(cx, &address)));
                return "ok".to_owned();
            }
            let wide =
                matches!(address, Where::Path(_)) && ![word(2), word(3)].iter().any(|kind| kind.starts_with('f'));
            let client = io.new_end(Class::Wheel, wide);
            let server = io.new_end(Class::Wheel, wide);
            let tcp = if matches!(address, Where::Tcp(_)) { "T" } else { "" };
            let mut listeners = io.listeners.borrow_mut();
            let which = which % listeners.len();
            listeners[which].coming.push_back((server, format!("{}{tcp}", word(3))));
            drop(listeners);
            let session = end(io, client, &format!("{}{tcp}", word(2))).on(START, move |cx, ()| connect(cx, &address));
            created(io, kernel, client, session);
        }
        "nobody" => {
            let address = if word(1) == "tcp" {
                Where::Tcp(([127, 0, 0, 1], 1).into())
            } else {
                Where::Path(io.folder.join("nobody"))
            };
            begin(Class::Other, Box::new(move |cx| connect(cx, &address)));
        }
        "watch" => {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            let (reader, writer) = (std::cell::Cell::new(Some(reader)), std::cell::Cell::new(Some(writer)));
            begin(
                Class::Reader,
                Box::new(move |cx| {
                    let reader = reader.take().expect("once");
                    let watched = Watched::new(&reader).expect("a descriptor");
                    cx.select(&watched, SelectMode::Read, READY, ()).expect("it watches");
                    cx.heap.thing = Thing::Reader(reader, watched);
                }),
            );
            begin(
                Class::Writer,
                Box::new(move |cx| {
                    let writer = writer.take().expect("once");
                    let watched = Watched::new(&writer).expect("a descriptor");
                    cx.select(&watched, SelectMode::Write, READY, ()).expect("it watches");
                    cx.heap.thing = Thing::Writer(writer, watched);
                }),
            );
        }
        "run" => {
            let (which, lines) = (number(1) % PROGRAMS.len(), number(2));
            let n = io.new_end(Class::Other, false);
            created(
                io,
                kernel,
                n,
                runner(io, n).on(START, move |cx, ()| run(cx, which, lines)),
            );
        }
        "child" => {
            let code = number(1);
            let n = io.new_end(Class::Other, false);
            let session = runner(io, n).on(START, move |cx, ()| -> HandlerResult {
                let mut command = std::process::Command::new("sh");
                let child = command.args(["-c", &format!("exit {code}")]).spawn()?;
                cx.sig_child(child, CHILD_EXITED, ())?;
                cx.heap.awaited = 1;
                let io = &cx.heap.io;
                io.in_flight.set(io.in_flight.get() + 1);
                Ok(())
            });
            created(io, kernel, n, session);
        }
        _ => return "-".to_owned(),
    }
    "ok".to_owned()
}

/// Two ends that are connected.
fn pair<S: AsyncRead + AsyncWrite + 'static>(kernel: &Kernel, io: &Rc<Io>, kinds: [&str; 2], one: S, other: S) {
    let wide = !kinds.iter().any(|kind| kind.starts_with('f'));
    let numbers = [io.new_end(Class::Wheel, wide), io.new_end(Class::Wheel, wide)];
    for ((n, kind), stream) in numbers.into_iter().zip(kinds).zip([one, other]) {
        let stream = std::cell::Cell::new(Some(stream));
        let session = end(io, n, kind).on(START, move |cx, ()| {
            wheel(cx, stream.take().expect("a session starts once"));
        });
        created(io, kernel, n, session);
    }
}

//! One kernel, run by one Tokio runtime after another: everything registered with the first continues in the second.
//!
//! Each test sets something up in a first runtime, runs the kernel there for a moment, and then in a second one, of each
//! flavour, with the first dropped or standing still. What it waits for must come there.

use crate::in_child::in_child;
use crate::runtimes_kit::{current_thread, switch};
use poe::component::{TcpClient, TcpServer};
use poe::event::START;
use poe::filter::Line;
use poe::wheel::{Connection, Datagram, Exited, FollowTail, Input, IoError, Packet, ReadWrite, Run, SocketFactory};
use poe::{
    Event, HandlerResult, Kernel, Session, Signal,
    unix::{ProcessExit, SelectMode, Selected, Watched},
};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

const LINE: Event<Input<String>> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");
const DONE: Event<()> = Event::new("done");

#[test]
fn timers_of_both_kinds() {
    for slack in [Duration::ZERO, Duration::from_millis(2)] {
        switch(
            || Kernel::builder().timer_slack(slack).build(),
            |kernel| {
                let rung = Rc::new(Cell::new(0));
                let count = rung.clone();
                Session::builder(())
                    .on(START, |cx, ()| {
                        cx.delay_set(DONE, 0.2, ());
                        cx.delay_set(DONE, 0.25, ());
                    })
                    .on(DONE, move |_, ()| count.set(count.get() + 1))
                    .create(kernel)
                    .unwrap();
                rung
            },
            |_| (),
        );
    }
}

/// A case that used to spin: the second run must wait instead of polling again and again.
#[test]
fn run_blocking_may_be_called_again() {
    let kernel = Kernel::new();
    for _ in 0..3 {
        let order = Rc::new(RefCell::new(Vec::new()));
        let (first, second) = (order.clone(), order.clone());
        Session::builder(())
            .on(START, |cx, ()| {
                cx.delay_set("timer", 0.3, ());
                cx.spawn(async { tokio::time::sleep(Duration::from_millis(50)).await }, DONE);
            })
            .on(DONE, move |_, ()| first.borrow_mut().push("future"))
            .on("timer", move |_, ()| second.borrow_mut().push("timer"))
            .create(&kernel)
            .unwrap();
        kernel.run_blocking().unwrap();
        assert_eq!(*order.borrow(), ["future", "timer"]);
    }
}

/// `_start` runs inside `create`, before `run_blocking` has begun.
#[test]
fn start_may_make_servers_and_wheels_before_run_blocking() {
    let kernel = Kernel::new();
    let said = Rc::new(RefCell::new(Vec::new()));
    let hear = said.clone();
    Session::builder(None::<(TcpServer, TcpClient)>)
        .on(START, move |cx, ()| -> HandlerResult {
            let server = TcpServer::builder("127.0.0.1:0").client_input(|cx, line| cx.client().put(line));
            let server = cx.start(server)?;
            let (hear, me) = (hear.clone(), cx.session_id());
            let client = cx.start(
                TcpClient::builder(server.local_name())
                    .connected(|cx| cx.server().put("hello"))
                    .server_input(move |cx, line: String| {
                        hear.borrow_mut().push(line);
                        cx.post(me, DONE, ()).unwrap();
                    }),
            )?;
            *cx.heap = Some((server, client));
            cx.spawn(tokio::time::sleep(Duration::from_millis(1)), "slept");
            Ok(())
        })
        .on("slept", |_, ()| ())
        .on(DONE, |cx, ()| {
            if let Some((server, client)) = cx.heap.take() {
                server.shutdown_clients();
                server.shutdown();
                client.shutdown();
            }
        })
        .create(&kernel)
        .unwrap();
    kernel.run_blocking().unwrap();
    assert_eq!(*said.borrow(), ["hello"]);
}

#[test]
fn signals_of_the_system() {
    in_child!();
    switch(
        Kernel::new,
        |kernel| {
            Session::builder(())
                .on(START, |cx, ()| {
                    cx.sig("USR1", "came");
                    cx.refcount_increment(cx.session_id(), "waits").map(drop)
                })
                .on("came", |cx, _: Signal| {
                    cx.sig_ignore("USR1");
                    cx.refcount_decrement(cx.session_id(), "waits").map(drop)
                })
                .create(kernel)
                .unwrap();
        },
        |()| {
            let me = rustix::process::getpid();
            rustix::process::kill_process(me, rustix::process::Signal::USR1).unwrap();
        },
    );
}

#[test]
fn ends_of_processes() {
    switch(
        Kernel::new,
        |kernel| {
            let child = std::process::Command::new("cat")
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let pid = child.id();
            Session::builder(())
                .on(START, move |cx, ()| cx.sig_child(pid, "ended", ()))
                .on("ended", |_, exit: ProcessExit| {
                    assert!(exit.status.is_some_and(|status| status.success()))
                })
                .create(kernel)
                .unwrap();
            RefCell::new(Some(child))
        },
        |child| drop(child.borrow_mut().as_mut().unwrap().stdin.take()),
    );
}

#[test]
fn programs() {
    const EXITED: Event<Exited> = Event::new("exited");
    switch(
        Kernel::new,
        |kernel| {
            let file = std::env::temp_dir().join(format!(
                "poe-runtimes-{}-{:?}",
                std::process::id(),
                std::time::Instant::now()
            ));
            let waits = format!(
                "while ! test -e '{}'; do sleep 0.02; done; read line; echo got $line",
                file.display()
            );
            Session::builder((None::<Run>, 0))
                .on(START, move |cx, ()| -> HandlerResult {
                    let run = Run::shell(&waits).stdout(Line::new(), LINE).ended(EXITED).start(cx)?;
                    run.put("this".to_owned())?;
                    cx.heap.0 = Some(run);
                    Ok(())
                })
                .on(LINE, |cx, line| {
                    assert_eq!(line.record, "got this");
                    cx.heap.1 += 1;
                })
                .on(EXITED, |cx, _| {
                    assert_eq!(cx.heap.1, 1);
                    cx.heap.0 = None;
                })
                .create(kernel)
                .unwrap();
            file
        },
        |file| std::fs::write(file, "go").unwrap(),
    );
}

#[test]
fn watched_files() {
    switch(
        Kernel::new,
        |kernel| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let ours = Watched::new(ours).unwrap();
            Session::builder(())
                .on(START, move |cx, ()| cx.select(&ours, SelectMode::Read, "readable", ()))
                .on("readable", |cx, selected: Selected| {
                    assert!(cx.select_clear(&selected.handle, SelectMode::Read));
                })
                .create(kernel)
                .unwrap();
            theirs
        },
        |mut theirs| theirs.write_all(b"x").unwrap(),
    );
}

/// A server with a connection, a server without, and a client, in one.
#[test]
fn servers_clients_and_their_connections() {
    switch(
        Kernel::new,
        |kernel| {
            let lines = Rc::new(Cell::new(0));
            let count = lines.clone();
            let server = TcpServer::builder("127.0.0.1:0")
                .client_connected(|cx| cx.client().put("hello"))
                .client_input(|cx, line: String| cx.client().put(line.to_uppercase()))
                .client_disconnected(|_| ());
            let addr = futures_util::FutureExt::now_or_never(server.start(kernel))
                .unwrap()
                .unwrap();
            let (name, served) = (addr.local_name().clone(), addr.clone());
            // It talks in the first runtime, and again in the second.
            TcpClient::builder(name.clone())
                .server_input(move |cx, line: String| match line.as_str() {
                    "hello" => {
                        cx.delay("ask", 0.2, ());
                    }
                    _ => {
                        assert_eq!(line, "AND AGAIN");
                        count.set(count.get() + 1);
                        cx.server().shutdown();
                        served.shutdown_clients();
                        served.shutdown();
                    }
                })
                .state("ask", |cx, ()| cx.server().put("and again"))
                .start(kernel)
                .unwrap();
            (name, lines)
        },
        |_| (),
    );
}

/// A connection that was accepted by a wheel, and one that a wheel has made.
#[test]
fn listeners_and_wheels_on_sockets() {
    const CONNECTED: Event<Connection> = Event::new("connected");
    switch(
        Kernel::new,
        |kernel| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let addr = listener.local_addr().unwrap();
            let path = std::env::temp_dir().join(format!("poe-runtimes-{}-{}", std::process::id(), addr.port()));
            let local = path.clone();
            Session::builder((None::<SocketFactory>, None::<SocketFactory>, Vec::<ReadWrite>::new(), 0))
                .on(START, move |cx, ()| -> HandlerResult {
                    let listener = tokio::net::TcpListener::from_std(listener.try_clone()?)?;
                    cx.heap.0 = Some(SocketFactory::on(listener).success(CONNECTED).start(cx));
                    cx.heap.1 = Some(SocketFactory::listen(local.as_path()).success(CONNECTED).start(cx));
                    Ok(())
                })
                .on(CONNECTED, |cx, made| -> HandlerResult {
                    let wheel = ReadWrite::builder(made.stream)
                        .input(Line::new(), LINE)
                        .error(ERROR)
                        .start(cx)?;
                    wheel.put("who?".to_owned())?;
                    cx.heap.2.push(wheel);
                    Ok(())
                })
                .on(ERROR, |_, error| assert!(error.is_eof(), "{error}"))
                .on(LINE, |cx, line| {
                    assert_eq!(line.record, "me");
                    cx.heap.3 += 1;
                    if cx.heap.3 == 2 {
                        cx.heap.0 = None;
                        cx.heap.1 = None;
                        cx.heap.2.clear();
                    }
                })
                .create(kernel)
                .unwrap();
            // One comes in the first runtime, and speaks in the second.
            let early = std::net::TcpStream::connect(addr).unwrap();
            (early, path)
        },
        |(early, path)| {
            let (mut early, path) = (early.try_clone().unwrap(), path.clone());
            early.write_all(b"me\n").unwrap();
            std::thread::spawn(move || {
                let mut late = UnixStream::connect(&path).unwrap();
                late.write_all(b"me\n").unwrap();
                let _ = std::fs::remove_file(path);
                let mut all = String::new();
                late.read_to_string(&mut all).unwrap();
                assert_eq!(all.trim_end(), "who?");
            });
        },
    );
}

#[test]
fn streams_that_the_program_brings() {
    switch(
        Kernel::new,
        |kernel| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            Session::builder(None::<ReadWrite>)
                .on(START, move |cx, ()| -> HandlerResult {
                    let ours = tokio::net::UnixStream::from_std(ours.try_clone()?)?;
                    *cx.heap = Some(ReadWrite::builder(ours).input(Line::new(), LINE).start(cx)?);
                    Ok(())
                })
                .on(LINE, |cx, line| {
                    assert_eq!(line.record, "late");
                    *cx.heap = None;
                })
                .create(kernel)
                .unwrap();
            theirs
        },
        |mut theirs| theirs.write_all(b"late\n").unwrap(),
    );
}

#[test]
fn datagrams() {
    const MADE: Event<Datagram> = Event::new("made");
    const PACKET: Event<Option<std::io::Result<Packet>>> = Event::new("packet");
    switch(
        Kernel::new,
        |kernel| {
            let addr = Rc::new(Cell::new(None));
            let give = addr.clone();
            Session::builder((None::<SocketFactory<Datagram>>, None))
                .on(START, |cx, ()| -> HandlerResult {
                    cx.heap.0 = Some(SocketFactory::datagram().bind("127.0.0.1:0").success(MADE).start(cx));
                    Ok(())
                })
                .on(MADE, move |cx, made| {
                    give.set(made.socket.local_name().unwrap().as_socket_addr());
                    cx.heap.1 = Some(cx.attach(made.socket.packets(), PACKET));
                })
                .on(PACKET, |cx, packet| {
                    assert_eq!(&packet.unwrap().unwrap().bytes[..], b"late");
                    let task = cx.heap.1.take().unwrap();
                    assert!(cx.cancel(task));
                    cx.heap.0 = None;
                })
                .create(kernel)
                .unwrap();
            addr
        },
        |addr| {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(b"late", addr.get().unwrap()).unwrap();
        },
    );
}

#[test]
fn files_and_pipes_that_are_followed() {
    for fifo in [false, true] {
        switch(
            Kernel::new,
            |kernel| {
                let path = std::env::temp_dir().join(format!(
                    "poe-follow-{}-{:?}",
                    std::process::id(),
                    std::time::SystemTime::now()
                        .duration_since(std::time::UNIX_EPOCH)
                        .unwrap()
                ));
                match fifo {
                    true => rustix::fs::mknodat(
                        rustix::fs::CWD,
                        &path,
                        rustix::fs::FileType::Fifo,
                        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
                        0,
                    )
                    .unwrap(),
                    false => std::fs::write(&path, "").unwrap(),
                }
                let follow = path.clone();
                Session::builder(None::<FollowTail>)
                    .on(START, move |cx, ()| -> HandlerResult {
                        *cx.heap = Some(FollowTail::builder(&follow).input(Line::new(), LINE).start(cx)?);
                        Ok(())
                    })
                    .on(LINE, |cx, line| {
                        assert_eq!(line.record, "late");
                        *cx.heap = None;
                    })
                    .create(kernel)
                    .unwrap();
                path
            },
            |path| {
                let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
                file.write_all(b"late\n").unwrap();
                // What was written stays in the pipe when its writer goes.
                std::fs::remove_file(path).unwrap();
            },
        );
    }
}

/// A future that waits for a runtime that is gone fails with the reason.
#[test]
fn a_future_bound_to_a_runtime_that_is_gone_is_a_failure_that_names_the_cause() {
    let kernel = Kernel::new();
    let first = current_thread();
    first.block_on(async {
        Session::builder(())
            .on(START, |cx, ()| {
                cx.spawn(tokio::time::sleep(Duration::from_millis(200)), DONE);
            })
            .on(DONE, |_, ()| ())
            .create(&kernel)
            .unwrap();
        let early = tokio::time::timeout(Duration::from_millis(20), kernel.run()).await;
        assert!(early.is_err());
    });
    drop(first);
    let error = current_thread().block_on(async { tokio::time::timeout(Duration::from_secs(20), kernel.run()).await });
    let error = error.expect("it ends").unwrap_err();
    assert!(
        error.to_string().contains("shutdown") || error.to_string().contains("shut down"),
        "{error}"
    );
}

thread_local! {
    static KERNEL: Kernel = Kernel::new();
}

/// POE's kernel is one for the process, so programs keep theirs in a thread-local. What the subscriber keeps there may be gone when
/// the kernel is dropped.
#[test]
fn a_kernel_in_a_thread_local_is_dropped_quietly_with_its_thread() {
    in_child!();
    tracing_subscriber::fmt().init();
    for runs in [false, true] {
        std::thread::spawn(move || {
            KERNEL.with(|kernel| {
                Session::builder(())
                    .on(START, |cx, ()| {
                        cx.delay("late", 3600.0, ());
                        cx.spawn(std::future::pending::<()>(), DONE);
                        cx.alias_set("daemon")
                    })
                    .create(kernel)
                    .unwrap();
                if runs {
                    let early = async { tokio::time::timeout(Duration::from_millis(10), kernel.run()).await };
                    assert!(current_thread().block_on(early).is_err());
                }
            });
            tracing::info!("logged after the kernel was made");
        })
        .join()
        .unwrap();
    }
}

#[derive(Clone, Default)]
struct Written(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Logs while it is dropped, as a heap may.
struct Talkative;

impl Drop for Talkative {
    fn drop(&mut self) {
        tracing::error!("a value of the session is dropped");
    }
}

#[test]
fn a_kernel_in_a_thread_local_may_have_much_to_log_when_it_is_dropped() {
    in_child!();
    let written = Written::default();
    let writer = written.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    std::thread::spawn(|| {
        KERNEL.with(|kernel| {
            Session::builder(Talkative)
                .on(START, |cx, ()| -> poe::HandlerResult {
                    cx.delay("late", 3600.0, Talkative);
                    cx.spawn(std::future::pending::<()>(), DONE);
                    cx.sig("USR1", "signalled");
                    cx.alias_set("daemon")?;
                    Ok(cx.post(cx.session_id(), "nothing has this name", Talkative)?)
                })
                .on("late", |_, _: Talkative| ())
                .on("signalled", |_, _: Signal| ())
                .create(kernel)
                .unwrap();
            let early = async { tokio::time::timeout(Duration::from_millis(10), kernel.run()).await };
            assert!(current_thread().block_on(early).is_err());
            let handle = kernel.handle();
            handle.post("daemon", "never taken in", Talkative).unwrap();
        });
        tracing::info!("logged after the kernel was made");
    })
    .join()
    .unwrap();
    let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    for told in [
        "kernel dropped while sessions are alive",
        "dead letter: no session has the alias",
    ] {
        assert!(log.contains(told), "{told:?} is missing in\n{log}");
    }
}

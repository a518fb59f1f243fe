//! A kernel inside a GLib main loop, as in a GTK program: the loop polls the kernel's future on its own thread, so
//! that handlers may use widgets and other things of that thread. Tokio runs on a separate thread, a runtime with one worker.
//!
//! It needs GLib (`libglib2.0-dev`) but no display. A session ticks beside a GLib timeout, lines go through a TCP server
//! and back, another thread makes a call, and the program ends.

use glib::{ControlFlow, MainContext, MainLoop};
use poe::component::{TcpClient, TcpServer};
use poe::event::START;
use poe::{Event, HandlerResult, Kernel, Reply, Session};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

const TICK: Event<u32> = Event::new("tick");
const ECHOED: Event<String> = Event::new("echoed");
const TOTAL: Event<(), usize> = Event::new("total");
const DONE: Event<&'static str> = Event::new("done");

/// Stands for a label in a window, which belongs to GLib's thread.
#[derive(Clone, Default)]
struct Label(Rc<RefCell<Vec<String>>>);

impl Label {
    fn show(&self, text: String) {
        println!("{text}");
        self.0.borrow_mut().push(text);
    }
}

fn main() {
    let drivers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    // So that timers and sockets made on this thread are registered with that runtime.
    let _entered = drivers.enter();
    let context = MainContext::default();
    let main_loop = MainLoop::new(Some(&context), false);
    let label = Label::default();

    // GLib's own work goes on while the kernel is busy.
    let glib_ticks = Rc::new(Cell::new(0));
    let ticks = glib_ticks.clone();
    glib::timeout_add_local(Duration::from_millis(5), move || {
        ticks.set(ticks.get() + 1);
        ControlFlow::Continue
    });

    let (the_loop, shown) = (main_loop.clone(), label.clone());
    context.spawn_local(async move {
        let result = serve(&shown).await;
        if let Err(error) = result {
            shown.show(format!("failed: {error}"));
        }
        the_loop.quit();
    });
    main_loop.run();

    assert!(glib_ticks.get() >= 5, "GLib's timeout fired {} times", glib_ticks.get());
    let shown = label.0.borrow();
    assert!(!shown.iter().any(|line| line.starts_with("failed")));
    println!("done: {} lines were shown, and GLib's loop ran on", shown.len());
}

async fn serve(label: &Label) -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_input(|cx, line: String| cx.client().put(line.to_uppercase()))
        .start(&kernel)
        .await?;
    let address = server.local_name().clone();

    let shown = label.clone();
    Session::builder(vec!["ticks", "echo", "thread"])
        .on(START, |cx, ()| {
            cx.delay(TICK, Duration::from_millis(10), 1);
            cx.alias_set("window")
        })
        .on(TICK, {
            let shown = shown.clone();
            move |cx, n| -> HandlerResult {
                shown.show(format!("tick {n}"));
                match n {
                    5 => cx.yield_to(DONE, "ticks"),
                    _ => cx.delay(TICK, Duration::from_millis(10), n + 1),
                }
                Ok(())
            }
        })
        .on(ECHOED, move |cx, line| {
            shown.show(format!("the server says {line}"));
            cx.yield_to(DONE, "echo");
        })
        .on(TOTAL, |cx, ()| Reply(cx.heap.len()))
        .on(DONE, |cx, what| {
            cx.heap.retain(|left| *left != what);
            if cx.heap.is_empty() {
                cx.stop_all();
            }
        })
        .create(&kernel)?;

    TcpClient::builder(address)
        .connected(|cx| cx.server().put("hello from glib"))
        .server_input(|cx, line: String| -> HandlerResult {
            cx.server().shutdown();
            cx.post("window", ECHOED, line)?;
            Ok(())
        })
        .start(&kernel)?;

    // Any thread asks by a handle.
    let handle = kernel.handle();
    let asking = tokio::spawn(async move {
        let left = handle.call("window", TOTAL, ()).await.expect("the window is there");
        handle.post("window", DONE, "thread").expect("an open kernel");
        left
    });
    kernel.serve().await?;
    let left = asking.await.expect("the task answers");
    label.show(format!("another thread was told that {left} things were left"));
    Ok(())
}

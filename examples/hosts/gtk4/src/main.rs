//! A kernel in GTK's main loop: the session `window` owns the widgets, and what the user does comes to it as events.
//!
//! GTK polls the kernel's future on its own thread. Tokio's drivers run elsewhere, in a runtime with one worker. It needs
//! GTK 4 (`libgtk-4-dev`) and a display; `.ci/gui-hosts` runs it in Xvfb. After three clicks on its button, a few ticks of a timer, and
//! a line that went through a TCP server, the window closes, and the program ends by itself.
//!
//! Closing the window is what POE calls UIDESTROY: every session stops, and none can refuse.

use gtk4::glib::{self, MainContext, MainLoop};
use gtk4::prelude::*;
use gtk4::{Button, Label, Orientation, Window};
use poe::component::{TcpClient, TcpServer};
use poe::event::{START, STOP};
use poe::{Event, HandlerResult, Kernel, KernelHandle, Session};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const TICK: Event<u32> = Event::new("tick");
const CLICKED: Event<()> = Event::new("clicked");
const ECHOED: Event<String> = Event::new("echoed");

const CLICKS: u32 = 3;
const TICKS: u32 = 10;

/// What the session `window` owns: the widgets, which stay on GTK's thread, and how far it has come.
struct Ui {
    window: Window,
    label: Label,
    clicks: u32,
    ticks: u32,
    echoed: Option<String>,
}

impl Ui {
    fn show(&self) {
        let echoed = self.echoed.as_deref().unwrap_or("nothing yet");
        self.label
            .set_text(&format!("{} clicks, {} ticks, {echoed}", self.clicks, self.ticks));
        if self.clicks >= CLICKS && self.ticks >= TICKS && self.echoed.is_some() {
            // GTK calls `connect_close_request`'s closure at once, while this handler runs.
            self.window.close();
        }
    }
}

fn main() {
    gtk4::init().expect("a display");
    let drivers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    // So that timers and sockets made on this thread are registered with that runtime.
    let _entered = drivers.enter();
    let main_loop = MainLoop::new(None, false);

    // GTK's own work goes on while the kernel is busy.
    let frames = Rc::new(Cell::new(0));
    let counted = frames.clone();
    glib::timeout_add_local(Duration::from_millis(5), move || {
        counted.set(counted.get() + 1);
        glib::ControlFlow::Continue
    });
    // Nobody clicks: the check has failed.
    glib::timeout_add_seconds_local(60, || panic!("not clicked within a minute"));

    let the_loop = main_loop.clone();
    let serving = MainContext::default().spawn_local(async move {
        let result = serve().await;
        the_loop.quit();
        result
    });
    main_loop.run();
    MainContext::default()
        .block_on(serving)
        .expect("it is not aborted")
        .expect("no session fails");
    assert!(frames.get() >= 5, "GTK's timeout fired {} times", frames.get());
    println!("done: GTK's own timeout fired beside the kernel");
}

/// Makes the window, whose signals are posts. A handle may be used whenever GTK calls, also while a handler of the kernel runs.
fn window(kernel: KernelHandle) -> Ui {
    let (window, label) = (Window::builder().title("poe").build(), Label::new(None));
    let button = Button::with_label("Click here");
    let (clicks, closes) = (kernel.clone(), kernel);
    button.connect_clicked(move |_| {
        // An error means that the kernel has ended: then the window is closing.
        let _ = clicks.post("window", CLICKED, ());
    });
    window.connect_close_request(move |_| {
        let _ = closes.signal(closes.kernel_id(), "UIDESTROY", ());
        glib::Propagation::Proceed
    });
    let content = gtk4::Box::new(Orientation::Vertical, 0);
    button.set_vexpand(true);
    content.append(&button);
    content.append(&label);
    window.set_child(Some(&content));
    window.set_default_size(400, 300);
    window.connect_map(|_| println!("the window is there"));
    Ui {
        window,
        label,
        clicks: 0,
        ticks: 0,
        echoed: None,
    }
}

async fn serve() -> Result<(), poe::Error> {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_input(|cx, line: String| cx.client().put(line.to_uppercase()))
        .start(&kernel)
        .await?;
    TcpClient::builder(server.local_name().clone())
        .connected(|cx| cx.server().put("hello from gtk"))
        .server_input(|cx, line: String| -> HandlerResult {
            cx.server().shutdown();
            cx.post("window", ECHOED, line)?;
            Ok(())
        })
        .start(&kernel)?;
    Session::builder(window(kernel.handle()))
        .on(START, |cx, ()| {
            cx.heap.window.present();
            cx.delay(TICK, Duration::from_millis(10), 1);
            cx.alias_set("window")
        })
        .on(TICK, |cx, n| {
            cx.heap.ticks = n;
            cx.heap.show();
            cx.delay(TICK, Duration::from_millis(10), n + 1);
        })
        .on(CLICKED, |cx, ()| {
            cx.heap.clicks += 1;
            println!("click {}", cx.heap.clicks);
            cx.heap.show();
        })
        .on(ECHOED, |cx, line| {
            println!("the server says {line}");
            cx.heap.echoed = Some(line);
        })
        .on(STOP, |cx, ()| println!("stopped after {} clicks", cx.heap.clicks))
        .create(&kernel)?;
    kernel.serve().await
}

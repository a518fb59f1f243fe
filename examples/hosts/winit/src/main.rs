//! A kernel in winit's event loop: the loop polls the kernel's future, and the window's events are posts.
//!
//! winit knows nothing of futures. So the waker sends it an event of its own, and it polls when that comes: the loop
//! sleeps while neither the kernel nor the window has anything to do. Tokio's drivers run elsewhere, in a runtime with one
//! worker. It needs a display; `.ci/gui-hosts` runs it in Xvfb. After three clicks, a few ticks of a timer, and a line that went through a
//! TCP server, the program ends by itself.
//!
//! The same works with every loop that takes events from other threads: Tk, wxWidgets, Qt.

use poe::component::{TcpClient, TcpServer};
use poe::event::{START, STOP};
use poe::{Event, HandlerResult, Kernel, Session};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use winit::application::ApplicationHandler;
use winit::event::{ElementState, MouseButton, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop, EventLoopProxy};
use winit::window::{Window, WindowId};

const OPENED: Event<Rc<Window>> = Event::new("opened");
const TICK: Event<u32> = Event::new("tick");
const CLICKED: Event<()> = Event::new("clicked");
const ECHOED: Event<String> = Event::new("echoed");

const CLICKS: u32 = 3;
const TICKS: u32 = 10;

/// The kernel is to be polled.
#[derive(Debug)]
struct Woken;

struct LoopWaker(EventLoopProxy<Woken>);

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        // An error means that the loop has ended.
        let _ = self.0.send_event(Woken);
    }
}

/// The host: a kernel, its future, and the waker that reaches the loop.
struct Host {
    kernel: Kernel,
    serving: Pin<Box<dyn Future<Output = Result<(), poe::Error>>>>,
    waker: Waker,
    polls: u32,
    gives_up: Instant,
    outcome: Option<Result<(), poe::Error>>,
}

impl Host {
    fn poll(&mut self, event_loop: &ActiveEventLoop) {
        self.polls += 1;
        if let Poll::Ready(result) = self.serving.as_mut().poll(&mut Context::from_waker(&self.waker)) {
            self.outcome = Some(result);
            event_loop.exit();
        }
    }
}

impl ApplicationHandler<Woken> for Host {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        self.poll(event_loop);
        let window = event_loop.create_window(Window::default_attributes().with_title("poe"));
        let window = Rc::new(window.expect("a window"));
        self.kernel
            .post("window", OPENED, window)
            .expect("the session is there");
        println!("the window is there");
        event_loop.set_control_flow(ControlFlow::WaitUntil(self.gives_up));
    }

    fn user_event(&mut self, event_loop: &ActiveEventLoop, _: Woken) {
        self.poll(event_loop);
    }

    fn window_event(&mut self, _: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        // winit calls only between two polls, so the kernel itself may be used. A post wakes it. An error means that it has ended.
        match event {
            WindowEvent::MouseInput {
                state: ElementState::Pressed,
                button: MouseButton::Left,
                ..
            } => {
                let _ = self.kernel.post("window", CLICKED, ());
            }
            WindowEvent::CloseRequested => {
                let _ = self.kernel.signal(self.kernel.id(), "UIDESTROY", ());
            }
            _ => {}
        }
    }

    fn about_to_wait(&mut self, _: &ActiveEventLoop) {
        assert!(Instant::now() < self.gives_up, "not clicked within a minute");
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
    let event_loop = EventLoop::<Woken>::with_user_event().build().expect("a display");
    let kernel = Kernel::new();
    let mut host = Host {
        serving: Box::pin(serve(kernel.clone())),
        kernel,
        waker: Arc::new(LoopWaker(event_loop.create_proxy())).into(),
        polls: 0,
        gives_up: Instant::now() + Duration::from_secs(60),
        outcome: None,
    };
    let began = Instant::now();
    event_loop.run_app(&mut host).expect("the loop runs");
    host.outcome
        .take()
        .expect("the kernel has ended")
        .expect("no session fails");
    // A loop that polls again and again would have done so a million times.
    let most = 200 + began.elapsed().as_millis();
    assert!(u128::from(host.polls) < most, "{} polls", host.polls);
    println!("done: {} polls", host.polls);
}

/// What the session `window` owns.
#[derive(Default)]
struct Ui {
    window: Option<Rc<Window>>,
    clicks: u32,
    ticks: u32,
    echoed: Option<String>,
}

impl Ui {
    fn show(&self) {
        if let Some(window) = &self.window {
            window.set_title(&format!("{} clicks, {} ticks", self.clicks, self.ticks));
        }
    }

    fn is_done(&self) -> bool {
        self.clicks >= CLICKS && self.ticks >= TICKS && self.echoed.is_some()
    }
}

async fn serve(kernel: Kernel) -> Result<(), poe::Error> {
    Session::builder(Ui::default())
        .on(START, |cx, ()| cx.alias_set("window"))
        .on(OPENED, |cx, window| {
            cx.heap.window = Some(window);
            cx.delay(TICK, Duration::from_millis(10), 1);
        })
        .on(TICK, |cx, n| -> HandlerResult {
            cx.heap.ticks = n;
            cx.heap.show();
            match cx.heap.is_done() {
                true => cx.signal(cx.kernel_id(), "UIDESTROY", ())?,
                false => cx.delay(TICK, Duration::from_millis(10), n + 1),
            }
            Ok(())
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
    let server = TcpServer::builder("127.0.0.1:0")
        .client_input(|cx, line: String| cx.client().put(line.to_uppercase()))
        .start(&kernel)
        .await?;
    TcpClient::builder(server.local_name().clone())
        .connected(|cx| cx.server().put("hello from winit"))
        .server_input(|cx, line: String| -> HandlerResult {
            cx.server().shutdown();
            cx.post("window", ECHOED, line)?;
            Ok(())
        })
        .start(&kernel)?;
    kernel.serve().await
}

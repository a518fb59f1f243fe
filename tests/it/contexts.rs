//! One context type: `cx.heap` is the user's heap in every session, beside a component's data.

use poe::component::{Client, Listener, SHUTDOWN, Server, TcpClient, TcpServer};
use poe::event::{START, STOP};
use poe::filter::Line;
use poe::{Context, Event, Kernel, ObjectStates, Package, Reply, Session, States};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// A run that must come to an end.
async fn run(kernel: &Kernel) {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, kernel.run())
        .await
        .expect("the run ends")
        .unwrap();
}

struct Peer {
    lines: u32,
    names: Vec<String>,
}

#[tokio::test]
async fn a_servers_callbacks_have_the_users_heap_and_the_connection_at_once() {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_heap(|_| Peer {
            lines: 0,
            names: vec!["first".to_owned()],
        })
        .client_input(|cx, line| {
            let client = cx.client();
            let h: &mut Peer = &mut cx.heap;
            h.lines += 1;
            h.names.push(line);
            for name in &h.names {
                client.put(format!("{} {name}", h.lines));
            }
            client.shutdown();
            h.names.clear();
        })
        .client_disconnected(|cx| assert!(cx.heap.lines == 1 && cx.heap.names.is_empty()))
        .start(&kernel)
        .await
        .unwrap();
    let heard = Rc::new(Cell::new(0));
    let ours = heard.clone();
    TcpClient::builder(server.local_name())
        .heap(Vec::new())
        .connected(|cx| cx.server().put("second"))
        .server_input(|cx, line| {
            let link = cx.server();
            let lines: &mut Vec<String> = &mut cx.heap;
            lines.push(line);
            assert!(link.is_connected() && !lines.is_empty());
        })
        .disconnected(move |cx| {
            assert_eq!(*cx.heap, ["1 first", "1 second"]);
            ours.set(cx.heap.len());
            server.shutdown();
        })
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(heard.get(), 2);
}

#[tokio::test]
async fn a_number_for_a_heap_is_counted_with_one_star() {
    let kernel = Kernel::new();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_heap(|_| 0_u32)
        .client_input(|cx, _| {
            *cx.heap += 1;
            cx.client().put(cx.heap.to_string());
        })
        .start(&kernel)
        .await
        .unwrap();
    let total = Rc::new(Cell::new(0));
    let sum = total.clone();
    TcpClient::builder(server.local_name())
        .heap(0_u32)
        .connected(|cx| (0..3).for_each(|_| cx.server().put("count")))
        .server_input(move |cx, line| -> poe::HandlerResult {
            *cx.heap += line.parse::<u32>()?;
            sum.set(*cx.heap);
            if line == "3" {
                cx.server().shutdown();
                server.shutdown();
            }
            Ok(())
        })
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(total.get(), 1 + 2 + 3);
}

fn serve(cx: &mut Context<'_, u32, Client<Line>>, line: String) {
    *cx.heap += 1;
    cx.client().put(format!("{line} {}", *cx.heap));
}

fn listen(cx: &mut Context<'_, (), Listener>) {
    assert!(cx.listener().is_listening());
}

fn ask(cx: &mut Context<'_, u32, Server<Line>>) {
    *cx.heap += 1;
    cx.server().put(format!("{} of {}", *cx.heap, cx.target()));
}

#[tokio::test]
async fn functions_name_the_contexts_of_components() {
    const TOTAL: Event<(), u32> = Event::new("total");
    struct Book(Cell<u32>);
    impl Book {
        fn total(&self, cx: &mut Context<'_, u32, Client<Line>>, (): ()) -> Reply<u32> {
            self.0.set(*cx.heap);
            Reply(*cx.heap)
        }
        fn states(methods: ObjectStates<Book, u32, Client<Line>>) -> ObjectStates<Book, u32, Client<Line>> {
            methods.on(TOTAL, Book::total)
        }
    }
    let kernel = Kernel::new();
    let book = Rc::new(Book(Cell::new(0)));
    let states = States::<u32, Client<Line>>::new().object_states(&book, Book::states);
    let server = TcpServer::builder("127.0.0.1:0")
        .client_heap(|_| 0_u32)
        .started(listen)
        .client_input(serve)
        .inline_states(&states)
        .client_disconnected(|cx| -> poe::HandlerResult {
            let me = cx.session_id();
            assert_eq!(cx.call(me, TOTAL, ())?, 1);
            Ok(())
        })
        .start(&kernel)
        .await
        .unwrap();
    let name = server.local_name().clone();
    TcpClient::builder(server.local_name())
        .heap(0_u32)
        .connected(ask)
        .server_input(move |cx, line| {
            assert_eq!(line, format!("1 of {name} 1"));
            cx.server().shutdown();
            server.shutdown();
        })
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(book.0.get(), 1);
}

/// The wheel of a connection that ends while a handler holds it does nothing any more, and keeps no session alive.
#[tokio::test]
async fn a_connection_that_ends_while_its_wheel_is_held_is_over() {
    let kernel = Kernel::new();
    let late = Rc::new(Cell::new(false));
    let refused = late.clone();
    let server = TcpServer::builder("127.0.0.1:0")
        .client_input(move |cx, _| -> poe::HandlerResult {
            let (me, link) = (cx.session_id(), cx.client());
            let wheel = link.wheel().expect("there is a connection");
            cx.call(me, SHUTDOWN, ())?;
            refused.set(wheel.put("late".to_owned()).is_err() && link.try_put("later").is_err());
            Ok(())
        })
        .start(&kernel)
        .await
        .unwrap();
    let other = server.clone();
    TcpClient::builder(server.local_name())
        .connected(|cx| cx.server().put("the end, please"))
        .server_input(|_, line| unreachable!("{line}"))
        .disconnected(move |_| other.shutdown())
        .start(&kernel)
        .unwrap();
    run(&kernel).await;
    assert!(kernel.session_count() == 0);
    assert!(late.get());
}

/// The same package for sessions with and without a component.
#[tokio::test]
async fn a_package_can_be_for_every_context() {
    const ADD: Event<u32> = Event::new("add");
    struct Adds;
    impl<H: AsMut<[u32]> + 'static, X: 'static> Package<H, X> for Adds {
        fn states(&self) -> States<H, X> {
            States::<H, X>::new().on(ADD, |cx, n| cx.heap.as_mut()[0] += n)
        }
    }
    let kernel = Kernel::new();
    let sums = Rc::new(Cell::new(0));
    let (one, two) = (sums.clone(), sums.clone());
    Session::builder([0_u32])
        .package_states(&Adds)
        .on(START, |cx, ()| cx.yield_to(ADD, 3))
        .on(STOP, move |cx, ()| one.set(one.get() + cx.heap[0]))
        .create(&kernel)
        .unwrap();
    Session::builder_with([0_u32], "a component's part")
        .package_states(&Adds)
        .on(START, |cx, ()| {
            assert_eq!(*cx.component(), "a component's part");
            cx.yield_to(ADD, 4);
        })
        .on(STOP, move |cx, ()| two.set(two.get() + cx.heap[0]))
        .create(&kernel)
        .unwrap();
    run(&kernel).await;
    assert_eq!(sums.get(), 7);
}

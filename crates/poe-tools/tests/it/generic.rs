//! Generic: a thousand objects, panics, refusals, ends; on threads and in processes.

use crate::kit::{LONG, Log, finish};
use poe::event::START;
use poe::{Event, Kernel, Session};
use poe_tools::{Generic, GenericError};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::ThreadId;

const DONE: Event<Result<u64, GenericError>> = Event::new("done");

/// A thousand objects that are not `Send`, each with its thread; each adds ten numbers in order.
#[tokio::test]
async fn a_thousand_objects_on_threads_make_their_calls_in_order_and_end() {
    struct Adder {
        sum: Rc<Cell<u64>>,
        thread: ThreadId,
        dropped: Arc<AtomicUsize>,
    }
    impl Drop for Adder {
        fn drop(&mut self) {
            assert_eq!(std::thread::current().id(), self.thread);
            self.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
    let kernel = Kernel::new();
    let dropped = Arc::new(AtomicUsize::new(0));
    for n in 0..1000_u64 {
        let count = dropped.clone();
        let object = Generic::builder(move || {
            Ok::<_, String>(Adder {
                sum: Rc::new(Cell::new(n)),
                thread: std::thread::current().id(),
                dropped: count.clone(),
            })
        });
        let object = object.stack_size(128 * 1024).start(&kernel).unwrap();
        Session::builder((object, Vec::new()))
            .on(START, move |cx, ()| -> poe::HandlerResult {
                for k in 1..=10 {
                    let add = move |adder: &mut Adder| {
                        adder.sum.set(adder.sum.get() * 2 + k);
                        adder.sum.get()
                    };
                    cx.heap.0.call(cx, add, DONE)?;
                }
                Ok(())
            })
            .on(DONE, move |cx, sum| {
                cx.heap.1.push(sum.unwrap());
                if cx.heap.1.len() == 10 {
                    let expected: Vec<u64> = (1..=10)
                        .scan(n, |sum, k| {
                            *sum = *sum * 2 + k;
                            Some(*sum)
                        })
                        .collect();
                    assert_eq!(cx.heap.1, expected);
                    cx.heap.0.shutdown(cx);
                }
            })
            .create(&kernel)
            .unwrap();
    }
    finish(&kernel).await;
    assert_eq!(dropped.load(Ordering::SeqCst), 1000);
}

#[tokio::test]
async fn a_panic_ends_the_object_and_the_next_call_gets_another_one() {
    let kernel = Kernel::new();
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let object = Generic::builder(move || match count.fetch_add(1, Ordering::SeqCst) {
        // The one after the panic fails once.
        1 => Err("out of memory"),
        n => Ok(100 * n as u64),
    });
    let object = object.start(&kernel).unwrap();
    let log = Log::default();
    Session::builder(log.clone())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            object.call(
                cx,
                |n| {
                    *n += 1;
                    *n
                },
                DONE,
            )?;
            object.call(cx, |_| panic!("division by zero"), DONE)?;
            object.call(cx, |n| *n, DONE)?;
            object.call(
                cx,
                |n| {
                    *n += 1;
                    *n
                },
                DONE,
            )?;
            Ok(())
        })
        .on(DONE, |cx, result| {
            let how = match &result {
                Ok(n) => n.to_string(),
                Err(error) => format!("{error} ({} {})", error.is_panicked(), error.is_unavailable()),
            };
            cx.heap.add(how);
        })
        .create(&kernel)
        .unwrap();
    finish(&kernel).await;
    let expected = [
        "1",
        "the call panicked: division by zero (true false)",
        "the object cannot be made: out of memory (false true)",
        "201",
    ];
    assert_eq!(log.lines(), expected);
}

#[tokio::test]
async fn a_busy_object_refuses_calls_and_a_caller_that_stops_withdraws_those_that_wait() {
    let kernel = Kernel::new();
    let (release, wait) = mpsc::channel::<()>();
    let calls = Arc::new(AtomicUsize::new(0));
    let object = Generic::builder(|| Ok::<_, String>(()))
        .capacity(2)
        .start(&kernel)
        .unwrap();
    let log = Log::default();
    let (first, second, count) = (object.clone(), object, calls.clone());
    let wait = Rc::new(RefCell::new(Some(wait)));
    // Its call blocks the object.
    Session::builder(log.clone())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let (begin, begun) = mpsc::channel::<()>();
            let wait = wait.take().unwrap();
            first.call(
                cx,
                move |()| {
                    begin.send(()).unwrap();
                    wait.recv_timeout(LONG).unwrap();
                    1
                },
                DONE,
            )?;
            begun.recv_timeout(LONG)?;
            Ok(())
        })
        .on(DONE, |cx, n| cx.heap.add(format!("{n:?}")))
        .create(&kernel)
        .unwrap();
    let gone = Session::builder(())
        .on(START, move |cx, ()| -> poe::HandlerResult {
            let call = || {
                let count = count.clone();
                move |(): &mut ()| {
                    count.fetch_add(1, Ordering::SeqCst);
                    2_u64
                }
            };
            second.call(cx, call(), DONE)?;
            second.call(cx, call(), DONE)?;
            let refused = second.call(cx, call(), DONE).unwrap_err();
            assert!(
                refused.is_full() && refused.to_string().contains("2 calls wait"),
                "{refused}"
            );
            assert_eq!((refused.into_call()(&mut ()), second.waiting()), (2, 2));
            let second = second.clone();
            cx.state("leave", move |cx, ()| {
                second.shutdown(cx);
                cx.signal(cx.session_id(), "KILL", ()).unwrap();
            });
            cx.yield_to("leave", ());
            Ok(())
        })
        .on(DONE, |_, _| panic!("it has stopped"))
        .create(&kernel)
        .unwrap();
    let test = async {
        while kernel.is_alive(gone) {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
    };
    tokio::join!(finish(&kernel), test);
    // The one that was refused was called by the test itself.
    assert_eq!(
        (log.lines(), calls.load(Ordering::SeqCst)),
        (vec!["Ok(1)".to_owned()], 1)
    );
}

#[tokio::test]
async fn a_component_that_is_killed_ends_its_thread_and_refuses_calls() {
    let kernel = Kernel::new();
    let (ended, end) = mpsc::channel();
    struct Told(mpsc::Sender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let object = Generic::builder(move || Ok::<_, String>(Told(ended.clone())))
        .start(&kernel)
        .unwrap();
    kernel.signal(object.session_id(), "KILL", ()).unwrap();
    finish(&kernel).await;
    end.recv_timeout(LONG).unwrap();
    Session::builder(())
        .on(START, move |cx, ()| {
            let refused = object.call(cx, |_| 1, DONE).unwrap_err();
            assert!(refused.is_closed() && refused.to_string().contains("shut down"));
        })
        .create(&kernel)
        .unwrap();
    finish(&kernel).await;
}

#[cfg(all(unix, feature = "process"))]
mod processes {
    use super::*;
    use poe::component::{Backoff, ChildSpec, Strategy, Supervisor};
    use poe_tools::{GenericProcess, GenericProcessBuilder, serve_process_on};
    use serde::{Deserialize, Serialize};
    use std::process::Command;
    use std::time::Duration;

    #[derive(Clone, Debug, Serialize, Deserialize)]
    enum Ask {
        Add(u64),
        Fail,
        Panic,
        Exit(i32),
        Hang,
        Garbage,
    }

    /// The program of the child: this test binary, whose standard output is descriptor 3, because the test harness prints on 1.
    #[test]
    fn child() {
        if std::env::var_os("POE_TOOLS_CHILD").is_none() {
            return;
        }
        let output = std::fs::OpenOptions::new().write(true).open("/dev/fd/3").unwrap();
        let mut raw = output.try_clone().unwrap();
        let mut sum = 0;
        let served = serve_process_on(std::io::stdin(), output, |ask: Ask| match ask {
            Ask::Add(n) => {
                sum += n;
                Ok(sum)
            }
            Ask::Fail => Err("no such row"),
            Ask::Panic => panic!("a bug"),
            Ask::Exit(code) => std::process::exit(code),
            Ask::Hang => loop {
                std::thread::sleep(LONG);
            },
            Ask::Garbage => {
                std::io::Write::write_all(&mut raw, b"7\0garbage").unwrap();
                Ok(0)
            }
        });
        std::process::exit(i32::from(served.is_err()));
    }

    fn builder() -> GenericProcessBuilder<Ask, u64> {
        GenericProcess::builder(|| {
            let mut command = Command::new("sh");
            let run = r#"exec 3>&1 >/dev/null 2>/dev/null; exec "$0" --exact generic::processes::child --nocapture"#;
            command
                .args(["-c", run])
                .arg(std::env::current_exe().unwrap())
                .env("POE_TOOLS_CHILD", "1");
            command
        })
    }

    type Asker = Rc<GenericProcess<Ask, u64>>;

    /// Asks in order, each when the reply to the one before has come, and notes the replies.
    fn ask(kernel: &Kernel, process: GenericProcess<Ask, u64>, asks: impl IntoIterator<Item = Ask>) -> Log {
        const NEXT: Event<()> = Event::new("next");
        let log = Log::default();
        let asks: RefCell<Vec<Ask>> = RefCell::new(asks.into_iter().collect());
        asks.borrow_mut().reverse();
        let process: Asker = Rc::new(process);
        Session::builder((log.clone(), process))
            .on(START, |cx, ()| cx.yield_to(NEXT, ()))
            .on(NEXT, move |cx, ()| {
                let next = asks.borrow_mut().pop();
                let Some(next) = next else {
                    return cx.heap.1.shutdown(cx);
                };
                if let Err(refused) = cx.heap.1.call(cx, next, DONE) {
                    // It is being started again.
                    assert!(refused.is_closed(), "{refused}");
                    asks.borrow_mut().push(refused.into_call());
                    cx.delay(NEXT, 0.01, ());
                }
            })
            .on(DONE, |cx, reply| {
                let reply = match reply {
                    Ok(sum) => sum.to_string(),
                    Err(error) if error.is_ended() => format!("ended: {error}"),
                    Err(error) if error.is_timed_out() => "timed out".to_owned(),
                    Err(error) => {
                        assert!(error.is_failed());
                        error.to_string()
                    }
                };
                cx.heap.0.add(reply);
                cx.yield_to(NEXT, ());
            })
            .create(kernel)
            .unwrap();
        log
    }

    #[tokio::test]
    async fn replies_and_errors_of_a_child_come_in_order_and_a_panic_there_is_an_error_here() {
        let kernel = Kernel::new();
        let process = builder().start(&kernel).unwrap();
        let session = process.session_id();
        let log = ask(
            &kernel,
            process,
            [Ask::Add(1), Ask::Fail, Ask::Add(2), Ask::Panic, Ask::Add(4)],
        );
        finish(&kernel).await;
        assert_eq!(log.lines(), ["1", "no such row", "3", "panicked: a bug", "7"]);
        assert!(!kernel.is_alive(session));
    }

    #[tokio::test]
    async fn a_child_that_exits_hangs_or_writes_nonsense_is_started_again() {
        let kernel = Kernel::new();
        let backoff = Backoff::new().first(Duration::from_millis(1)).jitter(0.0);
        let process = builder()
            .restart(backoff)
            .time_limit(Duration::from_secs(2))
            .start(&kernel)
            .unwrap();
        let asks = [
            Ask::Add(1),
            Ask::Exit(3),
            Ask::Add(2),
            Ask::Hang,
            Ask::Add(3),
            Ask::Garbage,
            Ask::Add(4),
        ];
        let log = ask(&kernel, process, asks);
        finish(&kernel).await;
        let expected = [
            "1",
            "ended: no reply: its process has ended (exit status: 3)",
            "2",
            "timed out",
            "3",
            "ended",
            "4",
        ];
        let mut lines = log.lines();
        let nonsense = "ended: no reply: its process was killed: ";
        assert!(lines[5].starts_with(nonsense), "{lines:?}");
        lines[5] = "ended".to_owned();
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn a_killed_child_fails_all_calls_and_its_supervisor_starts_another() {
        let kernel = Kernel::new();
        let current: Rc<RefCell<Option<GenericProcess<Ask, u64>>>> = Rc::default();
        let started = current.clone();
        let child = ChildSpec::new("adder", move |cx| {
            let process = cx.start(builder())?;
            let id = process.session_id();
            *started.borrow_mut() = Some(process);
            Ok::<_, poe::Error>(id)
        });
        let supervisor = Supervisor::builder(Strategy::OneForOne)
            .child(child)
            .start(&kernel)
            .unwrap();
        let log = Log::default();
        let heap = (log.clone(), current, supervisor);
        Session::builder(heap)
            .on(START, |cx, ()| {
                let first = cx.heap.1.borrow().clone().unwrap();
                for _ in 0..3 {
                    first.call(cx, Ask::Hang, DONE).unwrap();
                }
                assert_eq!(first.waiting(), 3);
                assert!(first.kill("KILL").unwrap());
            })
            .on(DONE, |cx, reply| {
                cx.heap.0.add(match &reply {
                    Ok(sum) => sum.to_string(),
                    Err(error) => format!("{}", error.is_ended()),
                });
                match cx.heap.0.len() {
                    3 => cx.delay("again", 0.01, ()),
                    4 => cx.heap.2.shutdown(),
                    _ => {}
                }
            })
            .on("again", |cx, ()| {
                let now = cx.heap.1.borrow().clone().unwrap();
                if now.call(cx, Ask::Add(5), DONE).is_err() {
                    cx.delay("again", 0.01, ());
                }
            })
            .create(&kernel)
            .unwrap();
        finish(&kernel).await;
        assert_eq!(log.lines(), ["true", "true", "true", "5"]);
    }

    #[tokio::test]
    async fn a_program_that_cannot_be_started_is_an_error_and_requests_have_limits() {
        let kernel = Kernel::new();
        let missing = GenericProcess::<Ask, u64>::builder(|| Command::new("/no/such/program")).start(&kernel);
        assert!(missing.unwrap_err().to_string().contains("/no/such/program"));
        let limited = builder().capacity(2).start(&kernel).unwrap();
        type Table = std::collections::BTreeMap<(u8, u8), u8>; // Storable has text for keys alone
        let other = GenericProcess::<Table, u64>::builder(|| Command::new("cat"))
            .start(&kernel)
            .unwrap();
        Session::builder(())
            .on_failure(poe::OnFailure::StopKernel)
            .on(START, move |cx, ()| {
                let refused = other.call(cx, Table::from([((1, 2), 3)]), DONE).unwrap_err();
                assert!(!refused.is_full() && !refused.is_closed(), "{refused}");
                assert_eq!(refused.into_call().len(), 1);
                for n in 0..2 {
                    limited.call(cx, Ask::Add(n), DONE).unwrap();
                }
                assert!(limited.call(cx, Ask::Fail, DONE).unwrap_err().is_full());
                other.shutdown(cx);
                limited.shutdown(cx);
                assert!(limited.pid().is_some());
            })
            .on(DONE, |_, reply| assert!(reply.is_ok()))
            .create(&kernel)
            .unwrap();
        finish(&kernel).await;
    }

    #[tokio::test]
    #[ignore = "a thousand processes"]
    async fn a_thousand_objects_in_processes_reply_and_end() {
        // Twenty at a time: each is this test program again, of which a thousand do not fit into the memory of most machines.
        for twenty in 0..50 {
            let kernel = Kernel::new();
            let mut logs = Vec::new();
            for n in twenty * 20..twenty * 20 + 20 {
                let process = builder().start(&kernel).unwrap();
                logs.push((n, ask(&kernel, process, [Ask::Add(n), Ask::Panic, Ask::Add(1)])));
            }
            let ran = tokio::time::timeout(10 * LONG, kernel.run()).await;
            ran.expect("they end").unwrap();
            for (n, log) in logs {
                assert_eq!(
                    log.lines(),
                    [n.to_string(), "panicked: a bug".to_owned(), (n + 1).to_string()]
                );
            }
        }
    }

    /// The child is a Perl program with POE's filter.
    #[tokio::test]
    #[ignore = "needs Perl's POE; .ci/run installs it and runs these"]
    async fn a_perl_program_serves_over_its_filter_reference() {
        const PROGRAM: &str = r#"
            use strict; use warnings; use POE::Filter::Reference;
            my ($filter, $sum) = (POE::Filter::Reference->new, 0);
            $| = 1;
            while (sysread STDIN, my $block, 65536) {
                for my $request (@{ $filter->get([$block]) }) {
                    my ($number, $words) = @$request;
                    my $reply = eval { die "no words\n" unless @$words; { Ok => join "-", reverse @$words } };
                    chomp(my $error = $@);
                    print @{ $filter->put([[$number, $reply || { Err => $error }]]) };
                }
            }
        "#;
        const REVERSED: Event<Result<String, GenericError>> = Event::new("reversed");
        let kernel = Kernel::new();
        let process = GenericProcess::<Vec<String>, String>::builder(|| {
            let mut command = Command::new("perl");
            command.args(["-e", PROGRAM]);
            command
        });
        let process = process.start(&kernel).unwrap();
        let log = Log::default();
        Session::builder(log.clone())
            .on(START, move |cx, ()| -> poe::HandlerResult {
                for words in [vec!["a", "b", "c"], vec![], vec!["d"]] {
                    process.call(cx, words.into_iter().map(str::to_owned).collect(), REVERSED)?;
                }
                process.shutdown(cx);
                Ok(())
            })
            .on(REVERSED, |cx, words| {
                cx.heap.add(words.unwrap_or_else(|error| error.to_string()))
            })
            .create(&kernel)
            .unwrap();
        finish(&kernel).await;
        assert_eq!(log.lines(), ["c-b-a", "no words", "d"]);
    }
}

//! Turns and pauses: a yield changes no order, and each ready task has one turn in a slice.

use crate::laws_kit::{said, say};
use crate::properties::{check, paused_runtime};
use poe::event::START;
use poe::filter::Line;
use poe::testing::Transcript;
use poe::wheel::{Input, IoError, ReadWrite};
use poe::{Context, Event, HandlerResult, Kernel, Session};
use proptest::prelude::*;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

const LINE: Event<Input<String>> = Event::new("line");
const ERROR: Event<IoError> = Event::new("error");
const NOTE: Event<String> = Event::new("note");

fn kernel(budget: u32) -> Kernel {
    poe::testing::builder().budget(budget).slice(Duration::MAX).build()
}

/// A session with a wheel that logs and posts its lines.
fn reader(kernel: &Kernel, name: &'static str, io: DuplexStream) {
    let io = Cell::new(Some(io));
    Session::builder(None::<ReadWrite>)
        .on(START, move |cx, ()| -> HandlerResult {
            *cx.heap = Some(
                ReadWrite::builder(io.take().unwrap())
                    .input(Line::new(), LINE)
                    .error(ERROR)
                    .block_size(4)
                    .start(cx)?,
            );
            Ok(())
        })
        .on(LINE, move |cx, input| {
            say(format!("{name} reads {}", input.record));
            cx.yield_to(NOTE, input.record);
        })
        .on(ERROR, |cx, _| *cx.heap = None)
        .on(NOTE, move |_, line| say(format!("{name} notes {line}")))
        .create(kernel)
        .unwrap();
}

/// Runs beside a host that counts how often it had its turn.
async fn run_beside(kernel: &Kernel, turns: &Cell<u32>) {
    let host = async {
        loop {
            turns.set(turns.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        ran = kernel.run() => ran.unwrap(),
        () = host => unreachable!("it has no end"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_records_of_one_read_stay_together_though_the_kernel_yields_between_them() {
    for budget in [1, 2, 1024] {
        let kernel = kernel(budget);
        let (mut peer, ours) = duplex(64);
        peer.write_all(b"1\n2\n").await.unwrap();
        peer.write_all(b"3\n4\n").await.unwrap();
        drop(peer);
        reader(&kernel, "a", ours);
        let turns = Cell::new(0);
        run_beside(&kernel, &turns).await;
        assert_eq!(
            said(),
            [
                "a reads 1",
                "a reads 2",
                "a notes 1",
                "a notes 2",
                "a reads 3",
                "a reads 4",
                "a notes 3",
                "a notes 4"
            ],
            "budget {budget}"
        );
        // Each of the eight events was followed by a turn of the host, at least.
        assert!(budget != 1 || turns.get() >= 8, "{} turns", turns.get());
    }
}

#[tokio::test(start_paused = true)]
async fn ready_wheels_take_turns_a_block_each_in_the_order_in_which_they_became_ready() {
    for budget in [1, 3, 1024] {
        let kernel = kernel(budget);
        let mut peers = Vec::new();
        for name in ["a", "b"] {
            let (mut peer, ours) = duplex(64);
            peer.write_all(b"1\n2\n3\n4\n").await.unwrap();
            reader(&kernel, name, ours);
            peers.push(peer);
        }
        drop(peers);
        run_beside(&kernel, &Cell::new(0)).await;
        assert_eq!(
            said(),
            [
                "a reads 1",
                "a reads 2",
                "b reads 1",
                "b reads 2",
                "a notes 1",
                "a notes 2",
                "b notes 1",
                "b notes 2",
                "a reads 3",
                "a reads 4",
                "b reads 3",
                "b reads 4",
                "a notes 3",
                "a notes 4",
                "b notes 3",
                "b notes 4",
            ],
            "budget {budget}"
        );
    }
}

/// One step of a handler. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Post(usize),
    Past,
    Later(u8),
    /// Puts a line into one of the wheels, which the session at its other end reads.
    Put(usize),
    /// A future that is ready at its first poll, or after some.
    Spawn(u8),
    Items(u8),
    Pause,
    Resume,
    /// Changes the input filter.
    Switch,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..8_usize).prop_map(Step::Post),
        1 => Just(Step::Past),
        2 => (0..3_u8).prop_map(Step::Later),
        6 => (0..8_usize).prop_map(Step::Put),
        2 => (0..3_u8).prop_map(Step::Spawn),
        1 => (0..4_u8).prop_map(Step::Items),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        1 => Just(Step::Switch),
    ]
}

#[derive(Clone, Debug)]
struct Program {
    sessions: usize,
    /// Bytes that the stream between two sessions holds, and a wheel reads at once.
    room: usize,
    block: usize,
    /// The actions of the events, in turn, as long as there is fuel.
    steps: Vec<Vec<Step>>,
    fuel: u32,
    budget: u32,
}

fn programs() -> impl Strategy<Value = Program> {
    (
        1_usize..4,
        8_usize..64,
        2_usize..16,
        prop::collection::vec(prop::collection::vec(step(), 0..4), 1..10),
        5_u32..60,
        1_u32..8,
    )
        .prop_map(|(sessions, room, block, steps, fuel, budget)| Program {
            sessions,
            room,
            block,
            steps,
            fuel,
            budget,
        })
}

/// The state shared by all sessions of a program.
struct World {
    program: Program,
    at: Cell<usize>,
    fuel: Cell<u32>,
    ids: std::cell::RefCell<Vec<poe::SessionId>>,
}

struct Heap {
    /// The ends of this session's streams.
    wheels: Vec<ReadWrite>,
}

impl World {
    fn act(&self, cx: &mut Context<'_, Heap>) {
        if self.fuel.get() == 0 {
            cx.heap.wheels.clear();
            return;
        }
        self.fuel.set(self.fuel.get() - 1);
        let at = self.at.get();
        self.at.set(at + 1);
        for (n, step) in self.program.steps[at % self.program.steps.len()].iter().enumerate() {
            let text = format!("{at}.{n}");
            let (kernel, wheels) = (cx.kernel, &cx.heap.wheels);
            match step {
                Step::Post(to) => {
                    let ids = self.ids.borrow();
                    if let Some(to) = ids.get(to % self.program.sessions) {
                        let _ = kernel.post(*to, NOTE, text);
                    }
                }
                Step::Past => _ = kernel.delay_set(NOTE, -1.0, text),
                Step::Later(ms) => _ = kernel.delay_set(NOTE, f64::from(*ms) / 1000.0, text),
                Step::Put(which) => {
                    if let Some(wheel) = wheels.get(which % wheels.len().max(1)) {
                        let _ = wheel.put(text);
                    }
                }
                Step::Spawn(polls) => {
                    let mut left = *polls;
                    let future = std::future::poll_fn(move |cx| {
                        if left == 0 {
                            return std::task::Poll::Ready(());
                        }
                        left -= 1;
                        cx.waker().wake_by_ref();
                        std::task::Poll::Pending
                    });
                    kernel.spawn(
                        async move {
                            future.await;
                            text
                        },
                        NOTE,
                    );
                }
                Step::Items(items) => {
                    kernel.attach(futures_util::stream::iter(0..*items), "item");
                }
                Step::Pause => wheels.iter().for_each(ReadWrite::pause_input),
                Step::Resume => wheels.iter().for_each(ReadWrite::resume_input),
                Step::Switch => {
                    for wheel in wheels {
                        wheel.set_filter(Line::new(), LINE).unwrap();
                    }
                }
            }
        }
    }
}

/// The events of a program on a kernel with that budget.
fn transcript(program: &Program, budget: u32) -> Vec<String> {
    paused_runtime().block_on(async {
        let kernel = kernel(budget);
        let transcript = Transcript::of(&kernel);
        let world = Rc::new(World {
            program: program.clone(),
            at: Cell::new(0),
            fuel: Cell::new(program.fuel),
            ids: std::cell::RefCell::default(),
        });
        // A ring of streams: each session has the ends of two.
        let mut ends: Vec<Vec<DuplexStream>> = (0..program.sessions).map(|_| Vec::new()).collect();
        for from in 0..program.sessions {
            let (one, other) = duplex(program.room);
            ends[from].push(one);
            ends[(from + 1) % program.sessions].push(other);
        }
        for own in ends {
            let (own, begin, on_line, on_note, on_item) = (
                Cell::new(own),
                world.clone(),
                world.clone(),
                world.clone(),
                world.clone(),
            );
            let id = Session::builder(Heap { wheels: Vec::new() })
                .on(START, move |cx, ()| -> HandlerResult {
                    for io in own.take() {
                        let wheel = ReadWrite::builder(io)
                            .input(Line::new(), LINE)
                            .block_size(begin.program.block);
                        let wheel = wheel.start(cx)?;
                        cx.heap.wheels.push(wheel);
                    }
                    cx.yield_to(NOTE, "begin".to_owned());
                    Ok(())
                })
                .on(LINE, move |cx, input| {
                    say(format!("{} reads {}", cx.session_id(), input.record));
                    on_line.act(cx);
                })
                .on(NOTE, move |cx, note| {
                    say(format!("{} notes {note}", cx.session_id()));
                    on_note.act(cx);
                })
                .on("item", move |cx, item: Option<u8>| {
                    say(format!("{} takes {item:?}", cx.session_id()));
                    on_item.act(cx);
                })
                .create(&kernel)
                .unwrap();
            world.ids.borrow_mut().push(id);
        }
        // What still holds them when the fuel is used up: paused wheels.
        let ended = tokio::time::timeout(Duration::from_secs(60), kernel.run()).await;
        if ended.is_err() {
            kernel.stop_all().unwrap();
        }
        let mut lines = transcript.lines_without_places();
        lines.extend(said());
        lines
    })
}

/// A yield is a pause: whatever the budget is, the same events come in the same order.
#[test]
fn whatever_the_budget_is_programs_with_io_have_the_same_transcript() {
    let seen = Cell::new(0);
    check(200, programs(), |program| {
        let whole = transcript(&program, u32::MAX);
        prop_assert_eq!(&transcript(&program, 1), &whole);
        prop_assert_eq!(&transcript(&program, program.budget), &whole);
        seen.set(seen.get() + whole.iter().filter(|line| line.contains(" reads ")).count());
        Ok(())
    });
    assert!(seen.get() > 100, "the programs read only {} lines", seen.get());
}

//! The sessions themselves: they do on a real kernel what the script says, and write down what happens.
//!
//! Each handler writes one line (time, session, event, sender, the sender's event, and what came along), takes the next
//! batch of the script and does it, with a line for each step and its result. The model writes the same by itself.

use super::script::{ALIASES, KERNEL, Kind, Op, RINGS, SIGNALS, TAGS, Who};
use super::{ON_PURPOSE, Token};
use poe::event::{CHILD, ChildReason, DEFAULT, PARENT, START, STOP};
use poe::{Context, Delta, Event, Failure, Kernel, Name, Postback, Reply, Session, SessionId, Signal, TaskId, TimerId};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::sync::oneshot;

const TOLD: Event<Token> = Event::new("told");
const GIVEN: Event<Gift> = Event::new("given");
const ASKED: Event<Token, Token> = Event::new("asked");
const BACK: Event<(Token, Token)> = Event::new("back");
const SPAWNED: Event<Token> = Event::new("spawned");
const RELEASE: Event<()> = Event::new("release");

type Back = Postback<Token, Token>;

/// A postback on its way into another's heap.
struct Gift(Back);

/// What all sessions of a schedule share.
#[derive(Default)]
pub(super) struct World {
    pub(super) script: RefCell<VecDeque<Vec<Op>>>,
    /// All that there ever were, by serial number.
    pub(super) sessions: RefCell<Vec<SessionId>>,
    timers: RefCell<Vec<TimerId>>,
    tasks: RefCell<Vec<(TaskId, Option<oneshot::Sender<()>>)>>,
    tokens: Cell<Token>,
    pub(super) log: RefCell<Vec<String>>,
    began: Cell<Option<tokio::time::Instant>>,
}

impl World {
    /// Each value that is sent has a number of its own.
    fn token(&self) -> Token {
        self.tokens.set(self.tokens.get() + 1);
        self.tokens.get()
    }

    fn session(&self, who: Who, kernel: SessionId) -> SessionId {
        let sessions = self.sessions.borrow();
        match who {
            KERNEL => kernel,
            _ => sessions[who % sessions.len()],
        }
    }

    pub(super) fn say(&self, line: String) {
        self.log.borrow_mut().push(line);
    }

    /// Milliseconds since the schedule began, exactly.
    pub(super) fn now(&self) -> String {
        let began = self.began.get().unwrap_or_else(|| {
            let now = tokio::time::Instant::now();
            self.began.set(Some(now));
            now
        });
        let nanos = began.elapsed().as_nanos();
        match nanos % 1_000_000 {
            0 => (nanos / 1_000_000).to_string(),
            _ => format!("{nanos} ns"),
        }
    }

    /// Lets go of what no handler holds: the futures that wait.
    pub(super) fn release_tasks(&self) {
        let waiting: Vec<_> = self.tasks.borrow_mut().iter_mut().map(|t| t.1.take()).collect();
        drop(waiting);
    }
}

pub(super) struct Life {
    world: Rc<World>,
    backs: Vec<Back>,
}

type Cx<'k> = Context<'k, Life>;

pub(super) fn release(kernel: &Kernel, world: &World) {
    let sessions = world.sessions.borrow().clone();
    for id in sessions {
        // Most are dead.
        drop(kernel.post(id, RELEASE, ()));
    }
    world.release_tasks();
}

/// A session that lives by the script.
pub(super) fn life(world: &Rc<World>, kind: Kind) -> poe::SessionBuilder<Life> {
    let heap = Life {
        world: world.clone(),
        backs: Vec::new(),
    };
    let mut session = Session::builder(heap)
        .on(START, move |cx, ()| {
            let world = cx.heap.world.clone();
            world.sessions.borrow_mut().push(cx.session_id());
            if kind.heeds_die {
                cx.sig("DIE", "heard");
            }
            batch(cx, String::new())?;
            Ok::<_, Failure>(Reply(cx.session_id().get()))
        })
        .on(TOLD, told)
        .on(RINGS[0], |cx, token: Token| batch(cx, token.to_string()))
        .on(RINGS[1], |cx, token: Token| batch(cx, token.to_string()))
        .on(BACK, |cx, (mine, theirs)| batch(cx, format!("{mine} {theirs}")))
        .on(GIVEN, |cx, gift| {
            cx.heap.backs.push(gift.0);
            batch(cx, String::new())
        })
        .on(ASKED, |cx, token| batch(cx, token.to_string()).map(|()| Reply(token)))
        .on(SPAWNED, |cx, token| batch(cx, token.to_string()))
        .on("heard", |cx, signal: Signal| {
            let why = signal
                .die()
                .map(|d| format!(" {} {} {}", d.failure, d.session, d.event));
            batch(cx, format!("{}{}", signal.name(), why.unwrap_or_default()))
        })
        .on(RELEASE, |cx, ()| {
            let me = cx.session_id();
            batch(cx, String::new())?;
            cx.heap.backs.clear();
            cx.alarm_remove_all();
            for alias in cx.alias_list() {
                cx.alias_remove(&alias)?;
            }
            for tag in TAGS {
                while cx.refcount_decrement(me, tag).is_ok() {}
            }
            Ok::<_, Failure>(())
        });
    if !kind.quiet {
        session = session
            .on(STOP, |cx, ()| {
                batch(cx, String::new())?;
                Ok::<_, Failure>(Reply(cx.session_id().get()))
            })
            .on(CHILD, |cx, child| {
                let how = match child.reason {
                    ChildReason::Create => "create",
                    ChildReason::Gain => "gain",
                    _ => "lose",
                };
                let result = child.result.and_then(|r| r.downcast::<u64>().ok());
                batch(cx, format!("{how} {} {result:?}", child.session))
            })
            .on(PARENT, |cx, parent| batch(cx, format!("{} {}", parent.old, parent.new)));
    }
    if kind.default {
        session = session.on(DEFAULT, |cx, unhandled| batch(cx, unhandled.event.to_string()));
    }
    session
}

fn told(cx: &mut Cx<'_>, token: Token) -> poe::HandlerResult {
    batch(cx, token.to_string())
}

/// What every handler does.
fn batch(cx: &mut Cx<'_>, came: String) -> poe::HandlerResult {
    let world = cx.heap.world.clone();
    let by = cx.caller_state().map_or("-".to_owned(), |n: Name| n.to_string());
    world.say(format!(
        "{} {} {} from {} in {by} active {} {} {came}",
        world.now(),
        cx.session_id(),
        cx.event(),
        cx.sender(),
        cx.active_session(),
        cx.active_event().map_or("-".to_owned(), |n| n.to_string()),
    ));
    let ops = world.script.borrow_mut().pop_front().unwrap_or_default();
    for op in ops {
        let what = format!("{op:?}");
        let result = step(cx, &world, op)?;
        world.say(format!("  {} {what}: {result}", cx.session_id()));
    }
    Ok(())
}

/// How it went, in a word.
fn word<T>(result: Result<T, poe::Error>) -> String {
    match result {
        Ok(_) => "ok",
        Err(e) if e.is_no_such_session() => "gone",
        Err(e) if e.is_not_permitted() => "not permitted",
        Err(e) if e.is_alias_taken() => "taken",
        Err(e) if e.is_no_such_alias() || e.is_no_such_timer() || e.is_no_such_tag() => "none",
        Err(e) => return e.to_string(),
    }
    .to_owned()
}

fn posted<A>(result: Result<(), poe::PostError<A>>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(e) if e.is_no_such_session() => "gone".to_owned(),
        Err(e) => e.to_string(),
    }
}

fn step(cx: &mut Cx<'_>, world: &Rc<World>, op: Op) -> Result<String, Failure> {
    let me = cx.session_id();
    let kernel = cx.kernel_id();
    let who = |which| world.session(which, kernel);
    let ms = |n: i64| Delta::from(n as f64 / 1000.0);
    let timer = |which: usize| {
        let timers = world.timers.borrow();
        (!timers.is_empty()).then(|| timers[which % timers.len()])
    };
    let ok = || Ok("ok".to_owned());
    Ok(match op {
        Op::Create(kind) => {
            let created = cx.create(life(world, kind))?;
            created.to_string()
        }
        Op::Post(to) => posted(cx.post(who(to), TOLD, world.token())),
        Op::PostToAlias(to) => posted(cx.post(ALIASES[to], TOLD, world.token())),
        Op::Yield => {
            cx.yield_to(TOLD, world.token());
            return ok();
        }
        Op::Call(to) => called(cx, who(to), world.token()),
        Op::CallMyself => called(cx, me, world.token()),
        Op::Increment(of, tag) => match cx.refcount_increment(who(of), TAGS[tag]) {
            Ok(count) => count.to_string(),
            refused => word(refused),
        },
        Op::Decrement(of, tag) => match cx.refcount_decrement(who(of), TAGS[tag]) {
            Ok(count) => count.to_string(),
            refused => word(refused),
        },
        Op::AliasSet(which) => word(cx.alias_set(ALIASES[which])),
        Op::AliasRemove(which) => word(cx.alias_remove(ALIASES[which])),
        Op::Delay(ring, after) => {
            cx.delay(RINGS[ring], ms(after), world.token());
            return ok();
        }
        Op::DelayAdd(ring, after) => {
            cx.delay_set(RINGS[ring], ms(after), world.token());
            return ok();
        }
        Op::DelaySet(ring, after) => {
            let id = cx.delay_set(RINGS[ring], ms(after), world.token());
            world.timers.borrow_mut().push(id);
            return ok();
        }
        Op::AlarmAdjust(which, by) => timer(which).map_or(String::new(), |id| word(cx.alarm_adjust(id, ms(by)))),
        Op::DelayAdjust(which, after) => timer(which).map_or(String::new(), |id| word(cx.delay_adjust(id, ms(after)))),
        Op::AlarmRemove(which) => timer(which).map_or(String::new(), |id| match cx.alarm_remove(id) {
            Ok(alarm) => format!("{} {:?}", alarm.event, alarm.arg.downcast_ref::<Token>()),
            refused => word(refused),
        }),
        Op::AlarmClear(ring) => cx.alarm_clear(RINGS[ring]).to_string(),
        Op::AlarmRemoveAll => {
            let all = cx.alarm_remove_all();
            let all = all.iter().map(|a| a.arg.downcast_ref::<Token>().copied());
            format!("{:?}", all.flatten().collect::<Vec<_>>())
        }
        Op::Keep => {
            let back = cx.postback(BACK, world.token());
            cx.heap.backs.push(back);
            return ok();
        }
        Op::Give(to) => {
            let back = cx.postback(BACK, world.token());
            posted(cx.post(who(to), GIVEN, Gift(back)))
        }
        Op::Fire => {
            let fired = cx.heap.backs.iter().map(|back| posted(back.post(world.token())));
            fired.collect::<Vec<_>>().join(" ")
        }
        Op::LetGo(which) => {
            if !cx.heap.backs.is_empty() {
                let which = which % cx.heap.backs.len();
                drop(cx.heap.backs.remove(which));
            }
            return ok();
        }
        Op::Weaken => {
            let weak = cx.heap.backs.pop().map(Back::weaken);
            cx.heap.backs.extend(weak);
            return ok();
        }
        Op::DetachMyself => word(cx.detach_myself()),
        Op::DetachChild(which) => word(cx.detach_child(who(which))),
        Op::Signal(to, signal) => posted(cx.signal(who(to), SIGNALS[signal], ())),
        Op::Watch(signal) => {
            cx.sig(SIGNALS[signal], "heard");
            return ok();
        }
        Op::Ignore(signal) => {
            cx.sig_ignore(SIGNALS[signal]);
            return ok();
        }
        Op::HandlerResult => {
            cx.sig_handled();
            return ok();
        }
        Op::Spawn { ready } => {
            let token = world.token();
            let (tell, told) = oneshot::channel::<()>();
            let future = async move {
                // Told, or left by the other end: either will do.
                let _ = told.await;
                token
            };
            let id = cx.spawn(future, SPAWNED);
            let tell = Some(tell).filter(|_| !ready);
            world.tasks.borrow_mut().push((id, tell));
            return ok();
        }
        Op::Resolve(which) => {
            let tell = {
                let mut tasks = world.tasks.borrow_mut();
                let count = tasks.len();
                tasks.get_mut(which % count.max(1)).and_then(|t| t.1.take())
            };
            drop(tell);
            return ok();
        }
        Op::Cancel(which) => {
            let id = {
                let tasks = world.tasks.borrow();
                tasks.get(which % tasks.len().max(1)).map(|t| t.0)
            };
            id.is_some_and(|id| cx.cancel(id)).to_string()
        }
        Op::Mute => cx.state_remove("told").to_string(),
        Op::Unmute => {
            cx.state(TOLD, told);
            return ok();
        }
        Op::Stop => {
            cx.stop_all();
            return ok();
        }
        Op::Fail => return Err(Failure::msg(format!("{ON_PURPOSE} {}", world.token()))),
        Op::Panic => std::panic::panic_any(format!("{ON_PURPOSE} {}", world.token())),
    })
}

fn called(cx: &mut Cx<'_>, who: SessionId, token: Token) -> String {
    match cx.call(who, ASKED, token) {
        Ok(answer) => answer.to_string(),
        Err(e) if e.is_no_such_session() => "gone".to_owned(),
        Err(e) if e.is_unhandled() => "unhandled".to_owned(),
        Err(e) if e.is_died() => "died".to_owned(),
        Err(e) => e.to_string(),
    }
}

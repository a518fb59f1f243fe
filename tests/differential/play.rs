//! Plays a program on this crate's kernel, under virtual time.

use crate::program::{Lines, Program};
use poe::event::{CHILD, Child, ChildReason, DEFAULT, LEAVE, PARENT, Parent, START, STOP, Unhandled};
use poe::{
    AlarmId, CallError, Callback, Caller, Context, Delta, Error, Event, Failure, Handled, Kernel, Machine, Nfa,
    NfaBuilder, NfaState, PostError, Postback, Reply, Session, SessionBuilder, SessionId, Signal, Turn, testing,
};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

const TAGS: [&str; 2] = ["one", "two"];
const ALIASES: [&str; 3] = ["huey", "dewey", "louie"];
const SIGNALS: [&str; 7] = ["HELLO", "TERM", "INT", "UIDESTROY", "IDLE", "ZOMBIE", "DIE"];
const RINGS: [&str; 2] = ["ring", "rang"];
const STATES: [&str; 3] = ["first", "second", "bare"];
const KERNEL: i64 = 8;
/// Half seconds from the beginning of one round to that of the next: longer than any program.
const ROUND: i64 = 20_000;
const ON_PURPOSE: &str = "on purpose";

type Token = u64;

const TOLD: Event<Token> = Event::new("told");
const TOLD_BACK: Event<Token> = Event::new("told_back");
const NOWHERE: Event<Token> = Event::new("nowhere");
const ENTERED: Event<Token> = Event::new("entered");
const GIVEN: Event<Gift> = Event::new("given");
const ASKED: Event<Token, Token> = Event::new("asked");
const BACK: Event<(Token, Token)> = Event::new("back");
const BACKED: Event<(Token, Token), Token> = Event::new("backed");
const HEARD: Event<Signal> = Event::new("heard");

/// A postback on its way into another's heap.
struct Gift(Back);

enum Back {
    Posts(Postback<Token, Token>),
    /// A postback of a machine, which POE cannot weaken (D7).
    Holds(Postback<Token, Token>),
    Calls(Callback<Token, Token, Token>),
}

impl Back {
    fn weaken(self) -> Self {
        match self {
            Back::Posts(back) => Back::Posts(back.weaken()),
            Back::Calls(back) => Back::Calls(back.weaken()),
            holds => holds,
        }
    }
}

/// What all sessions of a program share.
struct World {
    script: RefCell<VecDeque<Lines>>,
    /// By serial number, as far as the program has heard of them.
    sessions: RefCell<Vec<Option<SessionId>>>,
    timers: RefCell<Vec<Timer>>,
    tokens: Cell<Token>,
    log: RefCell<Vec<String>>,
    began: tokio::time::Instant,
    /// The wall time of the beginning, once a timer has told it.
    wall: Cell<Option<SystemTime>>,
    in_signal: Cell<u32>,
    /// Inside what a session's end brings about.
    in_stop: Cell<u32>,
    /// Inside `_stop`, `_child` or `_parent`.
    in_life: Cell<u32>,
    in_leave: Cell<u32>,
    spawning: Cell<u32>,
    firing: Cell<u32>,
    stops: Cell<u32>,
    /// The program has sent a DIE.
    die_sent: Cell<bool>,
    /// The text of the last failure on purpose.
    thrown: RefCell<String>,
}

struct Timer {
    id: AlarmId,
    /// Half seconds since the beginning.
    due: i64,
    /// Set to an absolute time, which others may have exactly.
    exact: bool,
}

/// Raises a counter for as long as it lives.
struct Within<'a>(&'a Cell<u32>);

impl<'a> Within<'a> {
    fn of(counter: &'a Cell<u32>) -> Self {
        counter.set(counter.get() + 1);
        Within(counter)
    }
}

impl Drop for Within<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl World {
    fn new(script: Vec<Lines>) -> Self {
        World {
            script: RefCell::new(script.into()),
            sessions: RefCell::default(),
            timers: RefCell::default(),
            tokens: Cell::new(0),
            log: RefCell::default(),
            began: tokio::time::Instant::now(),
            wall: Cell::new(None),
            in_signal: Cell::new(0),
            in_stop: Cell::new(0),
            in_life: Cell::new(0),
            in_leave: Cell::new(0),
            spawning: Cell::new(0),
            firing: Cell::new(0),
            stops: Cell::new(0),
            die_sent: Cell::new(false),
            thrown: RefCell::default(),
        }
    }

    fn say(&self, line: String) {
        self.log.borrow_mut().push(line);
    }

    fn token(&self) -> Token {
        self.tokens.set(self.tokens.get() + 1);
        self.tokens.get()
    }

    fn known(&self, id: SessionId) {
        let mut sessions = self.sessions.borrow_mut();
        let at = id.get() as usize - 1;
        if sessions.len() <= at {
            sessions.resize(at + 1, None);
        }
        sessions[at] = Some(id);
    }

    /// A session by number. None is one that the program has not heard of.
    fn who(&self, which: i64, kernel: SessionId) -> Option<SessionId> {
        let sessions = self.sessions.borrow();
        if which == KERNEL || sessions.is_empty() {
            return Some(kernel);
        }
        sessions[which as usize % sessions.len()]
    }

    fn now(&self) -> i64 {
        let nanos = self.began.elapsed().as_nanos();
        assert_eq!(nanos % 500_000_000, 0, "time goes in half seconds");
        (nanos / 500_000_000) as i64
    }

    /// The half seconds of a wall time. Not of one that is no half second, as would be a fault.
    fn halves(&self, wall: SystemTime) -> i64 {
        let began = self.wall.get().expect("it was asked for");
        let nanos = match wall.duration_since(began) {
            Ok(after) => after.as_nanos() as i64,
            Err(before) => -(before.duration().as_nanos() as i64),
        };
        assert_eq!(nanos % 500_000_000, 0, "timers are due in half seconds");
        nanos / 500_000_000
    }

    fn throw(&self) -> String {
        let text = format!("{ON_PURPOSE} {}", self.token());
        self.thrown.replace(text.clone());
        text
    }
}

/// Half seconds.
fn halves(n: i64) -> Delta {
    Delta::from(n as f64 / 2.0)
}

/// Where a timer goes. All but absolute ones are due in the second; `k` counts seconds from the one that it is.
fn landing(from: i64, k: i64) -> i64 {
    if k == 0 {
        0
    } else {
        from.div_euclid(2) * 2 + 2 * k - from
    }
}

/// The text of a failure, as far as it is the program's own.
fn failure(text: &str) -> String {
    let own = |part: &str| {
        let at = part.find(ON_PURPOSE)?;
        let digits = part[at + ON_PURPOSE.len() + 1..]
            .chars()
            .take_while(char::is_ascii_digit);
        Some(format!("{ON_PURPOSE} {}", digits.collect::<String>()))
    };
    text.split("Additional error thrown in handler for previous error:")
        .map(|part| own(part).unwrap_or_else(|| "failure".to_owned()))
        .collect::<Vec<_>>()
        .join(" | ")
}

fn number<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

fn posted<A>(result: Result<(), PostError<A>>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(e) if e.is_no_such_session() => "gone".to_owned(),
        Err(e) => e.to_string(),
    }
}

fn errno(error: &Error) -> String {
    match error {
        e if e.is_alias_taken() => "taken",
        e if e.is_not_permitted() => "not permitted",
        e if e.is_no_such_session() => "gone",
        e if e.is_no_such_alias() || e.is_no_such_alarm() || e.is_no_such_tag() => "none",
        e => return e.to_string(),
    }
    .to_owned()
}

fn told(result: Result<(), Error>) -> String {
    result.map_or_else(|e| errno(&e), |()| "ok".to_owned())
}

/// What POE makes of a call: it does not say why there is no result.
fn called<A>(result: Result<Token, CallError<A>>) -> String {
    result.map_or_else(|_| "nothing".to_owned(), |token| token.to_string())
}

pub(crate) struct Life {
    world: Rc<World>,
    backs: Vec<Rc<RefCell<Option<Back>>>>,
    heeds_die: bool,
}

type Cx<'k> = Context<'k, Life>;
type Mx<'k> = Machine<'k, &'static str, Life>;

/// What is the same in the context of a session and of a machine.
trait Hand {
    const IS_MACHINE: bool;
    fn turn(&self) -> Turn<'_>;
    fn life(&mut self) -> &mut Life;
    fn state_name(&self) -> Option<&'static str>;
    fn call(&mut self, to: SessionId, token: Token) -> Result<Token, CallError<Token>>;
    fn callback(&mut self, back: &Callback<Token, Token, Token>, token: Token) -> Result<Token, CallError<Token>>;
    fn create(&mut self, session: SessionBuilder<Life>) -> Result<SessionId, Error>;
    fn spawn(&mut self, machine: NfaBuilder<&'static str, Life>) -> Result<SessionId, Error>;
    fn detach_myself(&mut self) -> Result<(), Error>;
    fn detach_child(&mut self, child: SessionId) -> Result<(), Error>;
    fn stop_kernel(&mut self);
    fn mute(&mut self);
    fn unmute(&mut self);
    /// Only a machine does these.
    fn change(&mut self, action: &str, state: &'static str) -> Option<Handled>;
}

macro_rules! hand {
    ($type:ident, $life:ident, $is_machine:expr, $stop:ident, $state:expr, $change:expr) => {
        impl Hand for $type<'_> {
            const IS_MACHINE: bool = $is_machine;
            fn turn(&self) -> Turn<'_> {
                self.kernel
            }
            fn life(&mut self) -> &mut Life {
                &mut self.$life
            }
            fn state_name(&self) -> Option<&'static str> {
                $state(self)
            }
            fn call(&mut self, to: SessionId, token: Token) -> Result<Token, CallError<Token>> {
                $type::call(self, to, ASKED, token)
            }
            fn callback(
                &mut self,
                back: &Callback<Token, Token, Token>,
                token: Token,
            ) -> Result<Token, CallError<Token>> {
                back.call(self, token)
            }
            fn create(&mut self, session: SessionBuilder<Life>) -> Result<SessionId, Error> {
                session.create_in(self)
            }
            fn spawn(&mut self, machine: NfaBuilder<&'static str, Life>) -> Result<SessionId, Error> {
                let world = self.life().world.clone();
                let within = Within::of(&world.spawning);
                let machine = machine.spawn_in(self)?;
                drop(within);
                Ok(enter(&world, &machine, self))
            }
            fn detach_myself(&mut self) -> Result<(), Error> {
                $type::detach_myself(self)
            }
            fn detach_child(&mut self, child: SessionId) -> Result<(), Error> {
                $type::detach_child(self, child)
            }
            fn stop_kernel(&mut self) {
                self.$stop();
            }
            fn mute(&mut self) {
                self.state_remove("told");
            }
            fn unmute(&mut self) {
                self.state(TOLD, |cx, token| batch(cx, &[&token]));
            }
            fn change(&mut self, action: &str, state: &'static str) -> Option<Handled> {
                $change(self, action, state)
            }
        }
    };
}

hand!(Cx, heap, false, stop, |_: &Self| None, |_: &mut Self, _: &str, _| None);
hand!(
    Mx,
    runstate,
    true,
    stop_kernel,
    |cx: &Self| Some(cx.state_of_event().copied().unwrap_or("none")),
    |cx: &mut Self, action: &str, state| {
        let world = cx.runstate.world.clone();
        // That is a failure; with POE it is not.
        if world.in_leave.get() > 0 && action != "quit" && cx.option("immediate").is_some() {
            return None;
        }
        Some(match action {
            "goto" => cx.goto_state(state, ENTERED, world.token()),
            "push" => cx.call_state(TOLD_BACK, state, ENTERED, world.token()),
            "pop" => cx.return_state(world.token()),
            "quit" => {
                cx.stop();
                Ok(())
            }
            _ => return None,
        })
    }
);

/// Brings a new machine into its first state, as POE's programs do.
fn enter(world: &World, machine: &Nfa<&'static str, Life>, caller: &mut impl Caller) -> SessionId {
    let id = machine.id();
    world.known(id);
    // It may be gone already; what fails is its own.
    let _ = machine.goto_state(caller, STATES[0], ENTERED, world.token());
    id
}

/// What every handler does: a line, and the next batch of the script.
fn batch<C: Hand>(cx: &mut C, came: &[&dyn std::fmt::Display]) -> Handled {
    let world = cx.life().world.clone();
    let turn = cx.turn();
    let mut line = format!(
        "{} {} {} from {} in {} active {} {}",
        world.now(),
        turn.session_id(),
        turn.event(),
        turn.sender(),
        number(turn.caller_state()),
        turn.active_session(),
        number(turn.active_event()),
    );
    if let Some(state) = cx.state_name() {
        line += " state ";
        line += state;
    }
    for came in came {
        line.push(' ');
        line += &came.to_string();
    }
    world.say(line);
    // A machine that is in no state yet is left alone: POE takes the first event for its first state.
    // And one that is gone, after a `stop` beneath it.
    if world.spawning.get() > 0 || !cx.turn().is_alive(cx.turn().session_id()) {
        return Ok(());
    }
    let lines = world.script.borrow_mut().pop_front().unwrap_or_default();
    let (me, stops) = (cx.turn().session_id(), world.stops.get());
    for line in lines {
        let result = step(cx, &world, &line)?;
        world.say(format!("  {me} {line}: {result}"));
        if world.stops.get() != stops {
            break;
        }
    }
    Ok(())
}

fn on_signal<C: Hand>(cx: &mut C, signal: &Signal) -> Handled {
    let world = cx.life().world.clone();
    let _within = Within::of(&world.in_signal);
    let mut came = vec![signal.name().to_string()];
    if let Some(die) = signal.die() {
        came.extend([
            failure(&die.failure.to_string()),
            die.session.to_string(),
            die.event.to_string(),
            die.sender.to_string(),
            number(die.caller_state.clone()),
        ]);
    }
    came.extend(signal.arg::<Token>().map(Token::to_string));
    came.extend(signal.extra::<Token>().map(Token::to_string));
    batch(cx, &[&came.join(" ")])
}

fn on_child<C: Hand>(cx: &mut C, child: Child) -> Handled {
    let world = cx.life().world.clone();
    world.known(child.session);
    let how = match child.reason {
        ChildReason::Create => "create",
        ChildReason::Gain => "gain",
        _ => "lose",
    };
    let _within = Within::of(&world.in_life);
    let _ending = (how != "create").then(|| Within::of(&world.in_stop));
    let result = child.result.and_then(|r| r.downcast::<Token>().ok());
    batch(cx, &[&how, &child.session, &number(result)])
}

fn on_parent<C: Hand>(cx: &mut C, parent: &Parent) -> Handled {
    let world = cx.life().world.clone();
    let _within = (Within::of(&world.in_stop), Within::of(&world.in_life));
    batch(cx, &[&parent.old, &parent.new])
}

fn on_leave(cx: &mut Mx<'_>) -> Handled {
    let world = cx.runstate.world.clone();
    let _within = Within::of(&world.in_leave);
    batch(cx, &[])
}

fn on_default<C: Hand>(cx: &mut C, mut unhandled: Unhandled) -> Handled {
    let world = cx.life().world.clone();
    let child = unhandled.arg.take::<Child>();
    if let Some(child) = &child {
        world.known(child.session);
    }
    let is_life = unhandled.event.starts_with('_');
    let is_create = child.is_some_and(|child| child.reason == ChildReason::Create);
    let _within = is_life.then(|| Within::of(&world.in_life));
    let _ending = (is_life && !is_create).then(|| Within::of(&world.in_stop));
    batch(cx, &[&unhandled.event])
}

fn gift<C: Hand>(cx: &mut C, gift: Gift) -> Handled {
    cx.life().backs.push(Rc::new(RefCell::new(Some(gift.0))));
    batch(cx, &[])
}

/// The handlers that sessions and machines have in common.
macro_rules! common {
    ($table:expr) => {
        $table
            .on(RINGS[0], |cx, token: Token| batch(cx, &[&token]))
            .on(RINGS[1], |cx, token: Token| batch(cx, &[&token]))
            .on(BACK, |cx, (mine, theirs)| batch(cx, &[&mine, &theirs]))
            .on(ASKED, |cx, token| batch(cx, &[&token]).map(|()| Reply(token)))
            .on(BACKED, |cx, (mine, theirs)| {
                batch(cx, &[&mine, &theirs]).map(|()| Reply(theirs))
            })
            .on(GIVEN, |cx, arrived| gift(cx, arrived))
            .on(HEARD, |cx, signal| on_signal(cx, &signal))
    };
}

fn session(world: &Rc<World>, kind: &str) -> SessionBuilder<Life> {
    let heap = Life {
        world: world.clone(),
        backs: Vec::new(),
        heeds_die: kind.contains('h'),
    };
    let mut session = common!(Session::builder(heap))
        .on(START, |cx, ()| {
            cx.heap.world.known(cx.session_id());
            if cx.heap.heeds_die {
                cx.sig_with("DIE", HEARD, 0 as Token);
            }
            batch(cx, &[])?;
            Ok::<_, Failure>(Reply(cx.session_id().get()))
        })
        .on(TOLD, |cx, token| batch(cx, &[&token]));
    if !kind.contains('q') {
        session = session
            .on(STOP, |cx, ()| {
                let world = cx.heap.world.clone();
                let _within = (Within::of(&world.in_stop), Within::of(&world.in_life));
                batch(cx, &[])?;
                Ok::<_, Failure>(Reply(cx.session_id().get()))
            })
            .on(CHILD, |cx, child| on_child(cx, child))
            .on(PARENT, |cx, parent| on_parent(cx, &parent));
    }
    if kind.contains('d') {
        session = session.on(DEFAULT, |cx, unhandled| on_default(cx, unhandled));
    }
    session
}

fn machine(world: &Rc<World>, kind: &str) -> NfaBuilder<&'static str, Life> {
    let life = Life {
        world: world.clone(),
        backs: Vec::new(),
        heeds_die: kind.contains('h'),
    };
    let common = |state: NfaState<&'static str, Life>| {
        common!(state)
            .on(CHILD, |cx, child| on_child(cx, child))
            .on(PARENT, |cx, parent| on_parent(cx, &parent))
            .on(TOLD_BACK, |cx, token| batch(cx, &[&token]))
            .on(ENTERED, |cx, token| {
                if std::mem::take(&mut cx.runstate.heeds_die) {
                    cx.sig_with("DIE", HEARD, 0 as Token);
                }
                batch(cx, &[&token])
            })
    };
    let has_default = kind.contains('d');
    let machine = Nfa::builder(life)
        .state(STATES[0], |s| {
            common(s)
                .on(TOLD, |cx, token| batch(cx, &[&token]))
                .on(LEAVE, |cx, ()| on_leave(cx))
        })
        .state(STATES[1], |s| {
            let s = common(s).on(LEAVE, |cx, ()| on_leave(cx));
            if has_default {
                s.on(DEFAULT, |cx, unhandled| on_default(cx, unhandled))
            } else {
                s
            }
        })
        .state(STATES[2], common);
    if kind.contains('i') {
        machine.immediate()
    } else {
        machine
    }
}

/// One action, and what came of it. An error is a failure of the handler.
fn step<C: Hand>(cx: &mut C, world: &Rc<World>, line: &str) -> Result<String, Failure> {
    let mut words = line.split(' ');
    let action = words.next().unwrap_or_default();
    let word = words.clone().next().unwrap_or_default();
    let (n, k) = (number_of(words.next()), number_of(words.next()));
    let at = n as usize;
    let turn = cx.turn();
    let me = turn.session_id();
    let who = || world.who(n, turn.kernel_id());
    let gone = || Ok("gone".to_owned());
    let ok = || Ok("ok".to_owned());
    let nothing = || Ok("-".to_owned());
    // The timer of a number; none if there never was one.
    let timer = || {
        let timers = world.timers.borrow();
        let which = at.checked_rem(timers.len())?;
        Some((which, timers[which].id, timers[which].due, timers[which].exact))
    };
    if world.wall.get().is_none() {
        // A timer that is looked at and taken away again.
        let probe = turn.delay_set("probe", Duration::ZERO, ());
        let wall = turn.alarm_adjust(probe, Duration::ZERO);
        if let Ok(wall) = wall {
            world.wall.set(Some(wall - world.began.elapsed()));
            turn.alarm_remove(probe)?;
        }
    }
    let absolute = || {
        let halves = world.now().div_euclid(2) * 2 + 1 + 2 * k;
        let wall = world.wall.get().expect("a session that lives has asked");
        let span = Duration::from_millis(halves.unsigned_abs() * 500);
        (halves, if halves < 0 { wall - span } else { wall + span })
    };
    Ok(match action {
        "create" if world.in_stop.get() > 0 => return nothing(),
        "create" if word.contains('m') => cx.spawn(machine(world, word))?.to_string(),
        "create" => {
            let id = cx.create(session(world, word))?;
            world.known(id);
            id.to_string()
        }
        "post" => {
            let token = world.token();
            who().map_or_else(gone, |to| Ok(posted(turn.post(to, TOLD, token))))?
        }
        "post_alias" => posted(turn.post(ALIASES[at], TOLD, world.token())),
        "nowhere" => {
            let token = world.token();
            who().map_or_else(gone, |to| Ok(posted(turn.post(to, NOWHERE, token))))?
        }
        "call" | "call_self" => {
            let token = world.token();
            let to = if action == "call" { who() } else { Some(me) };
            let Some(to) = to else { return Ok("nothing".to_owned()) };
            match cx.call(to, token) {
                // A call of a session to itself is a bare invocation, out of which a failure flies.
                Err(e) if to == me && e.is_died() => return Err(Failure::msg(world.thrown.borrow().clone())),
                result => called(result),
            }
        }
        "signal"
            if SIGNALS[k as usize] == "DIE" && {
                world.die_sent.set(true);
                true
            } =>
        {
            return nothing();
        }
        "signal" => {
            let signal = SIGNALS[k as usize];
            match (who(), signal) {
                (Some(to), "DIE") => posted(turn.signal(to, signal, ())),
                (Some(to), _) => posted(turn.signal(to, signal, world.token())),
                (None, "DIE") => return gone(),
                (None, _) => {
                    world.token();
                    return gone();
                }
            }
        }
        "inc" => match who() {
            Some(of) => count(turn.refcount_increment(of, TAGS[k as usize])),
            None => return gone(),
        },
        "dec" => match who() {
            Some(of) => count(turn.refcount_decrement(of, TAGS[k as usize])),
            None => return gone(),
        },
        "yield" => {
            turn.yield_to(TOLD, world.token());
            return ok();
        }
        "alias_set" => told(turn.alias_set(ALIASES[at])),
        "alias_remove" => told(turn.alias_remove(ALIASES[at])),
        "alias_resolve" => {
            let owner = turn.alias_resolve(ALIASES[at]);
            let mut result = owner.map_or_else(|_| "none".to_owned(), |id| id.to_string());
            for alias in turn.alias_list() {
                result = format!("{result} {alias}");
            }
            result
        }
        "delay" => {
            turn.delay(RINGS[at], halves(landing(world.now(), k)), world.token());
            return ok();
        }
        "delay_add" => {
            turn.delay_add(RINGS[at], halves(landing(world.now(), k)), world.token());
            return ok();
        }
        "delay_clear" => {
            turn.alarm_clear(RINGS[at]);
            return ok();
        }
        "delay_set" => {
            let after = landing(world.now(), k);
            let id = turn.delay_set(RINGS[at], halves(after), world.token());
            let due = world.now() + after;
            world.timers.borrow_mut().push(Timer { id, due, exact: false });
            return ok();
        }
        "alarm" => {
            turn.alarm(RINGS[at], absolute().1, world.token());
            return ok();
        }
        "alarm_add" => {
            turn.alarm_add(RINGS[at], absolute().1, world.token());
            return ok();
        }
        "alarm_set" => {
            let (due, wall) = absolute();
            let id = turn.alarm_set(RINGS[at], wall, world.token());
            world.timers.borrow_mut().push(Timer { id, due, exact: true });
            return ok();
        }
        "alarm_adjust" => {
            let Some((which, id, due, exact)) = timer() else {
                return nothing();
            };
            let by = if exact { 2 * k } else { landing(due, k) };
            if exact && due + by == world.now() {
                return nothing();
            }
            match turn.alarm_adjust(id, halves(by)) {
                Ok(wall) => {
                    world.timers.borrow_mut()[which].due += by;
                    world.halves(wall).to_string()
                }
                Err(e) => errno(&e),
            }
        }
        "delay_adjust" => {
            let Some((which, id, due, _)) = timer() else {
                return nothing();
            };
            let after = landing(world.now(), k);
            // To the time that it has it would move with a clock that goes on, and stay with one that stands.
            if world.now() + after == due {
                return nothing();
            }
            match turn.delay_adjust(id, halves(after)) {
                Ok(wall) => {
                    let timer = &mut world.timers.borrow_mut()[which];
                    (timer.due, timer.exact) = (world.now() + after, false);
                    world.halves(wall).to_string()
                }
                Err(_) => "refused".to_owned(),
            }
        }
        "alarm_remove" => {
            let Some((_, id, ..)) = timer() else { return nothing() };
            match turn.alarm_remove(id) {
                Ok(alarm) => {
                    let token = alarm.arg.downcast_ref::<Token>().copied();
                    format!("{} {} {}", alarm.event, world.halves(alarm.due), number(token))
                }
                Err(e) => errno(&e),
            }
        }
        "alarm_remove_all" => {
            let mut result = "removed".to_owned();
            for alarm in turn.alarm_remove_all() {
                let token = alarm.arg.downcast_ref::<Token>().copied();
                result = format!("{result} {} {}", alarm.event, number(token));
            }
            result
        }
        "postback" => {
            let back = own_postback(cx, world);
            keep(cx, back);
            return ok();
        }
        // D7: a machine's holds nothing in POE.
        "callback" if C::IS_MACHINE => return nothing(),
        "callback" => {
            let back = Back::Calls(turn.callback(BACKED, world.token()));
            keep(cx, back);
            return ok();
        }
        "give" => {
            let gift = Gift(own_postback(cx, world));
            who().map_or_else(gone, |to| Ok(posted(turn.post(to, GIVEN, gift))))?
        }
        "fire" | "let_go" | "weaken" if world.firing.get() > 0 => return nothing(),
        "fire" => return fire(cx, world),
        "let_go" => {
            let backs = &mut cx.life().backs;
            if !backs.is_empty() {
                let which = at % backs.len();
                drop(backs.remove(which));
            }
            return ok();
        }
        "weaken" => {
            if let Some(last) = cx.life().backs.last() {
                let back = last.take().map(Back::weaken);
                last.replace(back);
            }
            return ok();
        }
        "detach_myself" => told(cx.detach_myself()),
        "detach_child" => match who() {
            Some(child) => told(cx.detach_child(child)),
            None => return gone(),
        },
        "watch" => {
            turn.sig_with(SIGNALS[at], HEARD, world.token());
            return ok();
        }
        "ignore" => {
            turn.sig_ignore(SIGNALS[at]);
            return ok();
        }
        // By the time that sessions are stopped it is too late, but POE looks again.
        "handled" if world.in_life.get() > 0 => return nothing(),
        "handled" => {
            turn.sig_handled();
            return ok();
        }
        "mute" => {
            cx.mute();
            return ok();
        }
        "unmute" => {
            cx.unmute();
            return ok();
        }
        // D18: POE would go on with watchers that are dead, or with sessions that it stops already.
        "stop" if world.in_signal.get() + world.in_stop.get() > 0 => return nothing(),
        "stop" => {
            world.stops.set(world.stops.get() + 1);
            cx.stop_kernel();
            return ok();
        }
        "die" | "panic" => {
            world.say(format!("  {me} {action}: thrown"));
            let text = world.throw();
            if action == "panic" {
                std::panic::panic_any(text);
            }
            return Err(Failure::msg(text));
        }
        "goto" | "push" | "pop" | "quit" => match cx.change(action, STATES[at.min(2)]) {
            None => return nothing(),
            Some(result) => {
                result?;
                return ok();
            }
        },
        _ => panic!("no such action: {action}"),
    })
}

fn number_of(word: Option<&str>) -> i64 {
    word.and_then(|w| w.parse().ok()).unwrap_or(0)
}

fn count(result: Result<u64, Error>) -> String {
    result.map_or_else(|e| errno(&e), |n| n.to_string())
}

fn own_postback<C: Hand>(cx: &C, world: &World) -> Back {
    let back = cx.turn().postback(BACK, world.token());
    if C::IS_MACHINE {
        Back::Holds(back)
    } else {
        Back::Posts(back)
    }
}

fn keep<C: Hand>(cx: &mut C, back: Back) {
    cx.life().backs.push(Rc::new(RefCell::new(Some(back))));
}

/// Posts and calls by all postbacks and callbacks in the heap.
fn fire<C: Hand>(cx: &mut C, world: &Rc<World>) -> Result<String, Failure> {
    let _within = Within::of(&world.firing);
    let stops = world.stops.get();
    let backs = cx.life().backs.clone();
    let mut result = "fired".to_owned();
    for back in backs {
        if world.stops.get() != stops {
            break;
        }
        let token = world.token();
        let fired = match &*back.borrow() {
            Some(Back::Posts(back) | Back::Holds(back)) => {
                // To a session that is dead it is a post that nobody gets.
                let _ = back.post(token);
                "ok".to_owned()
            }
            Some(Back::Calls(back)) => match cx.callback(back, token) {
                // Its own callback is a call to itself.
                Err(e) if e.is_died() => return Err(Failure::msg(world.thrown.borrow().clone())),
                result => called(result),
            },
            None => unreachable!("it is put back at once"),
        };
        result = format!("{result} {fired}");
    }
    Ok(result)
}

/// What is done outside of any session.
fn outside(kernel: &Kernel, world: &Rc<World>, line: &str) -> Result<String, Error> {
    let mut words = line.split(' ');
    let action = words.next().unwrap_or_default();
    let word = words.clone().next().unwrap_or_default();
    let (n, k) = (number_of(words.next()), number_of(words.next()));
    let who = || world.who(n, kernel.id());
    let gone = || "gone".to_owned();
    Ok(match action {
        "create" if word.contains('m') => {
            let machine = machine(world, word).spawn(kernel)?;
            let mut caller = kernel;
            enter(world, &machine, &mut caller).to_string()
        }
        "create" => session(world, word).create(kernel)?.to_string(),
        // Between two runs POE's kernel is no session.
        _ if kernel.session_count() == 0 => "-".to_owned(),
        "post" | "nowhere" => {
            let token = world.token();
            let event = if action == "post" { TOLD } else { NOWHERE };
            who().map_or_else(gone, |to| posted(kernel.post(to, event, token)))
        }
        "post_alias" => posted(kernel.post(ALIASES[n as usize], TOLD, world.token())),
        "call" => {
            let token = world.token();
            who().map_or_else(|| "nothing".to_owned(), |to| called(kernel.call(to, ASKED, token)))
        }
        "signal"
            if SIGNALS[k as usize] == "DIE" && {
                world.die_sent.set(true);
                true
            } =>
        {
            "-".to_owned()
        }
        "signal" => {
            let signal = SIGNALS[k as usize];
            let token = (signal != "DIE").then(|| world.token());
            match (who(), token) {
                (Some(to), Some(token)) => posted(kernel.signal(to, signal, token)),
                (Some(to), None) => posted(kernel.signal(to, signal, ())),
                (None, _) => gone(),
            }
        }
        "inc" => who().map_or_else(gone, |of| count(kernel.refcount_increment(of, TAGS[k as usize]))),
        "dec" => who().map_or_else(gone, |of| count(kernel.refcount_decrement(of, TAGS[k as usize]))),
        _ => "-".to_owned(),
    })
}

/// A run of the kernel, until nothing more happens; how it ended, and who is left.
async fn ran(kernel: &Kernel, world: &World, until: i64) {
    let left = Duration::from_millis((until - world.now()) as u64 * 500);
    let ended = tokio::time::timeout(left, kernel.run()).await;
    world.say(match ended {
        Ok(Ok(())) => "run returned".to_owned(),
        Ok(Err(error)) => format!("run failed: {}", failure(&error.to_string())),
        Err(_) => "nothing more happens".to_owned(),
    });
    let left = Duration::from_millis((until - world.now()) as u64 * 500);
    tokio::time::advance(left).await;
    let sessions = world.sessions.borrow();
    let alive = sessions.iter().flatten().filter(|id| kernel.is_alive(**id));
    world.say(alive.fold("alive".to_owned(), |line, id| format!("{line} {id}")));
}

async fn play_all(program: &Program, budget: u32) -> Vec<String> {
    let kernel = testing::builder().budget(budget).build();
    let world = Rc::new(World::new(program.batches.clone()));
    let mut until = 0;
    for (round, lines) in program.rounds.iter().enumerate() {
        until += ROUND;
        world.say(format!("round {round}"));
        for line in lines {
            let result = outside(&kernel, &world, line).unwrap_or_else(|e| e.to_string());
            world.say(format!("  kernel {line}: {result}"));
        }
        ran(&kernel, &world, until).await;
    }
    world.say("stop".to_owned());
    if let Err(error) = kernel.stop() {
        world.say(error.to_string());
    }
    ran(&kernel, &world, until + ROUND).await;
    drop(kernel);
    world.log.take()
}

/// The transcript of a program. With a budget of 1 the kernel gives way to its host after every event, which must not
/// show.
pub(crate) fn transcript(program: &Program, budget: u32) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(play_all(program, budget))
}

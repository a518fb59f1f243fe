//! The sessions and machines: each handler writes a line and does the next batch of the script.

use super::step::step;
use super::world::*;
use poe::event::{CHILD, Child, ChildReason, DEFAULT, LEAVE, PARENT, Parent, START, STOP, Unhandled};
use poe::extend::Caller;
use poe::{
    CallError, Callback, Context, Error, Failure, HandlerResult, KernelRef, Machine, Nfa, Reply, Session,
    SessionBuilder, SessionId, Signal,
    nfa::{NfaBuilder, NfaState},
};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

pub(super) struct Life {
    pub(super) world: Rc<World>,
    pub(super) backs: Backs,
    pub(super) heeds_die: bool,
    /// Watches ZOMBIE and UIDESTROY …
    pub(super) heeds_ends: bool,
    /// … and says that each signal is handled, but DIE.
    pub(super) handles: bool,
}

/// Postbacks and callbacks of a heap. Perl frees an array from its end, so these go in the same order.
#[derive(Default)]
pub(super) struct Backs(Vec<Rc<RefCell<Option<Back>>>>);

impl Deref for Backs {
    type Target = Vec<Rc<RefCell<Option<Back>>>>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Backs {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for Backs {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

pub(super) type Cx<'k> = Context<'k, Life>;
pub(super) type Mx<'k> = Machine<'k, &'static str, Life>;

/// What is the same in the context of a session and of a machine.
pub(super) trait Hand {
    const IS_MACHINE: bool;
    fn turn(&self) -> KernelRef<'_>;
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
    fn change(&mut self, action: &str, state: &'static str) -> Option<HandlerResult>;
}

macro_rules! hand {
    ($type:ident, $life:ident, $is_machine:expr, $state:expr, $change:expr) => {
        impl Hand for $type<'_> {
            const IS_MACHINE: bool = $is_machine;
            fn turn(&self) -> KernelRef<'_> {
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
                self.create(session)
            }
            fn spawn(&mut self, machine: NfaBuilder<&'static str, Life>) -> Result<SessionId, Error> {
                let world = self.life().world.clone();
                let within = Within::of(&world.spawning);
                let machine = self.start(machine)?;
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
                $type::stop_all(self);
            }
            fn mute(&mut self) {
                self.state_remove("told");
            }
            fn unmute(&mut self) {
                self.state(TOLD, |cx, token| batch(cx, &[&token, &"unmuted"]));
            }
            fn change(&mut self, action: &str, state: &'static str) -> Option<HandlerResult> {
                $change(self, action, state)
            }
        }
    };
}

hand!(Cx, heap, false, |_: &Self| None, |_: &mut Self, _: &str, _| None);
hand!(
    Mx,
    runstate,
    true,
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
pub(super) fn enter(world: &World, machine: &Nfa<&'static str, Life>, caller: &mut impl Caller) -> SessionId {
    let id = machine.id();
    world.known(id);
    // It may be gone already; what fails is its own.
    let _ = machine.goto_state(caller, STATES[0], ENTERED, world.token());
    id
}

/// What every handler does: a line, and the next batch of the script.
pub(super) fn batch<C: Hand>(cx: &mut C, came: &[&dyn std::fmt::Display]) -> HandlerResult {
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
        let result = step(cx, &world, &line).inspect_err(|failure| {
            world.thrown.replace(failure.to_string());
        })?;
        world.say(format!("  {me} {line}: {result}"));
        if world.stops.get() != stops {
            break;
        }
    }
    Ok(())
}

pub(super) fn on_signal<C: Hand>(cx: &mut C, signal: &Signal) -> HandlerResult {
    let world = cx.life().world.clone();
    let _within = Within::of(&world.in_signal);
    if cx.life().handles && signal.name() != "DIE" && world.in_life.get() == 0 {
        cx.turn().sig_handled();
    }
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

pub(super) fn on_child<C: Hand>(cx: &mut C, child: Child) -> HandlerResult {
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

pub(super) fn on_parent<C: Hand>(cx: &mut C, parent: &Parent) -> HandlerResult {
    let world = cx.life().world.clone();
    let _within = (Within::of(&world.in_stop), Within::of(&world.in_life));
    batch(cx, &[&parent.old, &parent.new])
}

pub(super) fn on_leave(cx: &mut Mx<'_>) -> HandlerResult {
    let world = cx.runstate.world.clone();
    let _within = Within::of(&world.in_leave);
    batch(cx, &[])
}

pub(super) fn on_default<C: Hand>(cx: &mut C, mut unhandled: Unhandled) -> HandlerResult {
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

pub(super) fn gift<C: Hand>(cx: &mut C, gift: Gift) -> HandlerResult {
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

pub(super) fn session(world: &Rc<World>, kind: &str) -> SessionBuilder<Life> {
    let heap = Life {
        world: world.clone(),
        backs: Backs::default(),
        heeds_die: kind.contains('h'),
        heeds_ends: kind.contains('z'),
        handles: kind.contains('z'),
    };
    let mut session = common!(Session::builder(heap))
        .on(START, |cx, ()| {
            cx.heap.world.known(cx.session_id());
            if cx.heap.heeds_die {
                cx.sig_with("DIE", HEARD, 0 as Token);
            }
            if cx.heap.heeds_ends {
                cx.sig_with("ZOMBIE", HEARD, 0 as Token);
                cx.sig_with("UIDESTROY", HEARD, 0 as Token);
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

pub(super) fn machine(world: &Rc<World>, kind: &str) -> NfaBuilder<&'static str, Life> {
    let life = Life {
        world: world.clone(),
        backs: Backs::default(),
        heeds_die: kind.contains('h'),
        heeds_ends: kind.contains('z'),
        handles: kind.contains('z'),
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
                if std::mem::take(&mut cx.runstate.heeds_ends) {
                    cx.sig_with("ZOMBIE", HEARD, 0 as Token);
                    cx.sig_with("UIDESTROY", HEARD, 0 as Token);
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

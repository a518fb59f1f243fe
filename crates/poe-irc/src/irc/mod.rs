//! The handle to a client, and what its session, its plugins and its handles share.

mod commands;
mod plugin;

pub use plugin::{Eat, Plugin};

use crate::events::IrcEvent;
use crate::flood::Queue;
use crate::isupport::Isupport;
use crate::register::Conn;
use crate::settings::Settings;
use crate::state::{Channel, Member, State, User};
use crate::text::Text;
use futures_core::Stream;
use plugin::Plugins;
use poe::event::EventName;
use poe::extend::SessionHold;
use poe::{KernelRef, SessionId, TaskId};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The context of the client's session.
pub(crate) type Cx<'a, 'k> = &'a mut poe::Context<'k, Irc, poe::component::Server<crate::filter::IrcFilter>>;

/// A handle to an IRC client; clones are the same client, and dropping one changes nothing.
///
/// It sends commands, tells what is known of channels and users, and has the plugins. Commands wait in a queue for
/// [flood control](crate::Flood); they may be sent from handlers and from any other code on the kernel's thread.
///
/// See the [crate's page](crate) for an example.
#[derive(Clone)]
#[doc(alias = "POE::Component::IRC")]
#[doc(alias = "POE::Component::IRC::State")]
pub struct Irc(pub(crate) Rc<Shared>);

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) session: Cell<Option<SessionId>>,
    pub(crate) task: Cell<Option<TaskId>>,
    pub(crate) state: RefCell<State>,
    pub(crate) conn: RefCell<Conn>,
    pub(crate) queue: RefCell<Queue>,
    pub(crate) plugins: Plugins,
    pub(crate) listeners: RefCell<Vec<Listener>>,
    pub(crate) wake: Wake,
    /// Channels to enter after a reconnect, by folded name.
    pub(crate) rejoin: RefCell<BTreeMap<Vec<u8>, Entrance>>,
    /// The nickname that the program wants.
    pub(crate) wanted: RefCell<Text>,
    /// Failed attempts in a row, and which server is next.
    pub(crate) failures: Cell<u32>,
    pub(crate) server: Cell<usize>,
    pub(crate) ask: Cell<Ask>,
    pub(crate) quit_text: RefCell<Text>,
    pub(crate) ended: Cell<bool>,
    pub(crate) dcc: crate::connections::Table,
}

/// A channel's name and its key.
pub(crate) type Entrance = (Text, Option<Text>);

/// What the program has asked the session to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ask {
    #[default]
    Nothing,
    Reconnect,
    /// To end for good.
    Quit,
    /// The same, and the session has begun.
    Quitting,
}

/// A session that gets events of one name, or all.
pub(crate) struct Listener {
    session: SessionId,
    name: Option<String>,
    hold: Option<SessionHold>,
}

/// Wakes the client's session from code that has no context.
#[derive(Clone, Default)]
pub(crate) struct Wake(Rc<(Cell<bool>, RefCell<Option<Waker>>)>);

impl Wake {
    pub(crate) fn wake(&self) {
        self.0.0.set(true);
        let waker = self.0.1.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Stream for Wake {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        if self.0.0.take() {
            return Poll::Ready(Some(()));
        }
        self.0.1.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Irc {
    pub(crate) fn new(settings: Settings) -> Self {
        let limits = settings.limits;
        let nick = settings.nick.clone();
        Irc(Rc::new(Shared {
            session: Cell::new(None),
            task: Cell::new(None),
            state: RefCell::new(State::new(nick.clone(), limits.channels, limits.members)),
            conn: RefCell::default(),
            queue: RefCell::new(Queue::new(settings.flood, limits.queue)),
            plugins: Plugins::default(),
            listeners: RefCell::default(),
            wake: Wake::default(),
            rejoin: RefCell::default(),
            wanted: RefCell::new(nick),
            failures: Cell::new(0),
            server: Cell::new(0),
            ask: Cell::default(),
            quit_text: RefCell::default(),
            ended: Cell::new(false),
            dcc: crate::connections::Table::default(),
            settings,
        }))
    }

    /// Returns the ID of the client's session.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        self.0.session.get()
    }

    /// Posts events of this name to the running session from now on. The session is kept alive until it
    /// [unregisters](Self::unregister) or the client ends.
    ///
    /// Give a key of [`events`](crate::events), or a bare name such as `"irc_376"`, whose argument is a
    /// [`Numeric`](crate::events::Numeric), or `"irc_wallops"`, whose argument is the
    /// [`Message`](crate::Message).
    pub fn register(&self, cx: &KernelRef<'_>, event: impl EventName) {
        self.listen(*cx, Some(event.name().to_owned()));
    }

    /// Posts all events to the running session.
    #[doc(alias = "register all")]
    pub fn register_all(&self, cx: &KernelRef<'_>) {
        self.listen(*cx, None);
    }

    fn listen(&self, kernel: KernelRef<'_>, name: Option<String>) {
        let session = kernel.session_id();
        let mut listeners = self.0.listeners.borrow_mut();
        let has = |l: &Listener| l.session == session && (l.name == name || l.name.is_none());
        if self.0.ended.get() || listeners.iter().any(has) {
            return;
        }
        listeners.retain(|l| l.session != session || name.is_some());
        let hold = kernel.hold_session(session).ok();
        listeners.push(Listener { session, name, hold });
    }

    /// Ends what [`register`](Self::register) and [`register_all`](Self::register_all) began, for the running session.
    pub fn unregister(&self, cx: &KernelRef<'_>) {
        let session = cx.session_id();
        let gone: Vec<Listener> = self
            .0
            .listeners
            .borrow_mut()
            .extract_if(.., |l| l.session == session)
            .collect();
        drop(gone);
    }

    /// Tells plugins and sessions of an event.
    pub(crate) fn emit(&self, kernel: KernelRef<'_>, event: &IrcEvent) {
        if self.0.plugins.ask(|plugin| plugin.event(self, event)).is_some() {
            return;
        }
        let name = event.name();
        let mut gone = false;
        // Posts run no code of the program's.
        for listener in self.0.listeners.borrow().iter() {
            if listener.name.as_ref().is_none_or(|wanted| *wanted == name) {
                gone |= !event.post(kernel, listener.session, &name);
            }
        }
        if gone {
            let dead: Vec<Listener> = self
                .0
                .listeners
                .borrow_mut()
                .extract_if(.., |l| !kernel.is_alive(l.session))
                .collect();
            drop(dead);
        }
    }

    pub(crate) fn drop_listeners(&self) {
        let all = self.0.listeners.take();
        for listener in all {
            drop(listener.hold);
        }
    }

    /// Adds a plugin; `false` if there is one of that name.
    pub fn plugin_add(&self, name: impl Into<String>, plugin: impl Plugin) -> bool {
        self.0.plugins.add(self, name.into(), Box::new(plugin))
    }

    /// Removes a plugin; `false` if there is none of that name.
    #[doc(alias = "plugin_del")]
    pub fn plugin_remove(&self, name: &str) -> bool {
        self.0.plugins.remove(self, name)
    }

    /// Returns the names of the plugins, in their order.
    #[must_use]
    #[doc(alias = "plugin_list")]
    pub fn plugins(&self) -> Vec<String> {
        self.0.plugins.names()
    }

    /// Returns the client's present nickname.
    #[must_use]
    #[doc(alias = "nick_name")]
    pub fn nick(&self) -> Text {
        self.0.state.borrow().nick.clone()
    }

    /// Whether a server has let the client in.
    #[must_use]
    #[doc(alias = "connected")]
    #[doc(alias = "logged_in")]
    pub fn is_registered(&self) -> bool {
        self.0.conn.borrow().is_registered()
    }

    /// Returns the names of the channels that the client is in, sorted.
    #[must_use]
    pub fn channels(&self) -> Vec<Text> {
        self.0.state.borrow().channels()
    }

    /// Returns what is known of a channel that the client is in.
    #[must_use]
    pub fn channel(&self, name: impl Into<Text>) -> Option<Channel> {
        self.0.state.borrow().channel(&name.into()).cloned()
    }

    /// Returns a member of a channel.
    #[must_use]
    #[doc(alias = "is_channel_member")]
    pub fn member(&self, channel: impl Into<Text>, nick: impl Into<Text>) -> Option<Member> {
        self.0.state.borrow().member(&channel.into(), &nick.into()).cloned()
    }

    /// Whether somebody is an operator of a channel.
    #[must_use]
    #[doc(alias = "is_channel_operator")]
    pub fn is_operator(&self, channel: impl Into<Text>, nick: impl Into<Text>) -> bool {
        self.member(channel, nick)
            .is_some_and(|member| member.ranks.contains('o'))
    }

    /// Returns what is known of a user who shares a channel with the client.
    #[must_use]
    #[doc(alias = "nick_info")]
    pub fn user(&self, nick: impl Into<Text>) -> Option<User> {
        self.0.state.borrow().user(&nick.into()).cloned()
    }

    /// Returns what the server supports.
    #[must_use]
    pub fn isupport(&self) -> Isupport {
        self.0.state.borrow().isupport.clone()
    }

    /// Returns the capabilities that are in force, sorted.
    #[must_use]
    pub fn capabilities(&self) -> Vec<String> {
        self.0.conn.borrow().enabled().collect()
    }

    /// Whether two names are the same for the server.
    #[must_use]
    pub fn same_name(&self, one: impl Into<Text>, other: impl Into<Text>) -> bool {
        self.0.state.borrow().same(&one.into(), &other.into())
    }

    /// Returns how many messages wait for flood control.
    #[must_use]
    #[doc(alias = "send_queue")]
    pub fn queued(&self) -> usize {
        self.0.queue.borrow().len()
    }
}

impl fmt::Debug for Irc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Irc")
            .field("nick", &self.nick())
            .field("registered", &self.is_registered())
            .field("channels", &self.channels())
            .finish_non_exhaustive()
    }
}

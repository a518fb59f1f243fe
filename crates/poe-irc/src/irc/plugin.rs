//! Plugins: code that sees events before sessions do, and commands before the server does.

use super::Irc;
use crate::events::IrcEvent;
use crate::message::Message;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What becomes of an event or command that a plugin has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "PCI_EAT_ALL")]
pub enum Eat {
    /// It goes on to the other plugins and to the sessions or the server.
    #[default]
    #[doc(alias = "PCI_EAT_NONE")]
    Nothing,
    /// No further plugin sees it.
    #[doc(alias = "PCI_EAT_PLUGIN")]
    Plugins,
    /// No session sees the event, or the command is not sent. Further plugins still see it.
    #[doc(alias = "PCI_EAT_CLIENT")]
    Clients,
    /// Nobody else sees it.
    All,
}

/// Code that runs with an IRC client: see [`Irc::plugin_add`].
///
/// Plugins are asked in the order in which they were added. One that sends commands in its own hook does not see these itself.
///
/// ```
/// use poe_irc::{Eat, Irc, IrcEvent, Plugin};
/// /// Hides what ignored users say.
/// struct Ignore(Vec<String>);
/// impl Plugin for Ignore {
///     fn event(&mut self, _: &Irc, event: &IrcEvent) -> Eat {
///         match event {
///             IrcEvent::Public(said) if self.0.iter().any(|nick| said.from.nick() == *nick.as_str()) => Eat::All,
///             _ => Eat::Nothing,
///         }
///     }
/// }
/// ```
#[doc(alias = "POE::Component::IRC::Plugin")]
pub trait Plugin: 'static {
    /// Called when it is added.
    #[doc(alias = "PCI_register")]
    fn added(&mut self, irc: &Irc) {
        let _ = irc;
    }

    /// Called when it is removed, or the client ends.
    #[doc(alias = "PCI_unregister")]
    fn removed(&mut self, irc: &Irc) {
        let _ = irc;
    }

    /// Called with each event, before sessions get it.
    #[doc(alias = "S_public")]
    fn event(&mut self, irc: &Irc, event: &IrcEvent) -> Eat {
        let _ = (irc, event);
        Eat::Nothing
    }

    /// Called with each command of the program or of another plugin, before it is sent. It may change it.
    #[doc(alias = "U_privmsg")]
    fn command(&mut self, irc: &Irc, message: &mut Message) -> Eat {
        let _ = (irc, message);
        Eat::Nothing
    }
}

struct Slot {
    name: String,
    plugin: RefCell<Box<dyn Plugin>>,
    removed: Cell<bool>,
}

/// The plugins of a client, in their order.
#[derive(Default)]
pub(crate) struct Plugins(RefCell<Vec<Rc<Slot>>>);

impl Plugins {
    pub(crate) fn add(&self, irc: &Irc, name: String, mut plugin: Box<dyn Plugin>) -> bool {
        if self.0.borrow().iter().any(|slot| slot.name == name) {
            return false;
        }
        plugin.added(irc);
        self.0.borrow_mut().push(Rc::new(Slot {
            name,
            plugin: RefCell::new(plugin),
            removed: Cell::new(false),
        }));
        true
    }

    pub(crate) fn remove(&self, irc: &Irc, name: &str) -> bool {
        let slot = {
            let mut slots = self.0.borrow_mut();
            let at = slots.iter().position(|slot| slot.name == name);
            at.map(|at| slots.remove(at))
        };
        let Some(slot) = slot else { return false };
        slot.removed.set(true);
        if let Ok(mut plugin) = slot.plugin.try_borrow_mut() {
            plugin.removed(irc);
        }
        true
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.borrow().iter().map(|slot| slot.name.clone()).collect()
    }

    /// Asks all plugins; returns the name of the one that has consumed it, if one has.
    pub(crate) fn ask(&self, mut f: impl FnMut(&mut dyn Plugin) -> Eat) -> Option<String> {
        if self.0.borrow().is_empty() {
            return None;
        }
        let slots = self.0.borrow().clone();
        let mut eaten = None;
        for slot in slots.iter().filter(|slot| !slot.removed.get()) {
            // A plugin that is on the stack does not see what it does itself.
            let Ok(mut plugin) = slot.plugin.try_borrow_mut() else {
                continue;
            };
            match f(&mut **plugin) {
                Eat::Nothing => {}
                Eat::Plugins => break,
                Eat::Clients => eaten = eaten.or_else(|| Some(slot.name.clone())),
                Eat::All => return Some(slot.name.clone()),
            }
        }
        eaten
    }
}

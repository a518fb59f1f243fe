//! What a program asks of direct connections, and the sessions that do it.

mod transfer;

use crate::connections::Begin;
use crate::dcc::{DccId, DccInfo, DccKind, DccOffer};
use crate::error::{IrcError, IrcErrorKind};
use crate::events::DccRequest;
use crate::irc::Irc;
use crate::text::Text;
use std::path::PathBuf;

pub(crate) use transfer::{follow, work};

/// How many commands to connections may wait for the client's session.
const COMMANDS: usize = 1000;

impl Irc {
    fn dcc_new(&self, nick: Text, kind: DccKind, path: Option<PathBuf>) -> Result<DccInfo, IrcError> {
        let fail = |why| Err(IrcError::new(IrcErrorKind::Dcc(why), None));
        let Some(dcc) = &self.0.settings.dcc else {
            return fail("direct connections are off: set `IrcBuilder::dcc`");
        };
        if self.0.ended.get() {
            return fail("the client has ended");
        }
        let table = &self.0.dcc;
        let waiting = table
            .begin
            .borrow()
            .iter()
            .filter(|begin| matches!(begin, Begin::New { .. }))
            .count();
        if table.live.borrow().len() + waiting >= dcc.transfers {
            return fail("too many direct connections: raise `Dcc::transfers`");
        }
        table.last.set(table.last.get() + 1);
        Ok(DccInfo {
            id: DccId(table.last.get()),
            nick,
            kind,
            path,
            size: None,
            done: 0,
        })
    }

    fn dcc_begin(&self, begin: Begin) -> Result<(), IrcError> {
        let mut commands = self.0.dcc.begin.borrow_mut();
        if commands.len() >= COMMANDS {
            return Err(IrcError::new(IrcErrorKind::Dcc("too many commands wait"), None));
        }
        commands.push_back(begin);
        drop(commands);
        self.0.wake.wake();
        Ok(())
    }

    fn dcc_offer(&self, nick: Text, kind: DccKind, path: Option<PathBuf>) -> Result<DccId, IrcError> {
        let why = "nobody could connect: set `Dcc::announce`";
        if self.0.settings.dcc.as_ref().is_some_and(|dcc| dcc.announce.is_none()) {
            return Err(IrcError::new(IrcErrorKind::Dcc(why), None));
        }
        let info = self.dcc_new(nick, kind, path)?;
        let id = info.id;
        self.dcc_begin(Begin::New {
            info,
            request: None,
            resume: false,
        })?;
        Ok(id)
    }

    /// Offers a file to somebody. The first peer that connects gets it.
    ///
    /// What becomes of it comes as [`DCC_START`](crate::events::DCC_START), [`DCC_SEND`](crate::events::DCC_SEND),
    /// [`DCC_DONE`](crate::events::DCC_DONE) or [`DCC_ERROR`](crate::events::DCC_ERROR).
    ///
    /// # Errors
    /// [`IrcError::is_dcc`]: direct connections are off, too many of them, no address to announce.
    #[doc(alias = "dcc")]
    pub fn dcc_send(&self, nick: impl Into<Text>, path: impl Into<PathBuf>) -> Result<DccId, IrcError> {
        self.dcc_offer(nick.into(), DccKind::Send, Some(path.into()))
    }

    /// Offers a private conversation to somebody. Lines come as [`DCC_CHAT`](crate::events::DCC_CHAT).
    ///
    /// # Errors
    /// As [`dcc_send`](Self::dcc_send).
    #[doc(alias = "dcc")]
    pub fn dcc_chat(&self, nick: impl Into<Text>) -> Result<DccId, IrcError> {
        self.dcc_offer(nick.into(), DccKind::Chat, None)
    }

    fn dcc_connect(&self, request: &DccRequest, path: Option<PathBuf>, resume: bool) -> Result<DccId, IrcError> {
        let fail = |why| Err(IrcError::new(IrcErrorKind::Dcc(why), None));
        let (address, size, kind) = match (&request.offer, &path) {
            (DccOffer::Chat { address }, None) => (address, None, DccKind::Chat),
            (DccOffer::Send { address, size, .. }, Some(_)) => (address, *size, DccKind::Get),
            _ => return fail("the request offers something else"),
        };
        if let Some(dcc) = &self.0.settings.dcc {
            if address.port() < 1024 && !dcc.low_ports {
                return fail("the offered port is below 1024: see `Dcc::allow_low_ports`");
            }
            if size.is_some_and(|size| size > dcc.max_file) {
                return fail("the file is too large: raise `Dcc::max_file`");
            }
        }
        let mut info = self.dcc_new(request.from.nick(), kind, path)?;
        info.size = size;
        let (id, request) = (info.id, Some(request.clone()));
        self.dcc_begin(Begin::New { info, request, resume })?;
        Ok(id)
    }

    /// Receives a file that was offered, into a new file at `path`.
    ///
    /// # Errors
    /// As [`dcc_send`](Self::dcc_send); the request offers no file, one that is too large, or a port below 1024. That the file exists already
    /// is a [`DCC_ERROR`](crate::events::DCC_ERROR).
    #[doc(alias = "dcc_accept")]
    pub fn dcc_get(&self, request: &DccRequest, path: impl Into<PathBuf>) -> Result<DccId, IrcError> {
        self.dcc_connect(request, Some(path.into()), false)
    }

    /// Asks the sender to go on behind what the file at `path` has, and receives the rest.
    ///
    /// # Errors
    /// As [`dcc_get`](Self::dcc_get).
    pub fn dcc_resume(&self, request: &DccRequest, path: impl Into<PathBuf>) -> Result<DccId, IrcError> {
        self.dcc_connect(request, Some(path.into()), true)
    }

    /// Begins a conversation that was offered.
    ///
    /// # Errors
    /// As [`dcc_send`](Self::dcc_send); the request offers no conversation, or a port below 1024.
    pub fn dcc_accept(&self, request: &DccRequest) -> Result<DccId, IrcError> {
        self.dcc_connect(request, None, false)
    }

    /// Says something in a conversation. What is said before it begins, or after its end, is lost.
    ///
    /// # Errors
    /// Too many commands wait.
    pub fn dcc_say(&self, id: DccId, text: impl Into<Text>) -> Result<(), IrcError> {
        self.dcc_begin(Begin::Say(id, text.into()))
    }

    /// Ends a connection after its output is written, or takes an offer back.
    ///
    /// # Errors
    /// Too many commands wait.
    pub fn dcc_close(&self, id: DccId) -> Result<(), IrcError> {
        self.dcc_begin(Begin::Close(id))
    }

    /// Returns the direct connections and offers.
    #[must_use]
    pub fn dcc_connections(&self) -> Vec<DccId> {
        self.0.dcc.live.borrow().keys().copied().collect()
    }
}

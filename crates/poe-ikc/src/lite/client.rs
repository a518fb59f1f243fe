//! What both clients have in common: the bytes that came, and the messages of Perl's `ClientLite`. There is no I/O here.

use crate::dispatch::target_of;
use crate::error::{RemoteError, RemoteErrorKind};
use crate::specifier::Specifier;
use crate::wire::{Codec, Form, Format, Handshake, Head, Identity, MAX_LINE, Peer, Protocol, WireError};
use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;

/// What the events of replies begin with; the call's number follows.
const RESPONSE: &str = "response";

/// A length in decimal, and its NUL.
const MAX_HEADER: usize = 20;

/// A client, as its server knows it.
#[derive(Debug)]
pub(super) struct Client {
    name: String,
    pub(super) server: String,
    pub(super) format: Format,
    codec: Codec,
}

/// What a frame of the server is.
pub(super) enum Incoming {
    /// The reply to the call of that number, or the reason why there is none.
    Reply(u64),
    /// Perl's error report, which says only what it is about.
    Report {
        text: String,
        phase: String,
    },
    Other,
}

/// A message for the server.
pub(super) struct Message {
    pub(super) to: String,
    /// The frame, with its length.
    pub(super) bytes: Vec<u8>,
}

impl Client {
    /// Starts the handshake; returns the first line to send, too.
    pub(super) fn greet(name: &str) -> (Handshake, String) {
        let ours = Identity {
            names: vec![name.to_owned()],
            formats: vec![Format::MsgPack, Format::Storable],
            pid: std::process::id(),
        };
        Handshake::client(ours, Protocol::Ikc0)
    }

    pub(super) fn new(name: &str, peer: &Peer) -> Self {
        Client {
            name: name.to_owned(),
            server: peer.names.first().cloned().unwrap_or_default(),
            format: peer.format,
            codec: Codec::default(),
        }
    }

    pub(super) fn max_frame(&self) -> usize {
        self.codec.max_frame()
    }

    /// Writes a post, or the call of that number.
    pub(super) fn message<A: Serialize + ?Sized>(
        &self,
        session: &str,
        event: &str,
        arg: &A,
        call: Option<u64>,
    ) -> Result<Message, RemoteError> {
        let mut from = Specifier::new(&*self.name, "IKCLite", "");
        from.event = None;
        let head = Head {
            event: Specifier::new(&*self.server, session, event),
            form: Form::Text,
            from: Some(from),
            rsvp: call.map(|id| Specifier::new(&*self.name, "IKCLite", format!("{RESPONSE}{id}"))),
            want_list: call.map(|_| false),
            ..Head::default()
        };
        let to = head.event.to_string();
        match self.codec.write(self.format, &head, arg) {
            Ok(frame) => Ok(Message {
                to,
                bytes: [frame.len().to_string().as_bytes(), b"\0", &frame].concat(),
            }),
            Err(error) => Err(RemoteError::new(to, RemoteErrorKind::Unsent(error.to_string()))),
        }
    }

    /// Reads whose a frame is.
    pub(super) fn incoming(&self, frame: &[u8]) -> Result<Incoming, WireError> {
        self.codec.read(self.format, frame, |head, params| {
            let event = head.event.event().unwrap_or_default();
            if let Some(id) = event.strip_prefix(RESPONSE).and_then(|id| id.parse().ok()) {
                return Incoming::Reply(id);
            }
            match params.decode::<(String, String, String)>() {
                Ok((text, _, phase)) if head.is_error && event == "remote_error" => Incoming::Report { text, phase },
                _ => Incoming::Other,
            }
        })
    }

    /// Reads the reply to a call.
    pub(super) fn reply<R: DeserializeOwned + 'static>(&self, to: &str, frame: &[u8]) -> Result<R, RemoteError> {
        let wrong = |error: WireError| RemoteErrorKind::WrongReply(error.to_string());
        let read = self.codec.read(self.format, frame, |head, params| {
            if !head.is_error {
                return params.decode::<R>().map_err(wrong);
            }
            Err(match params.decode::<(String, String, String)>() {
                Ok((text, _, phase)) => RemoteErrorKind::Refused { phase, text },
                Err(error) => wrong(error),
            })
        });
        read.unwrap_or_else(|error| Err(wrong(error)))
            .map_err(|kind| RemoteError::new(to, kind))
    }
}

/// Whether an error report is about that target.
pub(super) fn is_about(text: &str, to: &str) -> bool {
    target_of(text).is_none_or(|target| target == to)
}

/// The bytes that came and were not used.
#[derive(Debug, Default)]
pub(super) struct Inbox(BytesMut);

impl Inbox {
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Takes a line of the handshake, without its end.
    pub(super) fn line(&mut self) -> io::Result<Option<String>> {
        if let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line = self.0.split_to(end + 1);
            return Ok(Some(
                String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned(),
            ));
        }
        if self.0.len() > MAX_LINE {
            return Err(invalid("a line of the handshake is too long"));
        }
        Ok(None)
    }

    /// Takes a frame, without its length.
    pub(super) fn frame(&mut self, longest: usize) -> io::Result<Option<Bytes>> {
        let bad = || invalid("the server sent bytes that are not a frame");
        let Some(nul) = self.0.iter().take(MAX_HEADER).position(|byte| *byte == 0) else {
            return match self.0.len() < MAX_HEADER {
                true => Ok(None),
                false => Err(bad()),
            };
        };
        let length = str::from_utf8(&self.0[..nul])
            .ok()
            .and_then(|digits| digits.parse().ok());
        let length: usize = length.filter(|length| *length <= longest).ok_or_else(bad)?;
        if self.0.len() <= nul + length {
            return Ok(None);
        }
        let frame = self.0.split_to(nul + 1 + length).freeze();
        Ok(Some(frame.slice(nul + 1..)))
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

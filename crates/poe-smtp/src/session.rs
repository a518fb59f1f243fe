//! The session of one connection.
//!
//! | state | input | leaves it with |
//! |---|---|---|
//! | greeting | waits | the reply to `CONNECT` |
//! | ready | the next line is a command | – |
//! | a reply is owed (`owed`) | waits in `inputs`; reading is paused | the reply, an error, or the time limit |
//! | a dialog of `AUTH` (`dialog`) | the next line is a part of it | the last part, or `*` |
//! | data, after 354 | the next input is a mail | its end |
//! | chunks (`body`) | `BDAT` adds to the mail | the last one, `RSET`, or a mail over the limit |
//! | TLS is being set up | nothing comes | the handshake |
//! | closing | dropped | – |
//!
//! Inputs are handled one after the other, so replies are in the order of commands, however the client pipelines them.

use crate::command::{self, Command};
use crate::events::*;
use crate::filter::{SmtpFilter, SmtpInput, Violation};
use crate::reply::SmtpReply;
use crate::settings::Settings;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use poe::component::{Client, NoCallbacks, TcpServerBuilder, WithCallbacks};
use poe::event::Calls;
use poe::wheel::SocketName;
use poe::{CallError, Context, Event, KERNEL_SHUTDOWN, Signal, TaskId};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

/// The reply of the program's session, with the type of the argument that it was asked with.
type Asked<A> = Result<SmtpReply, CallError<A>>;

const CONNECT_ASKED: Event<Asked<Connect>> = Event::new("smtp_server_connect_asked");
const HELO_ASKED: Event<Asked<Helo>> = Event::new("smtp_server_helo_asked");
const AUTH_ASKED: Event<Asked<Auth>> = Event::new("smtp_server_auth_asked");
const MAIL_ASKED: Event<Asked<Mail>> = Event::new("smtp_server_mail_asked");
const RCPT_ASKED: Event<Asked<Rcpt>> = Event::new("smtp_server_rcpt_asked");
const MESSAGE_ASKED: Event<Asked<Message>> = Event::new("smtp_server_message_asked");
/// What comes behind the first 354.
const INPUT: Event<SmtpInput> = Event::new("smtp_server_input");
/// The kernel, or a supervisor, shuts the server down.
const CLOSING: Event<Signal> = Event::new("smtp_server_closing");
const SECURED: Event<io::Result<()>> = Event::new("smtp_server_secured");

/// A connection.
pub(crate) struct Conn {
    settings: Rc<Settings>,
    peer: Rc<Peer>,
    inputs: VecDeque<SmtpInput>,
    owed: Option<(TaskId, Step)>,
    dialog: Option<Dialog>,
    sender: Option<String>,
    recipients: Vec<String>,
    /// What `BDAT` has brought of the mail.
    body: Option<BytesMut>,
    errors: u32,
    mails: usize,
    is_closing: bool,
}

/// What a reply is about, and what it changes if it accepts.
enum Step {
    Connect,
    Helo { name: String, is_extended: bool },
    Auth { account: String },
    Mail { sender: String },
    Rcpt { recipient: String },
    Message,
}

/// A dialog of `AUTH`.
enum Dialog {
    Plain,
    LoginAccount,
    LoginPassword { account: String },
}

type Cx<'a, 'k> = &'a mut Context<'k, Conn, Client<SmtpFilter>>;

impl Conn {
    pub(crate) fn new(settings: Rc<Settings>, address: SocketName, is_tls: bool) -> Self {
        Conn {
            settings,
            peer: Rc::new(Peer {
                session: None,
                address,
                helo: String::new(),
                is_tls,
                account: None,
            }),
            inputs: VecDeque::new(),
            owed: None,
            dialog: None,
            sender: None,
            recipients: Vec::new(),
            body: None,
            errors: 0,
            mails: 0,
            is_closing: false,
        }
    }

    /// Changes what handlers see of the client from now on.
    fn change(&mut self, f: impl FnOnce(&mut Peer)) {
        f(Rc::make_mut(&mut self.peer));
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients = Vec::new();
        self.body = None;
    }
}

pub(crate) fn with_callbacks(
    server: TcpServerBuilder<Conn, SmtpFilter, NoCallbacks>,
) -> TcpServerBuilder<Conn, SmtpFilter, WithCallbacks> {
    server
        .client_connected(|cx| {
            let session = cx.session_id();
            cx.heap.change(|peer| peer.session = Some(session));
            cx.sig(KERNEL_SHUTDOWN, CLOSING);
            let peer = cx.heap.peer.clone();
            ask(cx, CONNECT, Connect { peer }, CONNECT_ASKED, Step::Connect);
        })
        .client_input(got)
        .state(INPUT, got)
        .state(CLOSING, |cx, _| {
            cx.sig_handled();
            if !cx.heap.is_closing {
                forget_reply(cx);
                let text = format!("4.3.2 {} shuts down", cx.heap.settings.hostname);
                close(cx, SmtpReply::new(421, text));
            }
        })
        .client_disconnected(|cx| {
            forget_reply(cx);
            let conn = &mut *cx.heap;
            conn.is_closing = true;
            let over = Disconnect {
                peer: conn.peer.clone(),
                mails: conn.mails,
            };
            // The program's session may be gone, or not care.
            let _ = cx.kernel.post(conn.settings.target.get(), DISCONNECT, over);
        })
        .state(CONNECT_ASKED, asked)
        .state(HELO_ASKED, asked)
        .state(AUTH_ASKED, asked)
        .state(MAIL_ASKED, asked)
        .state(RCPT_ASKED, asked)
        .state(MESSAGE_ASKED, asked)
        .state(SECURED, |cx, secured: io::Result<()>| match secured {
            // What the client has said in clear text is forgotten.
            Ok(()) => {
                cx.heap.reset();
                cx.heap.change(|peer| {
                    peer.helo = String::new();
                    peer.account = None;
                    peer.is_tls = true;
                });
            }
            Err(error) => tracing::info!(target: "poe::smtp", "{:?}: TLS: {error}", cx.client().peer()),
        })
}

/// The client is not waited for any more.
fn forget_reply(cx: Cx<'_, '_>) {
    if let Some((task, _)) = cx.heap.owed.take() {
        cx.kernel.cancel(task);
    }
}

/// Asks the program's session; its reply comes as an event.
fn ask<A: 'static>(cx: Cx<'_, '_>, event: impl Calls<A, SmtpReply>, arg: A, asked: Event<Asked<A>>, step: Step) {
    let settings = cx.heap.settings.clone();
    let task = cx.ask(settings.target.get(), event, arg, asked, settings.reply_timeout);
    cx.heap.owed = Some((task, step));
}

fn got(cx: Cx<'_, '_>, input: SmtpInput) {
    if !cx.heap.is_closing {
        cx.heap.inputs.push_back(input);
        work(cx);
    }
}

/// Handles what has come, until a reply is owed.
fn work(cx: Cx<'_, '_>) {
    while cx.heap.owed.is_none() && !cx.heap.is_closing {
        let Some(input) = cx.heap.inputs.pop_front() else {
            break;
        };
        match input {
            SmtpInput::Line(line) if cx.heap.dialog.is_some() => continue_auth(cx, &line),
            SmtpInput::Line(line) => match command::parse(&line) {
                Ok(command) => obey(cx, command),
                Err((code, text)) => refuse(cx, code, text),
            },
            SmtpInput::LongLine => refuse(cx, 500, "5.5.2 the line is too long"),
            SmtpInput::Mail(data) => whole_mail(cx, data),
            SmtpInput::LongMail => {
                cx.heap.reset();
                refuse_with(cx, too_large(&cx.heap.settings));
            }
            SmtpInput::Chunk { data, is_last } => take_chunk(cx, &data, is_last),
            SmtpInput::LongChunk => close(cx, too_large(&cx.heap.settings)),
            SmtpInput::Violation(violation) => break_off(cx, violation),
        }
    }
    let is_waiting = cx.heap.owed.is_some();
    if let Some(wheel) = cx.client().wheel() {
        match is_waiting {
            true => wheel.pause_input(),
            false => wheel.resume_input(),
        }
    }
}

fn too_large(settings: &Settings) -> SmtpReply {
    SmtpReply::new(552, format!("5.3.4 a mail has at most {} bytes", settings.limits.mail))
}

fn break_off(cx: Cx<'_, '_>, violation: Violation) {
    tracing::info!(target: "poe::smtp", "{:?}: {violation}", cx.client().peer());
    let cure = match violation {
        Violation::NoChunkSize => "",
        _ => ": lines end in CR LF",
    };
    close(cx, SmtpReply::new(554, format!("5.6.11 {violation} is refused{cure}")));
}

fn whole_mail(cx: Cx<'_, '_>, data: Bytes) {
    let conn = &mut *cx.heap;
    let message = Message {
        peer: conn.peer.clone(),
        sender: conn.sender.take().unwrap_or_default(),
        recipients: std::mem::take(&mut conn.recipients),
        data,
    };
    ask(cx, MESSAGE, message, MESSAGE_ASKED, Step::Message);
}

/// Takes a part of a mail. What comes without recipients, or behind a mail that was too large, is dropped and refused.
fn take_chunk(cx: Cx<'_, '_>, data: &[u8], is_last: bool) {
    let conn = &mut *cx.heap;
    if conn.recipients.is_empty() {
        return refuse(cx, 503, "5.5.1 say MAIL and RCPT first");
    }
    let body = conn.body.get_or_insert_default();
    if body.len() + data.len() > conn.settings.limits.mail {
        conn.reset();
        return refuse_with(cx, too_large(&cx.heap.settings));
    }
    body.extend_from_slice(data);
    if !is_last {
        return put(cx, 250, format!("2.0.0 {} bytes", data.len()));
    }
    let mut body = conn.body.take().unwrap_or_default();
    if !body.is_empty() && !body.ends_with(b"\n") {
        body.extend_from_slice(if body.ends_with(b"\r") { b"\n" } else { b"\r\n" });
    }
    // A relay would send it behind DATA, where these are read differently by different servers.
    match bare_end(&body) {
        Some(violation) => break_off(cx, violation),
        None => whole_mail(cx, body.freeze()),
    }
}

/// A CR without an LF, or an LF without a CR.
fn bare_end(mail: &[u8]) -> Option<Violation> {
    memchr::memchr2_iter(b'\r', b'\n', mail).find_map(|at| match mail[at] {
        b'\r' if mail.get(at + 1) != Some(&b'\n') => Some(Violation::BareCr),
        b'\n' if at == 0 || mail[at - 1] != b'\r' => Some(Violation::BareLf),
        _ => None,
    })
}

fn put(cx: Cx<'_, '_>, code: u16, text: impl Into<String>) {
    cx.client().put(SmtpReply::new(code, text));
}

/// Refuses a command; too many of these end the connection.
fn refuse(cx: Cx<'_, '_>, code: u16, text: impl Into<String>) {
    refuse_with(cx, SmtpReply::new(code, text));
}

fn refuse_with(cx: Cx<'_, '_>, reply: SmtpReply) {
    cx.heap.errors += 1;
    if reply.code() == 421 {
        return close(cx, reply);
    }
    cx.client().put(reply);
    if cx.heap.errors >= cx.heap.settings.errors {
        close(cx, SmtpReply::new(421, "4.7.0 too many errors"));
    }
}

fn close(cx: Cx<'_, '_>, reply: SmtpReply) {
    cx.heap.is_closing = true;
    cx.heap.inputs.clear();
    cx.client().put(reply);
    cx.client().shutdown();
}

/// Whether the client has sent something behind the command that is being handled.
fn is_ahead(cx: Cx<'_, '_>) -> bool {
    let unread = cx
        .client()
        .wheel()
        .is_some_and(|wheel| !wheel.input_pending().is_empty());
    unread || !cx.heap.inputs.is_empty()
}

fn obey(cx: Cx<'_, '_>, command: Command) {
    let settings = cx.heap.settings.clone();
    let peer = cx.heap.peer.clone();
    match command {
        Command::Ehlo(name) => helo(cx, name, true),
        Command::Helo(name) => helo(cx, name, false),
        Command::Noop => put(cx, 250, "2.0.0 OK"),
        Command::Rset => {
            cx.heap.reset();
            put(cx, 250, "2.0.0 OK");
        }
        Command::Quit => close(cx, SmtpReply::new(221, format!("2.0.0 {} closes", settings.hostname))),
        Command::Help => put(cx, 214, "2.0.0 RFC 5321"),
        Command::Vrfy => put(cx, 252, "2.5.0 send a mail and see"),
        Command::StartTls => start_tls(cx),
        Command::AuthPlain(first) => auth(cx, Dialog::Plain, &first),
        Command::AuthLogin(first) => auth(cx, Dialog::LoginAccount, &first),
        Command::OtherAuth => refuse(cx, 504, "5.5.4 the mechanism is not offered"),
        _ if peer.helo.is_empty() => refuse(cx, 503, "5.5.1 say EHLO first"),
        _ if settings.require_tls && !peer.is_tls => refuse(cx, 530, "5.7.0 say STARTTLS first"),
        _ if settings.require_auth && peer.account.is_none() => refuse(cx, 530, "5.7.0 authenticate first"),
        Command::Mail { .. } | Command::Rcpt(_) | Command::Data if cx.heap.body.is_some() => {
            refuse(cx, 503, "5.5.1 a mail in parts has begun: send BDAT, or RSET");
        }
        Command::Mail { .. } if cx.heap.sender.is_some() => refuse(cx, 503, "5.5.1 a mail has begun already"),
        Command::Mail { size, .. } if size > settings.limits.mail => refuse_with(cx, too_large(&settings)),
        Command::Mail { sender, size, is_8bit } => {
            let step = Step::Mail { sender: sender.clone() };
            let mail = Mail {
                peer,
                sender,
                size,
                is_8bit,
            };
            ask(cx, MAIL, mail, MAIL_ASKED, step);
        }
        Command::Rcpt(_) if cx.heap.sender.is_none() => refuse(cx, 503, "5.5.1 say MAIL first"),
        Command::Rcpt(_) if cx.heap.recipients.len() >= settings.recipients => {
            refuse(
                cx,
                452,
                format!("4.5.3 a mail has at most {} recipients", settings.recipients),
            );
        }
        Command::Rcpt(recipient) => {
            let sender = cx.heap.sender.clone().unwrap_or_default();
            let step = Step::Rcpt {
                recipient: recipient.clone(),
            };
            let rcpt = Rcpt {
                peer,
                sender,
                recipient,
            };
            ask(cx, RCPT, rcpt, RCPT_ASKED, step);
        }
        Command::Data if cx.heap.recipients.is_empty() => refuse(cx, 503, "5.5.1 say MAIL and RCPT first"),
        // An honest client waits for 354. Bytes that came before it could be read as commands or as a mail.
        Command::Data if is_ahead(cx) => close(cx, SmtpReply::new(554, "5.5.0 wait for the reply to DATA")),
        Command::Data => {
            put(cx, 354, "End with a line that is a dot");
            let filter = SmtpFilter::mail().limits(settings.limits);
            if let Err(error) = cx.client().set_filter(filter, INPUT) {
                tracing::debug!(target: "poe::smtp", "{error}");
            }
        }
    }
}

fn helo(cx: Cx<'_, '_>, name: String, is_extended: bool) {
    let arg = Helo {
        peer: cx.heap.peer.clone(),
        name: name.clone(),
        is_extended,
    };
    ask(cx, HELO, arg, HELO_ASKED, Step::Helo { name, is_extended });
}

/// What the server can do, as `EHLO` is replied to.
fn greeting(conn: &Conn, is_extended: bool) -> String {
    let (settings, peer) = (&conn.settings, &conn.peer);
    let mut lines = vec![settings.hostname.clone()];
    if is_extended {
        lines.push("PIPELINING".to_owned());
        lines.push(format!("SIZE {}", settings.limits.mail));
        lines.push("8BITMIME".to_owned());
        lines.push("CHUNKING".to_owned());
        lines.push("ENHANCEDSTATUSCODES".to_owned());
        if settings.has_tls() && !peer.is_tls {
            lines.push("STARTTLS".to_owned());
        }
        if may_auth(conn) {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
    }
    lines.join("\n")
}

fn may_auth(conn: &Conn) -> bool {
    conn.settings.auth && (conn.peer.is_tls || conn.settings.plaintext_auth)
}

#[cfg(feature = "tls")]
fn start_tls(cx: Cx<'_, '_>) {
    let acceptor = cx.heap.settings.tls.clone();
    match acceptor {
        Some(_) if cx.heap.peer.is_tls => refuse(cx, 503, "5.5.1 the connection is encrypted already"),
        // CVE-2011-0411: they would be taken for commands of the encrypted session.
        Some(_) if is_ahead(cx) => close(cx, SmtpReply::new(554, "5.5.0 wait for the reply to STARTTLS")),
        Some(acceptor) => {
            put(cx, 220, "2.0.0 Go ahead");
            cx.client().upgrade(move |stream| acceptor.accept(stream), SECURED);
        }
        None => refuse(cx, 502, "5.5.1 STARTTLS is not offered"),
    }
}

#[cfg(not(feature = "tls"))]
fn start_tls(cx: Cx<'_, '_>) {
    refuse(cx, 502, "5.5.1 STARTTLS is not offered");
}

fn auth(cx: Cx<'_, '_>, dialog: Dialog, first: &str) {
    if !may_auth(&cx.heap) {
        return match cx.heap.settings.auth {
            true => refuse(cx, 538, "5.7.11 say STARTTLS first"),
            false => refuse(cx, 502, "5.5.1 AUTH is not offered"),
        };
    }
    if cx.heap.peer.account.is_some() || cx.heap.sender.is_some() {
        return refuse(cx, 503, "5.5.1 not now");
    }
    let prompt = match dialog {
        Dialog::Plain => "",
        _ => "VXNlcm5hbWU6",
    };
    cx.heap.dialog = Some(dialog);
    match first {
        "" => put(cx, 334, prompt),
        "=" => continue_auth(cx, b""),
        first => continue_auth(cx, first.as_bytes()),
    }
}

fn continue_auth(cx: Cx<'_, '_>, line: &[u8]) {
    let Some(dialog) = cx.heap.dialog.take() else { return };
    if line == b"*" {
        return refuse(cx, 501, "5.7.0 cancelled");
    }
    let decoded = STANDARD
        .decode(line)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(text) = decoded else {
        return refuse(cx, 501, "5.5.2 not Base64 of UTF-8");
    };
    let (acts_for, account, password) = match dialog {
        Dialog::Plain => match text.split('\0').collect::<Vec<_>>()[..] {
            [acts_for, account, password] => (acts_for.to_owned(), account.to_owned(), password.to_owned()),
            _ => return refuse(cx, 501, "5.5.2 not the parts of PLAIN"),
        },
        Dialog::LoginAccount => {
            cx.heap.dialog = Some(Dialog::LoginPassword { account: text });
            return put(cx, 334, "UGFzc3dvcmQ6");
        }
        Dialog::LoginPassword { account } => (String::new(), account, text),
    };
    let step = Step::Auth {
        account: account.clone(),
    };
    let arg = Auth {
        peer: cx.heap.peer.clone(),
        account,
        password,
        acts_for,
    };
    ask(cx, AUTH, arg, AUTH_ASKED, step);
}

/// The program's session has replied, or cannot.
fn asked<A: 'static>(cx: Cx<'_, '_>, asked: Asked<A>) {
    let Some((_, step)) = cx.heap.owed.take() else { return };
    let reply = match asked {
        // A handler must not let the client go on with a dialog.
        Ok(reply) if reply.code() / 100 == 3 => SmtpReply::new(451, "4.3.0 try again later"),
        Ok(reply) => reply,
        Err(error) if error.is_unhandled() => without_handler(&step),
        Err(error) => {
            tracing::warn!(target: "poe::smtp", "no reply for {:?}: {error}", cx.client().peer());
            SmtpReply::new(451, "4.3.0 try again later")
        }
    };
    let accepted = reply.is_positive();
    let conn = &mut *cx.heap;
    match step {
        Step::Connect if accepted => {
            let text = format!("{} ESMTP", conn.settings.hostname);
            put(cx, 220, text);
        }
        Step::Connect => {
            let code = if reply.code() / 100 == 4 { 421 } else { 554 };
            close(cx, SmtpReply::new(code, reply.text()));
        }
        Step::Helo { name, is_extended } if accepted => {
            conn.reset();
            conn.change(|peer| peer.helo = name);
            let text = greeting(conn, is_extended);
            put(cx, 250, text);
        }
        Step::Auth { account } if accepted => {
            conn.change(|peer| peer.account = Some(account));
            put(cx, 235, "2.7.0 OK");
        }
        Step::Auth { .. } => {
            let code = if reply.code() / 100 == 4 { 454 } else { 535 };
            refuse_with(cx, SmtpReply::new(code, reply.text()));
        }
        Step::Mail { sender } if accepted => {
            conn.sender = Some(sender);
            cx.client().put(reply);
        }
        Step::Rcpt { recipient } if accepted => {
            conn.recipients.push(recipient);
            cx.client().put(reply);
        }
        Step::Message if accepted => {
            conn.mails += 1;
            cx.client().put(reply);
        }
        _ => refuse_with(cx, reply),
    }
    work(cx);
}

/// The reply to what the program's session has no handler for: nobody's mail is taken by mistake.
fn without_handler(step: &Step) -> SmtpReply {
    match step {
        Step::Connect | Step::Helo { .. } | Step::Mail { .. } => SmtpReply::ok(),
        Step::Auth { .. } => SmtpReply::new(535, "5.7.8 nobody checks passwords"),
        Step::Rcpt { .. } => SmtpReply::new(550, "5.7.1 no mail is taken"),
        Step::Message => SmtpReply::new(554, "5.7.1 no mail is taken"),
    }
}

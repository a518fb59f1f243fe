//! The session of one direct connection, below the client's.
//!
//! | state | leaves it with |
//! |---|---|
//! | the file is opened on a thread (files only) | opened: offers, or connects; an error |
//! | offered: listens, until `offer_timeout` | the first connection; `RESUME` sets where it begins |
//! | connecting | the connection, or an error |
//! | open, receiving: one read is written to the file, then the next is read | all bytes, or the end |
//! | open, sending: one block is read from the file, put, and flushed, then the next is read | the receiver has told that it has all, or closes |
//! | open, conversation | the end |

use crate::connections::{Begin, Live};
use crate::dcc::{Dcc, DccId, DccInfo, DccKind, DccOffer};
use crate::events::{DccFailure, DccLine, DccRequest, IrcEvent};
use crate::irc::{Cx as ClientCx, Irc};
use crate::message::Source;
use crate::text::Text;
use bytes::Bytes;
use poe::event::{START, STOP};
use poe::filter::{Line, Raw};
use poe::wheel::{Connection, Input, IoError, ReadWrite, SocketError, SocketFactory};
use poe::{Context, Event, HandlerResult, KERNEL_SHUTDOWN, Session, Signal, WheelId};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

const OPENED: Event<io::Result<(File, u64)>> = Event::new("irc_dcc_opened");
const UP: Event<Connection> = Event::new("irc_dcc_up");
const FAILED: Event<SocketError> = Event::new("irc_dcc_failed");
const TIMEOUT: Event<()> = Event::new("irc_dcc_timeout");
const GOT: Event<Input<Bytes>> = Event::new("irc_dcc_got");
const LOST: Event<IoError> = Event::new("irc_dcc_lost");
const FLUSHED: Event<WheelId> = Event::new("irc_dcc_flushed");
const READ: Event<io::Result<(File, Vec<u8>)>> = Event::new("irc_dcc_read");
const WRITTEN: Event<io::Result<(File, u64)>> = Event::new("irc_dcc_written");
const SAY: Event<Text> = Event::new("irc_dcc_say");
const CLOSE: Event<()> = Event::new("irc_dcc_close");
const ENDS: Event<Signal> = Event::new("irc_dcc_kernel_shutdown");
/// The receiver goes on there.
const FROM: Event<u64> = Event::new("irc_dcc_from");

/// What is read from a file at a time.
const BLOCK: usize = 64 * 1024;
/// The longest line of a conversation.
const LINE: usize = 8 * 1024;
/// How long the other end may take to close.
const LINGER: Duration = Duration::from_secs(5);

struct Transfer {
    irc: Irc,
    dcc: Dcc,
    info: DccInfo,
    /// Where to connect; `None` offers.
    address: Option<SocketAddr>,
    /// The file as the sender names it.
    name: Option<Text>,
    /// Goes on behind what the file here has.
    resume: bool,
    /// The ports that were not tried yet, and the one that was offered.
    ports: RangeInclusive<u16>,
    port: u16,
    factory: Option<SocketFactory>,
    wheel: Option<ReadWrite<Bytes>>,
    /// The file, unless a thread has it.
    file: Option<File>,
    /// How much was read from the file that is sent.
    sent: u64,
    /// The last bytes of the receiver's count, which is four bytes.
    told: Vec<u8>,
    /// The other end sends no more.
    is_eof: bool,
    is_over: bool,
}

type Cx<'a, 'k> = &'a mut Context<'k, Transfer>;

/// Does what the program has asked for, in the client's session.
pub(crate) fn work(cx: ClientCx<'_, '_>) {
    let irc = cx.heap.clone();
    loop {
        let next = irc.0.dcc.begin.borrow_mut().pop_front();
        match next {
            None => return,
            Some(Begin::New { info, request, resume }) => create(cx, &irc, info, request.as_ref(), resume),
            Some(Begin::Say(id, text)) => tell(cx, &irc, id, SAY, text),
            Some(Begin::Close(id)) => tell(cx, &irc, id, CLOSE, ()),
        }
    }
}

fn tell<A: 'static>(cx: ClientCx<'_, '_>, irc: &Irc, id: DccId, event: Event<A>, arg: A) {
    let session = irc.0.dcc.live.borrow().get(&id).map(|live| live.session);
    if let Some(session) = session {
        // It may have ended.
        let _ = cx.post(session, event, arg);
    }
}

/// The other end of a transfer says where it goes on.
pub(crate) fn follow(cx: ClientCx<'_, '_>, irc: &Irc, from: &Source, offer: &DccOffer) {
    let (kind, port, position) = match *offer {
        DccOffer::Resume { port, position, .. } => (DccKind::Send, port, position),
        DccOffer::Accept { port, position, .. } => (DccKind::Get, port, position),
        _ => return,
    };
    let nick = from.nick();
    let is_meant = |live: &&Live| live.kind == kind && live.port == port && irc.same_name(&live.nick, &nick);
    let session = irc.0.dcc.live.borrow().values().find(is_meant).map(|live| live.session);
    if let Some(session) = session {
        let _ = cx.post(session, FROM, position);
    }
}

fn create(cx: ClientCx<'_, '_>, irc: &Irc, info: DccInfo, request: Option<&DccRequest>, resume: bool) {
    let Some(dcc) = irc.0.settings.dcc.clone() else { return };
    let address = request.and_then(|request| request.offer.address());
    let live = |session| Live {
        session,
        nick: info.nick.clone(),
        kind: info.kind,
        port: address.map_or(0, |address| address.port()),
    };
    let transfer = Transfer {
        irc: irc.clone(),
        ports: dcc.ports.clone(),
        dcc,
        info: info.clone(),
        address,
        name: request.and_then(|request| request.offer.file().cloned()),
        resume,
        port: 0,
        factory: None,
        wheel: None,
        file: None,
        sent: 0,
        told: Vec::new(),
        is_eof: false,
        is_over: false,
    };
    let session = Session::builder(transfer)
        .on(START, |cx, ()| start(cx))
        .on(OPENED, opened)
        .on(UP, up)
        .on(FAILED, |cx, error: SocketError| match cx.heap.address {
            None if !cx.heap.ports.is_empty() => listen(cx),
            _ => fail(cx, error.to_string()),
        })
        .on(TIMEOUT, |cx, ()| fail(cx, "nobody has come in time"))
        .on(FROM, from)
        .on(GOT, got)
        .on(LOST, lost)
        .on(FLUSHED, |cx, _| read_on(cx))
        .on(READ, read)
        .on(WRITTEN, written)
        .on(SAY, |cx, text: Text| {
            if let (DccKind::Chat, Some(wheel)) = (cx.heap.info.kind, &cx.heap.wheel) {
                for line in text.as_bytes().split(|byte| matches!(byte, b'\r' | b'\n')) {
                    if !line.is_empty() {
                        let _ = wheel.put([line, b"\n"].concat());
                    }
                }
            }
        })
        .on(CLOSE, |cx, ()| over(cx, None))
        .on(ENDS, |cx, _| {
            cx.sig_handled();
            fail(cx, "the program ends");
        })
        .on(STOP, |cx, ()| {
            cx.heap.irc.0.dcc.live.borrow_mut().remove(&cx.heap.info.id);
        });
    match cx.create(session) {
        // It may be over already.
        Ok(session) if cx.kernel.is_alive(session) => {
            irc.0.dcc.live.borrow_mut().insert(info.id, live(session));
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(target: "poe::irc", "no session for a direct connection: {error}"),
    }
}

fn start(cx: Cx<'_, '_>) {
    cx.sig(KERNEL_SHUTDOWN, ENDS);
    let (kind, resume) = (cx.heap.info.kind, cx.heap.resume);
    match cx.heap.info.path.clone() {
        None => begin(cx),
        Some(path) => {
            cx.blocking(move || open(&path, kind, resume), OPENED);
        }
    }
}

/// Opens the file, and returns it with its size.
fn open(path: &Path, kind: DccKind, resume: bool) -> io::Result<(File, u64)> {
    let file = match (kind, resume) {
        (DccKind::Send, _) => File::open(path)?,
        // What is there is never written over.
        (_, false) => OpenOptions::new().write(true).create_new(true).open(path)?,
        (_, true) => OpenOptions::new().append(true).open(path)?,
    };
    let about = file.metadata()?;
    match about.is_file() {
        true => Ok((file, about.len())),
        false => Err(io::Error::other("it is not a file")),
    }
}

fn opened(cx: Cx<'_, '_>, opened: io::Result<(File, u64)>) {
    let (file, size) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let path = cx.heap.info.path.clone().unwrap_or_default();
            return fail(cx, format!("cannot open {}: {error}", path.display()));
        }
    };
    cx.heap.file = Some(file);
    match (cx.heap.info.kind, cx.heap.address) {
        (DccKind::Get, Some(address)) if cx.heap.resume => {
            if cx.heap.info.size.is_some_and(|whole| size >= whole) {
                return fail(cx, "the file is as large as the one that is offered");
            }
            cx.heap.info.done = size;
            let file = cx.heap.name.clone().unwrap_or_default();
            let (port, position) = (address.port(), size);
            write_to(cx, &DccOffer::Resume { file, port, position });
            cx.delay(TIMEOUT, cx.heap.dcc.offer_timeout, ());
        }
        (kind, _) => {
            if kind == DccKind::Send {
                cx.heap.info.size = Some(size);
            }
            begin(cx);
        }
    }
}

/// Connects, or offers.
fn begin(cx: Cx<'_, '_>) {
    match cx.heap.address {
        None => listen(cx),
        Some(address) => {
            let factory = SocketFactory::connect(address).success(UP).failure(FAILED);
            cx.heap.factory = Some(factory.start(cx));
        }
    }
}

/// Listens at the next port that is allowed. One that is taken comes as a failure.
fn listen(cx: Cx<'_, '_>) {
    let Some(port) = cx.heap.ports.next() else { return };
    let address = SocketAddr::new(cx.heap.dcc.listen, port);
    let factory = SocketFactory::listen(address).success(UP).failure(FAILED).start(cx);
    let local = factory.local_addr();
    cx.heap.factory = Some(factory);
    let (Some(local), Some(announced)) = (local, cx.heap.dcc.announce) else {
        return;
    };
    let (address, id) = (SocketAddr::new(announced, local.port()), cx.heap.info.id);
    cx.heap.port = local.port();
    if let Some(live) = cx.heap.irc.0.dcc.live.borrow_mut().get_mut(&id) {
        live.port = local.port();
    }
    let offer = match cx.heap.info.kind {
        DccKind::Chat => DccOffer::Chat { address },
        _ => DccOffer::Send {
            file: file_name(&cx.heap.info),
            size: cx.heap.info.size,
            address,
        },
    };
    cx.delay(TIMEOUT, cx.heap.dcc.offer_timeout, ());
    write_to(cx, &offer);
}

/// The last part of the file's path, as offers name it.
fn file_name(info: &DccInfo) -> Text {
    let name = info.path.as_deref().and_then(Path::file_name).unwrap_or_default();
    name.to_string_lossy().replace(char::is_control, "_").as_str().into()
}

fn write_to(cx: Cx<'_, '_>, offer: &DccOffer) {
    let sent = cx.heap.irc.ctcp(&cx.heap.info.nick, "DCC", offer.to_text());
    if let Err(error) = sent {
        fail(cx, error.to_string());
    }
}

/// The receiver says where to begin, or the sender where it will.
fn from(cx: Cx<'_, '_>, position: u64) {
    let transfer = &mut *cx.heap;
    if transfer.wheel.is_some() || transfer.is_over {
        return;
    }
    match transfer.info.kind {
        DccKind::Send if transfer.info.size.is_some_and(|size| position < size) => {
            (transfer.sent, transfer.info.done) = (position, position);
            let (file, port) = (file_name(&transfer.info), transfer.port);
            write_to(cx, &DccOffer::Accept { file, port, position });
        }
        DccKind::Get if transfer.resume && transfer.factory.is_none() => match position == transfer.info.done {
            true => begin(cx),
            false => fail(cx, "the sender would not go on where the file ends"),
        },
        _ => {}
    }
}

fn up(cx: Cx<'_, '_>, connection: Connection) -> HandlerResult {
    if cx.heap.wheel.is_some() || cx.heap.is_over {
        return Ok(());
    }
    cx.heap.factory = None;
    cx.alarm_clear(TIMEOUT);
    let builder = ReadWrite::builder(connection.stream).output(Raw::new());
    let builder = match cx.heap.info.kind {
        DccKind::Chat => builder.input(Line::bytes().max_length(LINE), GOT),
        _ => builder.input(Raw::new(), GOT),
    };
    let idle = cx.heap.dcc.idle_timeout;
    let wheel = builder.idle_timeout(idle).error(LOST).flushed(FLUSHED).start(cx)?;
    cx.heap.wheel = Some(wheel);
    emit(cx, IrcEvent::DccStart);
    if cx.heap.info.kind == DccKind::Send {
        match cx.heap.info.size {
            Some(0) => over(cx, None),
            _ => read_on(cx),
        }
    }
    Ok(())
}

/// Reads the next block of the file that is sent, when the one before is on its way.
fn read_on(cx: Cx<'_, '_>) {
    let transfer = &mut *cx.heap;
    let (size, sent) = (transfer.info.size.unwrap_or_default(), transfer.sent);
    if transfer.info.kind != DccKind::Send || transfer.is_over || sent >= size {
        return;
    }
    // None while a thread reads.
    let Some(mut file) = transfer.file.take() else { return };
    let most = usize::try_from(size - sent).unwrap_or(BLOCK).min(BLOCK);
    cx.blocking(
        move || {
            let mut block = vec![0; most];
            file.seek(SeekFrom::Start(sent))?;
            let count = file.read(&mut block)?;
            block.truncate(count);
            Ok((file, block))
        },
        READ,
    );
}

fn read(cx: Cx<'_, '_>, read: io::Result<(File, Vec<u8>)>) {
    if cx.heap.is_over {
        return;
    }
    match read {
        Err(error) => fail(cx, format!("cannot read the file: {error}")),
        Ok((_, block)) if block.is_empty() => fail(cx, "the file has become shorter"),
        Ok((file, block)) => {
            cx.heap.file = Some(file);
            cx.heap.sent += block.len() as u64;
            if let Some(wheel) = &cx.heap.wheel {
                // What cannot be put is lost with the connection.
                let _ = wheel.put(block);
            }
        }
    }
}

fn got(cx: Cx<'_, '_>, input: Input<Bytes>) {
    if cx.heap.is_over {
        return;
    }
    let bytes = input.record;
    match cx.heap.info.kind {
        DccKind::Chat => {
            let (info, text) = (cx.heap.info.clone(), Text::from(&bytes[..]));
            let irc = cx.heap.irc.clone();
            irc.emit(cx.kernel, &IrcEvent::DccChat(DccLine { info, text }));
        }
        DccKind::Send => told(cx, &bytes),
        DccKind::Get => {
            let transfer = &mut *cx.heap;
            let all = transfer.info.done + bytes.len() as u64;
            if transfer.info.size.is_some_and(|size| all > size) || all > transfer.dcc.max_file {
                return fail(cx, "the sender sends more than it has offered, or than is allowed");
            }
            if let Some(wheel) = &transfer.wheel {
                wheel.pause_input();
            }
            let Some(mut file) = transfer.file.take() else { return };
            cx.blocking(
                move || {
                    file.write_all(&bytes)?;
                    Ok((file, bytes.len() as u64))
                },
                WRITTEN,
            );
        }
    }
}

/// The receiver tells how much it has, modulo 2^32.
fn told(cx: Cx<'_, '_>, bytes: &[u8]) {
    let transfer = &mut *cx.heap;
    transfer.told.extend_from_slice(bytes);
    let whole = transfer.told.len() / 4 * 4;
    let Some(last) = transfer.told[..whole].last_chunk::<4>() else {
        return;
    };
    let (count, high) = (u64::from(u32::from_be_bytes(*last)), transfer.sent & !0xffff_ffff);
    transfer.told.drain(..whole);
    let done = match high | count {
        more if more > transfer.sent => more.saturating_sub(1 << 32),
        done => done,
    };
    // A count beyond what was sent is a lie.
    transfer.info.done = done.min(transfer.sent);
    emit(cx, IrcEvent::DccSend);
    if Some(cx.heap.info.done) == cx.heap.info.size {
        over(cx, None);
    }
}

fn written(cx: Cx<'_, '_>, written: io::Result<(File, u64)>) {
    if cx.heap.is_over {
        return;
    }
    match written {
        Err(error) => fail(cx, format!("cannot write the file: {error}")),
        Ok((file, count)) => {
            let transfer = &mut *cx.heap;
            transfer.file = Some(file);
            transfer.info.done += count;
            if let Some(wheel) = &transfer.wheel {
                // The protocol counts modulo 2^32.
                let _ = wheel.put((transfer.info.done as u32).to_be_bytes().to_vec());
            }
            emit(cx, IrcEvent::DccGet);
            if cx.heap.info.size == Some(cx.heap.info.done) {
                over(cx, None);
            } else if cx.heap.is_eof {
                ended(cx);
            } else if let Some(wheel) = &cx.heap.wheel {
                wheel.resume_input();
            }
        }
    }
}

fn lost(cx: Cx<'_, '_>, error: IoError) {
    if error.as_filter().is_some_and(|bad| !bad.is_fatal()) {
        return tracing::warn!(target: "poe::irc", "in a direct conversation: {error}");
    }
    if !error.is_eof() {
        return fail(cx, error.to_string());
    }
    cx.heap.is_eof = true;
    // A thread may still write.
    if cx.heap.info.kind != DccKind::Get || cx.heap.file.is_some() {
        ended(cx);
    }
}

/// The other end has closed.
fn ended(cx: Cx<'_, '_>) {
    let transfer = &*cx.heap;
    let is_whole = match (transfer.info.kind, transfer.info.size) {
        (DccKind::Chat, _) | (_, None) => true,
        // Some receivers close without a last count.
        (DccKind::Send, Some(size)) => transfer.sent == size,
        (DccKind::Get, Some(size)) => transfer.info.done == size,
    };
    match is_whole {
        true => over(cx, None),
        false => fail(cx, "the other end has closed before the end of the file"),
    }
}

fn fail(cx: Cx<'_, '_>, why: impl Into<String>) {
    over(cx, Some(why.into()));
}

/// The transfer is over; its session stops when the output is written.
fn over(cx: Cx<'_, '_>, error: Option<String>) {
    if std::mem::replace(&mut cx.heap.is_over, true) {
        return;
    }
    cx.alarm_clear(TIMEOUT);
    let transfer = &mut *cx.heap;
    (transfer.factory, transfer.file) = (None, None);
    if let Some(wheel) = transfer.wheel.take() {
        wheel.close(LINGER);
    }
    transfer.irc.0.dcc.live.borrow_mut().remove(&transfer.info.id);
    match error {
        None => emit(cx, IrcEvent::DccDone),
        Some(error) => emit(cx, |info| IrcEvent::DccError(DccFailure { info, error })),
    }
}

fn emit(cx: Cx<'_, '_>, event: impl FnOnce(DccInfo) -> IrcEvent) {
    let (irc, event) = (cx.heap.irc.clone(), event(cx.heap.info.clone()));
    irc.emit(cx.kernel, &event);
}

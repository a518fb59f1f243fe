//! The head of a message in MessagePack: `[target, from, rsvp, flags, lease, trace]`, an address as `[kernel, session, event]` or nil. The lease
//! is `[name, number]` or nil, the trace the text of a span's context; both are left out where there is none. The value follows the head.

use super::message::{Fence, Form, Head, WireError};
use crate::specifier::Specifier;
use rmp::encode::RmpWrite;
use rmp::{decode, encode};

const NIL: u8 = 0xc0;
const IS_ERROR: u8 = 1;
const WANTS_SCALAR: u8 = 2;
const WANTS_LIST: u8 = 4;

/// The longest context of a span, in bytes.
const MAX_TRACE: usize = 512;

/// Writing to memory cannot fail.
const TO_MEMORY: &str = "memory takes all bytes";

pub(super) fn head(out: &mut impl RmpWrite, head: &Head) {
    let trace = head.trace.as_ref().filter(|trace| trace.len() <= MAX_TRACE);
    let parts = match (&head.fence, trace) {
        (_, Some(_)) => 6,
        (Some(_), None) => 5,
        (None, None) => 4,
    };
    encode::write_array_len(out, parts).expect(TO_MEMORY);
    address(out, Some(&head.event));
    address(out, head.from.as_ref());
    address(out, head.rsvp.as_ref());
    let mut flags = if head.is_error { IS_ERROR } else { 0 };
    flags |= match head.want_list {
        None => 0,
        Some(false) => WANTS_SCALAR,
        Some(true) => WANTS_LIST,
    };
    encode::write_uint(out, u64::from(flags)).expect(TO_MEMORY);
    if let Some(fence) = &head.fence {
        encode::write_array_len(out, 2).expect(TO_MEMORY);
        encode::write_str(out, &fence.name).expect(TO_MEMORY);
        encode::write_uint(out, fence.number).expect(TO_MEMORY);
    } else if parts == 6 {
        encode::write_nil(out).expect(TO_MEMORY);
    }
    if let Some(trace) = trace {
        encode::write_str(out, trace).expect(TO_MEMORY);
    }
}

fn address(out: &mut impl RmpWrite, address: Option<&Specifier>) {
    let Some(address) = address else {
        encode::write_nil(out).expect(TO_MEMORY);
        return;
    };
    encode::write_array_len(out, 3).expect(TO_MEMORY);
    for part in [&address.kernel, &address.session, &address.event] {
        match part {
            Some(part) => encode::write_str(out, part).expect(TO_MEMORY),
            None => encode::write_nil(out).expect(TO_MEMORY),
        }
    }
}

/// Reads the head; returns it and the bytes of the value.
pub(super) fn read_head(mut bytes: &[u8]) -> Result<(Head, &[u8]), WireError> {
    let parts = array(&mut bytes)?;
    if !matches!(parts, 4..=6) {
        return Err(WireError::new("the head of a message has four to six parts"));
    }
    let event = read_address(&mut bytes)?.ok_or_else(|| WireError::new("the message has no target"))?;
    let from = read_address(&mut bytes)?;
    let rsvp = read_address(&mut bytes)?;
    let flags: u8 = decode::read_int(&mut bytes).map_err(|_| WireError::new("a message has no flags"))?;
    let fence = match parts {
        5.. if !skip_nil(&mut bytes) => Some(read_fence(&mut bytes)?),
        _ => None,
    };
    let trace = match parts {
        6 => text(&mut bytes)?,
        _ => None,
    };
    if trace.as_ref().is_some_and(|trace| trace.len() > MAX_TRACE) {
        return Err(WireError::new("the context of a span is too long"));
    }
    let head = Head {
        event,
        form: Form::Hash,
        from,
        rsvp,
        want_list: match flags & (WANTS_SCALAR | WANTS_LIST) {
            0 => None,
            wanted => Some(wanted & WANTS_LIST != 0),
        },
        is_error: flags & IS_ERROR != 0,
        fence,
        trace,
    };
    Ok((head, bytes))
}

fn read_fence(bytes: &mut &[u8]) -> Result<Fence, WireError> {
    if array(bytes)? != 2 {
        return Err(WireError::new("a lease has two parts"));
    }
    let name = text(bytes)?.ok_or_else(|| WireError::new("a lease has no name"))?;
    let number = decode::read_int(bytes).map_err(|_| WireError::new("a lease has no number"))?;
    Ok(Fence { name, number })
}

fn array(bytes: &mut &[u8]) -> Result<u32, WireError> {
    decode::read_array_len(bytes).map_err(|_| WireError::new("there is no array where a message has one"))
}

fn read_address(bytes: &mut &[u8]) -> Result<Option<Specifier>, WireError> {
    if skip_nil(bytes) {
        return Ok(None);
    }
    if array(bytes)? != 3 {
        return Err(WireError::new("an address has three parts"));
    }
    let [kernel, session, event] = [text(bytes)?, text(bytes)?, text(bytes)?];
    Ok(Some(Specifier { kernel, session, event }))
}

fn text(bytes: &mut &[u8]) -> Result<Option<String>, WireError> {
    if skip_nil(bytes) {
        return Ok(None);
    }
    let (text, rest) =
        decode::read_str_from_slice(*bytes).map_err(|_| WireError::new("a part of an address is not text"))?;
    *bytes = rest;
    Ok(Some(text.to_owned()))
}

fn skip_nil(bytes: &mut &[u8]) -> bool {
    match bytes.split_first() {
        Some((&NIL, rest)) => {
            *bytes = rest;
            true
        }
        _ => false,
    }
}

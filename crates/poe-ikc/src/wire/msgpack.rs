//! The head of a message in MessagePack: `[target, from, rsvp, flags]`, an address as `[kernel, session, event]` or nil. A message of the
//! holder of a lease has `[name, number]` as a fifth part. The value follows the head.

use super::message::{Fence, Form, Head, WireError};
use crate::specifier::Specifier;
use rmp::{decode, encode};

const NIL: u8 = 0xc0;
const IS_ERROR: u8 = 1;
const WANTS_SCALAR: u8 = 2;
const WANTS_LIST: u8 = 4;

/// Writing to a vector cannot fail.
const TO_MEMORY: &str = "a vector takes all bytes";

pub(super) fn head(head: &Head) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    let parts = if head.fence.is_some() { 5 } else { 4 };
    encode::write_array_len(&mut out, parts).expect(TO_MEMORY);
    address(&mut out, Some(&head.event));
    address(&mut out, head.from.as_ref());
    address(&mut out, head.rsvp.as_ref());
    let mut flags = if head.is_error { IS_ERROR } else { 0 };
    flags |= match head.want_list {
        None => 0,
        Some(false) => WANTS_SCALAR,
        Some(true) => WANTS_LIST,
    };
    encode::write_uint(&mut out, u64::from(flags)).expect(TO_MEMORY);
    if let Some(fence) = &head.fence {
        encode::write_array_len(&mut out, 2).expect(TO_MEMORY);
        encode::write_str(&mut out, &fence.name).expect(TO_MEMORY);
        encode::write_uint(&mut out, fence.number).expect(TO_MEMORY);
    }
    out
}

fn address(out: &mut Vec<u8>, address: Option<&Specifier>) {
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
    if !matches!(parts, 4 | 5) {
        return Err(WireError::new("the head of a message has four or five parts"));
    }
    let event = read_address(&mut bytes)?.ok_or_else(|| WireError::new("the message has no target"))?;
    let from = read_address(&mut bytes)?;
    let rsvp = read_address(&mut bytes)?;
    let flags: u8 = decode::read_int(&mut bytes).map_err(|_| WireError::new("a message has no flags"))?;
    let fence = match parts {
        5 => Some(read_fence(&mut bytes)?),
        _ => None,
    };
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

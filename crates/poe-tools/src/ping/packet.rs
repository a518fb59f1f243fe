//! ICMP echo requests and replies, as bytes.
//!
//! A message is a type, a code, a checksum, an identifier, a number, and data: 16 bytes here. The data is a random token, by which a
//! request knows its reply. In a reply it stands in front of what else was sent.

/// What a request is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) number: u16,
    pub(super) token: u64,
}

const HEADER: usize = 8;

/// Makes a request. The checksum of version 6 covers addresses as well, and is the system's to make.
pub(super) fn request(key: Key, identifier: u16, payload: usize, is_v6: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 8 + payload);
    bytes.extend([if is_v6 { 128 } else { 8 }, 0, 0, 0]);
    bytes.extend(identifier.to_be_bytes());
    bytes.extend(key.number.to_be_bytes());
    bytes.extend(key.token.to_be_bytes());
    bytes.extend((0..payload).map(|n| n as u8));
    if !is_v6 {
        let sum = checksum(&bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// Reads a reply: the key of its request, and the time to live that was left, where the socket tells it. `None` is any other message.
pub(super) fn reply(bytes: &[u8], is_v6: bool) -> Option<(Key, Option<u8>)> {
    let (message, ttl) = match bytes.first()? >> 4 {
        // Raw sockets have the IP header of version 4 in front, and macOS has it always. No echo message begins like that.
        4 if !is_v6 => {
            let length = usize::from(bytes[0] & 15) * 4;
            (bytes.get(length.max(20)..)?, Some(*bytes.get(8)?))
        }
        _ => (bytes, None),
    };
    let wanted = if is_v6 { 129 } else { 0 };
    let (head, data) = message.split_at_checked(HEADER)?;
    if head[0] != wanted || head[1] != 0 || (!is_v6 && checksum(message) != 0) {
        return None;
    }
    let number = u16::from_be_bytes([head[6], head[7]]);
    let token = u64::from_be_bytes(*data.first_chunk::<8>()?);
    Some((Key { number, token }, ttl))
}

/// The Internet's checksum; zero of a message that has it already.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The reply of a peer to a request.
#[cfg(test)]
pub(super) fn answered(mut request: Vec<u8>, is_v6: bool) -> Vec<u8> {
    request[0] = if is_v6 { 129 } else { 0 };
    request[2..4].fill(0);
    if !is_v6 {
        let sum = checksum(&request);
        request[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_reply_has_the_key_of_its_request(number: u16, token: u64, identifier: u16, payload in 0..200_usize, is_v6: bool, ttl: u8, options in 0..10_u8) {
            let key = Key { number, token };
            let reply_bytes = answered(request(key, identifier, payload, is_v6), is_v6);
            prop_assert_eq!(reply(&reply_bytes, is_v6), Some((key, None)));
            prop_assert_eq!(reply(&reply_bytes, !is_v6), None);
            if !is_v6 {
                // With an IP header in front.
                let mut whole = vec![0_u8; 20 + 4 * usize::from(options)];
                whole[0] = 0x45 + options;
                whole[8] = ttl;
                whole.extend(&reply_bytes);
                prop_assert_eq!(reply(&whole, false), Some((key, Some(ttl))));
            }
        }

        #[test]
        fn no_bytes_panic_and_changed_ones_are_no_reply(bytes in prop::collection::vec(any::<u8>(), 0..80), is_v6: bool, at: prop::sample::Index, change in 1..=255_u8) {
            let _ = reply(&bytes, is_v6);
            let key = Key { number: 7, token: 9 };
            let mut changed = answered(request(key, 1, 8, false), false);
            let at = at.index(changed.len());
            changed[at] ^= change;
            prop_assert_ne!(reply(&changed, false), Some((key, None)));
        }
    }
}

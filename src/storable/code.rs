//! The codes that an item begins with, and the flags of hashes, as Storable numbers them.

pub(super) const OBJECT: u8 = 0x00;
pub(super) const LSCALAR: u8 = 0x01;
pub(super) const ARRAY: u8 = 0x02;
pub(super) const HASH: u8 = 0x03;
pub(super) const REF: u8 = 0x04;
pub(super) const UNDEF: u8 = 0x05;
pub(super) const INTEGER: u8 = 0x06;
pub(super) const DOUBLE: u8 = 0x07;
pub(super) const BYTE: u8 = 0x08;
pub(super) const NETINT: u8 = 0x09;
pub(super) const SCALAR: u8 = 0x0a;
pub(super) const TIED_ARRAY: u8 = 0x0b;
pub(super) const TIED_HASH: u8 = 0x0c;
pub(super) const TIED_SCALAR: u8 = 0x0d;
pub(super) const SV_UNDEF: u8 = 0x0e;
pub(super) const SV_YES: u8 = 0x0f;
pub(super) const SV_NO: u8 = 0x10;
pub(super) const BLESS: u8 = 0x11;
pub(super) const IX_BLESS: u8 = 0x12;
pub(super) const HOOK: u8 = 0x13;
pub(super) const OVERLOAD: u8 = 0x14;
pub(super) const TIED_KEY: u8 = 0x15;
pub(super) const TIED_IDX: u8 = 0x16;
pub(super) const UTF8STR: u8 = 0x17;
pub(super) const LUTF8STR: u8 = 0x18;
pub(super) const FLAG_HASH: u8 = 0x19;
pub(super) const CODE: u8 = 0x1a;
pub(super) const WEAKREF: u8 = 0x1b;
pub(super) const WEAKOVERLOAD: u8 = 0x1c;
pub(super) const VSTRING: u8 = 0x1d;
pub(super) const LVSTRING: u8 = 0x1e;
pub(super) const SVUNDEF_ELEM: u8 = 0x1f;
pub(super) const REGEXP: u8 = 0x20;
pub(super) const LOBJECT: u8 = 0x21;
pub(super) const BOOLEAN_TRUE: u8 = 0x22;
pub(super) const BOOLEAN_FALSE: u8 = 0x23;

/// Major version 2, network order; and the minor version that the images we write are of.
pub(super) const HEADER: [u8; 2] = [0x05, 0x0b];
/// Stands before the header in what `nstore` writes to a file.
pub(super) const FILE_MAGIC: &[u8] = b"pst0";

pub(super) const HASH_LOCKED: u8 = 0x01;
pub(super) const KEY_UTF8: u8 = 0x01;
pub(super) const KEY_WAS_UTF8: u8 = 0x02;
pub(super) const KEY_LOCKED: u8 = 0x04;
pub(super) const KEY_IS_ITEM: u8 = 0x08;
pub(super) const KEY_PLACEHOLDER: u8 = 0x10;

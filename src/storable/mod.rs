//! Perl's Storable: the network-order images that `nfreeze` makes and `thaw` reads, which POE::Filter::Reference sends.
//!
//! Data goes two ways. *Typed*, by serde: [`to_vec`] and [`from_slice`] take any type that serde knows. *As it is*:
//! [`freeze`] and [`thaw`] take a [`Value`], a graph of Perl's scalars, arrays and hashes, in which what is shared stays
//! shared and what is blessed stays blessed.
//!
//! ```
//! use poe::storable::{self, Value};
//! let image = storable::to_vec(&("temperature", 21)).unwrap();
//! assert_eq!(image, b"\x05\x0b\x02\0\0\0\x02\x0a\x0btemperature\x08\x95");
//! let (name, degrees): (String, i32) = storable::from_slice(&image).unwrap();
//! assert_eq!((name.as_str(), degrees), ("temperature", 21));
//!
//! let value = storable::thaw(&image).unwrap();
//! assert_eq!(value.get(1).unwrap().as_i64(), Some(21));
//! ```
//!
//! # How Rust's data looks in Perl
//!
//! | serde | Storable | read back from |
//! |---|---|---|
//! | unit, `None` | undef | undef |
//! | bool | `"1"`, `""` | those, 0 and 1, the true booleans of newer Perls, undef |
//! | integers | 32 bits: a number; beyond: decimal text | numbers, numeric text, whole floats |
//! | floats | whole ones as integers, others as the shortest text that reads back exactly | numbers, numeric text, `Inf`, `NaN` |
//! | char, str | bytes if ASCII, else a character string | character strings, bytes that are UTF-8 |
//! | bytes | bytes | bytes, and character strings as UTF-8 |
//! | sequence, tuple | array | array |
//! | map, struct | hash; keys are text, numbers or bytes | hash |
//! | enum | `"Variant"`, or a hash of one key, the variant | the same |
//! | newtype | what is inside | |
//! | [`Blessed`] | a blessed thing | a blessed thing |
//!
//! References are followed without a word, and the class of what is blessed is dropped unless [`Blessed`] asks for it.
//! What an image shares is read once for each place. Numbers that were text stay text where the type does not say
//! otherwise (an untagged enum, say), for Perl does not tell them apart either. The sign of −0.0 is lost.
//!
//! # Limits
//!
//! No bytes make a reader panic, and no count or length makes it reserve more than the image is long. Nesting is bounded
//! by [`Settings::max_depth`], the number of items by [`Settings::max_items`], and what sharing may multiply by
//! [`Settings::max_shared`]. Code, globs, tied things, objects with hooks and native
//! images (`freeze` without the `n`) are refused with an error that says so.

mod blessed;
mod code;
mod de;
mod error;
mod image;
mod key;
mod number;
mod ser;
mod settings;
mod value;
mod write;

pub use blessed::Blessed;
pub use error::Error;
pub use key::Key;
pub use settings::{Settings, freeze, from_slice, thaw, to_vec};
pub use value::{Kind, Value};

//! Values on their way out, of types that are known only where they come from.

use crate::args::Args;
use crate::wire::{Codec, Form, Format, Head, WireError, as_perl_list};
use bytes::BytesMut;
use poe::AnyArg;
use poe::storable::Value;
use serde::Serialize;
use std::any::TypeId;
use std::collections::HashMap;

/// Something that can be the value of a message.
pub(crate) trait Payload {
    /// Writes the message behind what is there.
    fn frame(&self, codec: &Codec, format: Format, head: &Head, out: &mut BytesMut) -> Result<(), WireError>;

    /// Writes an event of POE::TIKC.
    fn tikc(&self, codec: &Codec, alias: &str, event: &str) -> Result<Vec<u8>, WireError>;

    /// Writes a reply to Perl's `call` in list context.
    fn reply_list(&self, codec: &Codec, head: &Head) -> Result<Vec<u8>, WireError>;
}

impl<P: Serialize> Payload for P {
    fn frame(&self, codec: &Codec, format: Format, head: &Head, out: &mut BytesMut) -> Result<(), WireError> {
        codec.write_into(format, head, self, out)
    }

    fn tikc(&self, codec: &Codec, alias: &str, event: &str) -> Result<Vec<u8>, WireError> {
        codec.write_tikc_post(alias, event, self)
    }

    fn reply_list(&self, codec: &Codec, head: &Head) -> Result<Vec<u8>, WireError> {
        codec.write(Format::Storable, head, &as_perl_list(self)?)
    }
}

type Encoder = fn(AnyArg) -> Result<Box<dyn Payload>, AnyArg>;

/// The types that may be posted to a proxy, where the argument's type is not known in advance.
pub(crate) struct Encoders(HashMap<TypeId, Encoder>);

impl Default for Encoders {
    fn default() -> Self {
        let mut encoders = Encoders(HashMap::new());
        encoders.add::<()>();
        encoders.add::<bool>();
        encoders.add::<i32>();
        encoders.add::<i64>();
        encoders.add::<u8>();
        encoders.add::<u32>();
        encoders.add::<u64>();
        encoders.add::<usize>();
        encoders.add::<f64>();
        encoders.add::<&'static str>();
        encoders.add::<String>();
        encoders.add::<Vec<String>>();
        encoders.add::<Value>();
        encoders.add::<Args>();
        encoders
    }
}

impl Encoders {
    pub(crate) fn add<A: Serialize + 'static>(&mut self) {
        self.0.insert(TypeId::of::<A>(), |arg| {
            arg.downcast::<A>().map(|value| Box::new(value) as Box<dyn Payload>)
        });
    }

    /// Turns an argument into a payload, or gives it back if its type is not known.
    pub(crate) fn encode(&self, arg: AnyArg) -> Result<Box<dyn Payload>, AnyArg> {
        match self.0.get(&arg.type_id_of()) {
            Some(encode) => encode(arg),
            None => Err(arg),
        }
    }
}

/// How a proxied event is sent on a connection: as a list of arguments to Perl, as it is to our own peers.
pub(crate) fn proxied_form(format: Format) -> Form {
    match format {
        Format::Storable => Form::Proxied,
        Format::MsgPack => Form::Hash,
    }
}

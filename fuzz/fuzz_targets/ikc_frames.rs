//! Any bytes as a message of IKC, in both serializers, or of POE::TIKC: an error, or a message; IKC's can be written and read again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use poe_ikc::Args;
use poe_ikc::wire::{Codec, Form, Format, Tikc};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, frame)) = data.split_first() else {
        return;
    };
    let format = if choice & 1 == 0 {
        Format::Storable
    } else {
        Format::MsgPack
    };
    let codec = Codec::default();
    if choice & 2 != 0 {
        let _ = codec.read_tikc(frame, |message| match message {
            Tikc::Post { args, .. } => drop(args.decode::<Args>()),
            Tikc::Setup(_) | Tikc::Remove(_) => {}
        });
        return;
    }
    let read = codec.read(format, frame, |head, params| {
        let _ = params.decode::<(i64, String)>();
        let _ = params.decode::<Vec<Option<bool>>>();
        let _ = params.decode::<()>();
        (head, params.decode::<Args>())
    });
    let Ok((mut head, Ok(args))) = read else {
        return;
    };
    // Text has only what an address may have; a hash has anything.
    if head.form == Form::Text {
        head.form = Form::Hash;
    }
    let written = codec.write(format, &head, &args).expect("what was read can be written");
    let (again, read) = codec
        .read(format, &written, |head, params| (head, params.decode::<Args>()))
        .expect("and read");
    assert_eq!(again, head);
    assert_eq!(read.expect("as the same"), args);
});

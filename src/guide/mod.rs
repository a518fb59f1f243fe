#![doc = include_str!("links.md")]
#![doc = include_str!("../../docs/guide/README.md")]

// The chapters are Markdown that reads well on a forge. `links.md` comes first, because the first definition of a link counts: its
// definitions lead to items of this documentation, those at the end of each chapter to files of the repository.
macro_rules! chapters {
    ($($(#[$pictures:meta])* $name:ident;)*) => {$(
        #[doc = include_str!("links.md")]
        $(#[$pictures])*
        #[doc = include_str!(concat!("../../docs/guide/", stringify!($name), ".md"))]
        pub mod $name {}
    )*};
}

chapters! {
    #[doc = include_str!("pictures.md")]
    from_tokio;
    events;
    #[doc = include_str!("pictures.md")]
    lifetimes;
    timers;
    components;
    io;
    bytes_and_text;
    state_machines;
    #[doc = include_str!("pictures.md")]
    errors;
    supervision;
    observing;
    embedding;
    migration;
    #[doc = include_str!("pictures.md")]
    rules;
    glossary;
}

// Their programs need what not every system or build has.
macro_rules! chapters_if {
    ($($only:meta: $name:ident;)*) => {$(
        #[doc = include_str!("links.md")]
        #[cfg_attr($only, doc = include_str!(concat!("../../docs/guide/", stringify!($name), ".md")))]
        #[cfg_attr(not($only), doc = "This chapter is in the documentation that is built with all features on Unix.")]
        pub mod $name {}
    )*};
}

chapters_if! {
    unix: files;
    unix: processes;
    unix: signals;
    feature = "testing": testing;
    // Its programs are compiled with the crate poe-ikc.
    all(unix, not(doctest)): kernels;
}

pub mod phrasebook;

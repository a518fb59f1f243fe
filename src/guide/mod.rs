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

pub mod phrasebook {
    //! The phrasebook: what the synopses of POE's manual pages show, in Perl and in Rust, side by side.
    //!
    //! Both programs of a pair print the same; the tests run them and compare.

    macro_rules! phrases {
        ($($(#[$only:meta])* $name:ident: $page:literal;)*) => {$(
            $(#[$only])*
            #[doc = concat!("`", $page, "`\n\n```perl")]
            #[doc = include_str!(concat!("../../docs/phrasebook/", stringify!($name), ".pl"))]
            #[doc = "```\n\nin Rust:\n\n```"]
            #[doc = include_str!(concat!("../../docs/phrasebook/", stringify!($name), ".rs"))]
            #[doc = "```\n\nBoth print:\n\n```text"]
            #[doc = include_str!(concat!("../../docs/phrasebook/", stringify!($name), ".txt"))]
            #[doc = "```"]
            pub mod $name {}
        )*};
    }

    phrases! {
        poe: "POE";
        messages: "POE::Kernel, messages and aliases";
        timers: "POE::Kernel, timers";
        #[cfg(unix)]
        signals: "POE::Kernel, signals";
        #[cfg(unix)]
        children: "POE::Kernel, child processes";
        #[cfg(unix)]
        selects: "POE::Kernel, watchers of files";
        session: "POE::Session";
        postbacks: "POE::Session, postbacks and callbacks";
        nfa: "POE::NFA";
        #[cfg(unix)]
        read_write: "POE::Wheel::ReadWrite";
        #[cfg(unix)]
        filters: "POE::Wheel::ReadWrite, changing filters";
        socket_factory: "POE::Wheel::SocketFactory";
        #[cfg(unix)]
        follow_tail: "POE::Wheel::FollowTail";
        #[cfg(unix)]
        run: "POE::Wheel::Run";
        tcp: "POE::Component::Server::TCP and Client::TCP";
    }
}

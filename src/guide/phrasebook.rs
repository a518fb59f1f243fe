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

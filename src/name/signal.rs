//! Operating system signals have several names; the kernel knows each under one name.

/// The names of signals in POSIX, Linux, the BSDs and Windows, without `SIG`. Real-time signals have no names.
const OF_SYSTEMS: &[&str] = &[
    "ABRT", "ALRM", "BREAK", "BUS", "CHLD", "CONT", "EMT", "FPE", "HUP", "ILL", "INFO", "INT", "IO", "KILL", "PIPE",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Returns the one name of a signal: for a system signal its newer name without `SIG`, otherwise the name itself.
///
/// Case counts, as in POE: `usr1` is a signal of the program. (Decision D14: in POE the older names have no meaning.)
pub(crate) fn signal_name(name: &str) -> &str {
    let short = name.strip_prefix("SIG").unwrap_or(name);
    let newer = match short {
        "CLD" => "CHLD",
        "IOT" => "ABRT",
        "POLL" => "IO",
        short => short,
    };
    if OF_SYSTEMS.contains(&newer) { newer } else { name }
}

#[cfg(test)]
mod tests {
    use super::{OF_SYSTEMS, signal_name};

    #[test]
    fn each_signal_of_the_system_has_one_name() {
        for name in OF_SYSTEMS {
            assert_eq!(signal_name(name), *name);
            assert_eq!(signal_name(&format!("SIG{name}")), *name);
            // Any other spelling is another name.
            for other in [
                format!("SIGSIG{name}"),
                name.to_lowercase(),
                format!("Sig{name}"),
                format!("{name} "),
            ] {
                assert_eq!(signal_name(&other), other);
            }
        }
        for (older, name) in [("CLD", "CHLD"), ("IOT", "ABRT"), ("POLL", "IO")] {
            assert_eq!([signal_name(older), signal_name(&format!("SIG{older}"))], [name; 2]);
        }
        for own in [
            "",
            "SIG",
            "SIGNAL",
            "reload",
            "SIGreload",
            "IDLE",
            "SIGIDLE",
            "SIGKERNEL_SHUTDOWN",
            "SIGé",
        ] {
            assert_eq!(signal_name(own), own);
        }
    }
}

mod common;
mod load;
mod queues;
mod sys;

use common::*;

/// Every system.
static SYSTEMS: &[&dyn Peer] = &[
    &sys::ours::Ours,
    &sys::raw_tokio::RawTokio,
    &sys::lines_codec::LinesCodecEcho,
    &sys::tokio_dq::TokioDelayQueue,
    &sys::actix::Actix,
    &sys::ractor::Ractor,
    &sys::kameo::Kameo,
    &sys::xtra::Xtra,
    &sys::calloop::Calloop,
    &sys::limit::Limit {
        kind: sys::limit::Kind::Index,
    },
    &sys::limit::Limit {
        kind: sys::limit::Kind::Hash,
    },
    &sys::limit::Limit {
        kind: sys::limit::Kind::Boxed,
    },
    &sys::limit::Limit {
        kind: sys::limit::Kind::Heap,
    },
    &sys::limit::EvSize,
    &sys::proto::NAIVE,
    &sys::proto::FXHASH,
    &sys::proto::INTERN,
    &sys::proto::INLINE,
    &sys::proto::SLOTHEAP,
    &sys::proto::RING_POSTCLOCK,
    &sys::proto::RING,
    &sys::proto::RING_TAKE,
    &sys::proto::Shared,
    &sys::proto_timer::HeapSleep,
    &sys::proto_timer::HeapTimerFd,
    &sys::proto_timer::LazyHeap,
    &sys::proto_timer::PackedHeap,
    &sys::proto_x::XMpsc,
    &sys::proto_x::XBatched,
    &queues::Queues,
];

fn usage() -> ! {
    eprintln!("usage: peers <system> <workload> <N> [--size K] [--lead S] [--batch B] [--pending K] [--variant V]");
    eprintln!(
        "       peers load <addr> <connections> <lines per connection> [--server-pid P] [--label L] [--flight F]"
    );
    eprintln!("       peers list");
    eprintln!(
        "systems: {}",
        SYSTEMS.iter().map(|p| p.name()).collect::<Vec<_>>().join(" ")
    );
    eprintln!("workloads: {}", WORKS.iter().map(|p| p.0).collect::<Vec<_>>().join(" "));
    std::process::exit(2)
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().map(String::as_str) == Some("load") {
        return load::main(&args[1..]);
    }
    if args.first().map(String::as_str) == Some("list") {
        for p in SYSTEMS {
            println!("{}", p.name());
        }
        return;
    }
    if args.len() < 3 {
        usage();
    }
    let mut o = Opts {
        size: 10_000,
        lead: 0.5,
        batch: 64,
        pending: 0,
        variant: String::new(),
    };
    let mut i = 3;
    while i + 1 < args.len() {
        let v = &args[i + 1];
        match args[i].as_str() {
            "--size" => o.size = v.parse().unwrap(),
            "--lead" => o.lead = v.parse().unwrap(),
            "--batch" => o.batch = v.parse().unwrap(),
            "--pending" => o.pending = v.parse().unwrap(),
            "--variant" => o.variant = v.clone(),
            _ => usage(),
        }
        i += 2;
    }
    let Some(&(wname, w)) = WORKS.iter().find(|x| x.0 == args[1]) else {
        usage()
    };
    let n: u64 = args[2].parse().unwrap_or_else(|_| usage());
    let Some(p) = SYSTEMS.iter().find(|p| p.name() == args[0]) else {
        usage()
    };
    match p.run(w, n, &o) {
        Out::Done(s) => print_line(p.name(), wname, &s),
        Out::Skip(why) => {
            println!(
                "{{\"system\": \"{}\", \"workload\": \"{wname}\", \"skip\": \"{why}\"}}",
                p.name()
            )
        }
    }
}

#!/usr/bin/env python3
"""Runs the peer matrix, systems in turn (A B C, A B C, ...), and prints
medians with min-max.

  ./run.py                     everything, 5 rounds
  ./run.py --only W1,W7        some tables
  ./run.py --systems a,b       some systems
  ./run.py --rounds 3

Needs: the release build (PEERS, else $CARGO_TARGET_DIR/release/peers, else
target/release/peers), perl with POE (PERL5LIB for the XS loops and queue, if
there are any), and for the Twisted rows PEERS_PYTHON, a Python that has
twisted and uvloop. A row whose program is missing is skipped and says so.
Raw lines go to results/raw.jsonl, medians to results/summary.tsv.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TARGET = os.environ.get("CARGO_TARGET_DIR", str(HERE / "target"))
PEERS = os.environ.get("PEERS", f"{TARGET}/release/peers")
PY = os.environ.get("PEERS_PYTHON", sys.executable)

POE = ["poe-select", "poe-select-xsq", "poe-ev", "poe-epoll-xsq"]
TW = ["twisted-epoll", "twisted-uvloop", "uvloop"]
ACT = ["ours", "raw-tokio", "actix", "ractor", "kameo", "xtra"]
PROTO = [
    "proto-naive", "proto-fxhash", "proto-intern", "proto-inline",
    "proto-slotheap", "proto-ring-clock", "proto-ring",
]
LIM = ["limit", "limit-hash", "limit-box", "limit-heap"]


def cmd(system, work, n, extra):
    base = system.split("@")[0]
    if base.startswith("poe-queue-"):
        return ["perl", str(HERE / "perl/queue_bench.pl"), base[10:], str(n), extra[1]]
    if base.startswith("poe-"):
        return ["perl", str(HERE / "perl/poe_bench.pl"), base, work, str(n), *extra]
    if base == "ioasync":
        return ["perl", str(HERE / "perl/ioasync_bench.pl"), base, work, str(n), *extra]
    if base.startswith("twisted") or base == "uvloop":
        return [PY, str(HERE / "python/twisted_bench.py"), base, work, str(n), *extra]
    return [PEERS, base, work, str(n), *extra]


def row(work, n, systems, *extra):
    return [(s, work, n, list(extra)) for s in systems]


def table(name):
    """name -> list of (system, workload, N, extra arguments)."""
    t = []
    if name == "W1":
        t += row("yield", 5_000_000, ["ours", "raw-tokio", "actix"])
        t += row("yield", 3_000_000, ["actix@notify"], "--variant", "notify")
        t += row("yield", 1_000_000, ["ractor", "kameo", "xtra"])
        t += row("yield", 200_000, ["calloop"])
        t += row("yield", 20_000_000, LIM)
        t += row("yield", 5_000_000, PROTO + ["proto-ring-take"])
        t += row("yield", 50_000, POE)
        t += row("yield", 100_000, ["ioasync"] + TW)
    elif name == "W1p":
        p = ["--pending", "10000"]
        t += row("yield", 1_000_000, ["ours", "raw-tokio"], *p)
        t += row("yield", 2_000, ["actix"], *p)
        t += row("yield", 1_000_000, ["proto-naive", "proto-inline", "proto-slotheap", "proto-ring-clock", "proto-ring"], *p)
        t += row("yield", 50_000, POE, *p)
        t += row("yield", 50_000, TW, *p)
    elif name == "W2":
        t += row("pingpong", 1_000_000, ACT)
        t += row("pingpong", 100_000, ["calloop"])
        t += row("pingpong", 10_000_000, LIM)
        t += row("pingpong", 2_000_000, ["proto-naive", "proto-inline", "proto-ring"])
        t += row("pingpong", 25_000, POE)
        t += row("pingpong", 50_000, ["ioasync"] + TW)
    elif name == "W3":
        t += row("call", 1_000_000, ACT)
        t += row("call", 20_000_000, ["limit", "limit-box"])
        t += row("call", 5_000_000, ["proto-naive", "proto-inline", "proto-ring"])
        t += row("call", 200_000, POE)
    elif name == "W4":
        t += row("spawn", 10_000, ACT + ["limit", "proto-naive", "proto-ring", "proto-shared"] + POE)
    elif name == "W4m":
        t += row("alive", 10_000, ACT + ["limit", "proto-naive", "proto-ring", "proto-shared", "poe-select"])
    elif name == "W5":
        t += row(
            "timers", 10_000,
            ["ours", "raw-tokio", "tokio-dq", "actix", "ractor", "kameo", "calloop", "limit",
             "proto-heap-sleep", "proto-heap-timerfd"] + POE + ["ioasync"] + TW,
        )
    elif name == "W5L":
        t += row(
            "timers", 100_000,
            ["ours", "raw-tokio", "tokio-dq", "ractor", "kameo", "calloop", "limit",
             "proto-heap-sleep", "proto-heap-timerfd", "uvloop"], "--lead", "1.0",
        )
        t += row("timers", 100_000, ["poe-select", "poe-select-xsq"], "--lead", "4.0")
    elif name == "W5b":
        t += row(
            "timers-cancel", 10_000,
            ["ours", "raw-tokio", "tokio-dq", "actix", "ractor", "kameo", "calloop",
             "proto-heap-sleep", "proto-packed-heap", "proto-lazy-heap"] + POE + ["ioasync"] + TW,
        )
    elif name == "W5bL":
        t += row("timers-cancel", 100_000, ["ours", "raw-tokio", "tokio-dq", "ractor", "kameo", "proto-heap-sleep", "proto-packed-heap", "proto-lazy-heap", "uvloop", "poe-select", "poe-select-xsq"])
    elif name == "W5c":
        t += row(
            "timers-adjust", 10_000,
            ["ours", "raw-tokio", "tokio-dq", "actix", "ractor", "kameo", "calloop",
             "proto-heap-sleep", "proto-packed-heap", "proto-lazy-heap"] + TW,
        )
        t += row("timers-adjust", 2_000, POE + ["ioasync"])
    elif name == "W6":
        t += row("fanout", 1_000_000, ACT + ["calloop"] + LIM + ["proto-naive", "proto-inline", "proto-slotheap", "proto-ring-clock", "proto-ring"])
        t += row("fanout", 50_000, POE)
        t += row("fanout", 100_000, ["ioasync"] + TW)
    elif name == "W8":
        t += row("xthread", 1_000_000, ACT + ["calloop", "limit", "proto-x-mpsc", "proto-x-batch"])
        t += row("xthread", 50_000, TW)
    elif name in ("W9a", "W9b", "W9c"):
        size = {"W9a": 100, "W9b": 10_000, "W9c": 1_000_000}[name]
        n = 2_000_000 if size < 1_000_000 else 1_000_000
        for v in ["binary", "binary-small", "quad", "quad-slot", "quad-indexed", "binary-packed", "quad-packed", "quad-packed-indexed", "btree"]:
            t.append((f"queue@{v}", "queue", n, ["--size", str(size), "--variant", v]))
        na = {100: 2_000_000, 10_000: 500_000, 1_000_000: 1_000}[size]
        t.append(("queue@array", "queue", na, ["--size", str(size), "--variant", "array"]))
        nd = {100: 50_000, 10_000: 500_000, 1_000_000: 1_000_000}[size]
        t.append(("queue@delayqueue", "queue", nd, ["--size", str(size), "--variant", "delayqueue"]))
        np = {100: 100_000, 10_000: 50_000, 1_000_000: 1_000}[size]
        t += row("queue", np, ["poe-queue-array", "poe-queue-xs"], "--size", str(size))
    elif name in ("W7a", "W7b"):
        c = 100 if name == "W7a" else 1000
        fast, slow = (4000, 200) if c == 100 else (400, 20)
        t += row("echo", fast, ["ours", "raw-tokio", "actix", "calloop", "limit", "proto-x-mpsc", "proto-x-batch"], str(c))
        t += row("echo", slow * 5, TW, str(c))
        t += row("echo", slow, POE + ["ioasync"], str(c))
    elif name in ("W7c", "W7d", "W7e", "W7f"):
        c = {"W7c": 100, "W7d": 1000, "W7e": 100, "W7f": 1000}[name]
        flight = 1 if name in ("W7c", "W7d") else 16
        m = (4000 if c == 100 else 400) * (1 if flight == 1 else 8)
        t += row("echo", m, ["ours", "raw-tokio", "lines-codec"], str(c), str(flight))
        t += row("echo", m, ["ours@rw"], str(c), str(flight), "--variant", "rw")
        t += row("echo", m, ["ours@rw-one"], str(c), str(flight), "--variant", "rw-one")
        t += row("echo", m, ["lines-codec@forward"], str(c), str(flight), "--variant", "forward")
    elif name == "POOL":
        for variant in ("yield", "posts"):
            for k in range(1, (os.cpu_count() or 1) + 1):
                t.append((f"ours@{variant}-{k}", "pool", 20_000_000 if variant == "yield" else 4_000_000, ["--size", str(k), "--variant", variant]))
        for k in range(1, (os.cpu_count() or 1) + 1):
            t.append((f"ours@work-{k}", "pool-work", 200, ["1000", str(k)]))
    elif name == "BATCH":
        for b in (1, 4, 16, 64, 256, 1024, 8192):
            t.append((f"proto-ring@batch{b}", "yield", 3_000_000, ["--batch", str(b)]))
        for b in (1, 16, 64, 256, 1024):
            t.append((f"proto-ring@batch{b}-yield_now", "yield", 1_000_000, ["--batch", str(b), "--variant", "yield_now"]))
    elif name == "SMALL":
        t += row("yield", 5_000_000, ["proto-ring", "proto-shared", "proto-ring-take"])
        t += row("yield", 5_000_000, ["proto-ring@catch"], "--variant", "catch")
    elif name == "EVSIZE":
        for v in ("16", "24", "32", "40", "48", "64", "96"):
            t.append((f"proto-evsize@{v}-yield", "yield", 10_000_000, ["--variant", v]))
        for v in ("16", "24", "32", "40", "48", "64", "96", "32r", "64r"):
            t.append((f"proto-evsize@{v}-fanout", "fanout", 1_000_000, ["--variant", v]))
    elif name == "STARVE":
        t.append(("raw-tokio", "starve", 300, []))
        t.append(("ours", "starve", 300, []))
        t.append(("ours@1us", "starve", 300, ["--variant", "1us"]))
        for b in (1, 16, 64, 256, 1024, 8192):
            for v in ("", "yield_now", "1us", "1us-yield_now"):
                t.append((f"proto-ring@batch{b}-{v}", "starve", 200, ["--batch", str(b), "--variant", v]))
    else:
        sys.exit(f"no table {name}")
    return t


ALL = ["W1", "W1p", "W2", "W3", "W4", "W4m", "W5", "W5L", "W5b", "W5bL", "W5c", "W6", "W7a", "W7b", "W7c", "W7d", "W7e", "W7f", "W8", "W9a", "W9b", "W9c", "POOL", "BATCH", "SMALL", "EVSIZE", "STARVE"]


def one(system, work, n, extra):
    try:
        if work == "echo":
            flight = int(extra[1]) if len(extra) > 1 else 1
            return echo(system, n, int(extra[0]), flight, extra[2:])
        if work == "pool-work":
            return echo(system, n, int(extra[0]), more=["--size", extra[1], "--variant", "work"], work="pool", pin=False)
        p = subprocess.run(cmd(system, work, n, extra), capture_output=True, text=True, timeout=180)
        for l in reversed(p.stdout.splitlines()):
            if l.startswith("{"):
                return json.loads(l)
        return {"skip": "no result: " + (p.stderr or p.stdout)[-120:]}
    except FileNotFoundError as e:
        return {"skip": str(e)}
    except subprocess.TimeoutExpired:
        return {"skip": "over 180 s"}


def echo(system, m, c, flight=1, more=(), work="echo", pin=True):
    """Server on CPU 0, load on CPU 1, or both wherever there is room."""
    on = lambda cpu: ["taskset", "-c", cpu] if pin else []
    s = subprocess.Popen([*on("0"), *cmd(system, work, 1, list(more))], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        l = s.stdout.readline()
        if not l.startswith("PORT"):
            return {"skip": l.strip() or "no port"}
        port = l.split()[1]
        p = subprocess.run(
            [*on("1"), PEERS, "load", f"127.0.0.1:{port}", str(c), str(m), "--server-pid", str(s.pid), "--label", system, "--flight", str(flight)],
            capture_output=True, text=True, timeout=180,
        )
        return json.loads(p.stdout) if p.stdout.startswith("{") else {"skip": p.stderr[-120:]}
    finally:
        s.kill()  # a pool has signals of its own
        s.wait()


def fmt(v):
    for d, u in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(v) >= d:
            return f"{v / d:.3g}{u}"
    return f"{v:.3g}"


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--only", default=",".join(ALL))
    a.add_argument("--systems", default="")
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--out", default=str(HERE / "results"))
    a = a.parse_args()
    out = pathlib.Path(a.out)
    out.mkdir(exist_ok=True)
    raw = open(out / "raw.jsonl", "a")
    want = set(filter(None, a.systems.split(",")))
    for name in a.only.split(","):
        rows = [r for r in table(name) if not want or r[0] in want]
        got = {}
        for k in range(a.rounds):
            for s, w, n, e in rows:
                r = one(s, w, n, e)
                raw.write(json.dumps({"table": name, "round": k, "row": s, "load": os.getloadavg()[0], "t": time.time(), **r}) + "\n")
                raw.flush()
                got.setdefault(s, []).append(r)
        print(f"\n== {name}", flush=True)
        med = {}
        for s, rs in got.items():
            ok = [r for r in rs if "per_sec" in r]
            if ok:
                med[s] = statistics.median(r["per_sec"] for r in ok)
        tok = med.get("raw-tokio")
        poe = med.get("poe-select")
        lines = []
        for s, rs in got.items():
            ok = [r for r in rs if "per_sec" in r]
            if not ok:
                print(f"{s:22} skip: {rs[0].get('skip')}")
                continue
            p = sorted(r["per_sec"] for r in ok)
            ex = {k: statistics.median(r["extra"][k] for r in ok) for k in ok[0]["extra"]}
            x = " ".join(f"{k}={fmt(v)}" for k, v in ex.items())
            rt = f"{med[s] / tok:8.3g}" if tok else "       -"
            rp = f"{med[s] / poe:8.3g}" if poe else "       -"
            print(f"{s:22} {fmt(med[s]):>7}/s [{fmt(p[0])}-{fmt(p[-1])}] {1e9 / med[s]:10.1f} ns  xtok {rt}  xpoe {rp}  {x}", flush=True)
            lines.append("\t".join([name, s, str(ok[0]["n"]), f"{med[s]:.1f}", f"{p[0]:.1f}", f"{p[-1]:.1f}", x]))
        with open(out / "summary.tsv", "a") as f:
            f.write("\n".join(lines) + "\n")


BEFORE = "9952686"  # the last commit whose I/O phase did not yield
SCENARIOS = ["echo-1", "echo-2", "echo-4", "pipe", "pty", "tail", "lines"]


def fair_build(before):
    """Builds the FAIR program beside this crate, and beside a worktree of the commit `before`. Gives both paths."""
    source = HERE / "fair"
    target = pathlib.Path(TARGET).resolve() / "fair"
    run = lambda *words, **more: subprocess.run(words, check=True, **more)
    run("cargo", "build", "-q", "--release", "--manifest-path", str(source / "Cargo.toml"), "--target-dir", str(target / "now"))
    tree = target / "tree"
    if not tree.exists():
        run("git", "-C", str(HERE), "worktree", "add", "--force", "--detach", str(tree), before)
    old = target / "package"
    (old / "src").mkdir(parents=True, exist_ok=True)
    for file in (source / "src").iterdir():
        (old / "src" / file.name).write_text(file.read_text())
    manifest = (source / "Cargo.toml").read_text().replace('path = "../../.."', f'path = "{tree}"')
    (old / "Cargo.toml").write_text(manifest)
    if (source / "Cargo.lock").exists():
        (old / "Cargo.lock").write_text((source / "Cargo.lock").read_text())
    flags = {**os.environ, "RUSTFLAGS": "--cfg before"}
    run("cargo", "build", "-q", "--release", "--manifest-path", str(old / "Cargo.toml"), "--target-dir", str(target / "before"), env=flags)
    return str(target / "now/release/fair"), str(target / "before/release/fair")


def fair():
    """`run.py fair`: latency beside a flood, ours beside raw Tokio, and the flood's throughput, ours beside what it was."""
    a = argparse.ArgumentParser(prog="run.py fair")
    a.add_argument("--rounds", type=int, default=7)
    a.add_argument("--seconds", default="2")
    a.add_argument("--only", default=",".join(SCENARIOS))
    a.add_argument("--before", default=BEFORE, help="the commit to compare the throughput with")
    a = a.parse_args(sys.argv[2:])
    now, before = fair_build(a.before)
    programs = {"before": (before, "ours"), "ours": (now, "ours"), "raw": (now, "raw")}
    wanted = a.only.split(",")
    got = {(s, name): [] for s in wanted for name in programs}
    for k in range(a.rounds):
        for s in wanted:
            for name, (program, system) in programs.items():
                p = subprocess.run([program, system, s, a.seconds], capture_output=True, text=True, timeout=180)
                if not p.stdout.startswith("{"):
                    sys.exit(f"{name} {s}: {p.stderr[-400:]}")
                got[s, name].append(json.loads(p.stdout))
            print(f"round {k + 1}, {s}", file=sys.stderr, flush=True)
    median = lambda s, name, what: statistics.median(r[what] for r in got[s, name])
    ms = lambda us: f"{us / 1000:.2f}"
    print("| beside | raw Tokio p99, ms | ours p99, ms | ratio | before p99, ms | flood: raw, MB/s | ours, MB/s | ours / before | |")
    print("|---|---|---|---|---|---|---|---|---|")
    bad = 0
    for s in wanted:
        pairs = zip(got[s, "ours"], got[s, "raw"])
        ratio = statistics.median(o["p99"] / max(r["p99"], 1) for o, r in pairs)
        kept = statistics.median(o["flood"] / max(b["flood"], 0.1) for o, b in zip(got[s, "ours"], got[s, "before"]))
        ours, raw = median(s, "ours", "p99"), median(s, "raw", "p99")
        misses = []
        if ratio > 2:
            misses.append("p99 > 2 x raw")
        if raw <= 10_000 and ours > 20_000:
            misses.append("p99 > 20 ms")
        if kept < 0.95:
            misses.append("throughput < 0.95")
        bad += bool(misses)
        row = [s, ms(raw), ms(ours), f"{ratio:.2f}", ms(median(s, "before", "p99")), f"{median(s, 'raw', 'flood'):.0f}",
               f"{median(s, 'ours', 'flood'):.0f}", f"{kept:.2f}", ", ".join(misses) or "ok"]
        print("| " + " | ".join(row) + " |", flush=True)
    sys.exit(1 if bad else 0)


if sys.argv[1:2] == ["fair"]:
    fair()
else:
    main()

#!/usr/bin/env python3
"""Draws the pictures of the documentation. Standard library only.

    python3 docs/pictures/make.py            write all files
    python3 docs/pictures/make.py --check    fail if a file is not what this script writes

For each picture: NAME.svg and NAME-dark.svg (for a forge), NAME.inline.svg (for rustdoc, in the colours of its theme); and
src/guide/pictures.md, which gives the guide's chapters in rustdoc the pictures as data. The bar chart is drawn from
benchmarks.csv. Boxes are <g class="box">: `.ci/pictures` asks a browser whether their text stays inside.
"""
import base64
import csv
import math
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

LIGHT = {
    "bg": "#ffffff", "edge": "#d8dee6", "ink": "#1c2733", "dim": "#5a6877", "line": "#8896a5",
    "blue": "#e3eefb", "blue-line": "#3b7cc4", "green": "#e2f4e6", "green-line": "#3d9155", "amber": "#fdf0d9", "amber-line": "#c48a25",
    "red": "#fbe5e4", "red-line": "#c2473f", "grey": "#f1f4f7", "grey-line": "#a9b4bf",
}
DARK = {
    "bg": "#161b22", "edge": "#30363d", "ink": "#e6edf3", "dim": "#9aa7b4", "line": "#768390",
    "blue": "#18304d", "blue-line": "#5b9fe6", "green": "#173524", "green-line": "#57b374", "amber": "#3d2e12", "amber-line": "#d9a441",
    "red": "#431d1f", "red-line": "#e5706b", "grey": "#21272f", "grey-line": "#56616d",
}
FONT = "ui-sans-serif,system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif"
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


def rules(scope):
    """What each class looks like, in the variables of the palette."""
    looks = [
        ("text", f"font-family:{FONT};font-size:12px;fill:var(--p-ink);stroke:none"),
        (".dim", "fill:var(--p-dim)"),
        (".title", "font-size:13.5px;font-weight:600"),
        (".head", "font-size:16px;font-weight:600"),
        (".code", f"font-family:{MONO};font-size:11.5px"),
        (".mid", "text-anchor:middle"),
        (".end", "text-anchor:end"),
        (".card", "fill:var(--p-bg);stroke:var(--p-edge)"),
        (".wire", "fill:none;stroke:var(--p-line);stroke-width:1.5"),
        (".dash", "stroke-dasharray:5 4"),
        (".grid", "fill:none;stroke:var(--p-edge);stroke-width:1"),
        (".tip", "fill:var(--p-line);stroke:none"),
    ]
    for kind in ("blue", "green", "amber", "red", "grey"):
        looks.append((f".{kind}", f"fill:var(--p-{kind});stroke:var(--p-{kind}-line);stroke-width:1.3"))
        looks.append((f".bar-{kind}", f"fill:var(--p-{kind}-line);stroke:none"))
    return "".join(f"{scope} {selector}{{{look}}}" for selector, look in looks)


def variables(palette):
    return "".join(f"--p-{name}:{colour};" for name, colour in palette.items())


class Picture:
    def __init__(self, name, width, height, title, description):
        self.name, self.width, self.height = name, width, height
        self.title, self.description = title, description
        self.parts = []

    def text(self, x, y, words, classes=""):
        words = words.replace("&", "&amp;").replace("<", "&lt;")
        self.parts.append(f'<text x="{x:g}" y="{y:g}" class="{classes}">{words}</text>')

    def box(self, x, y, w, h, kind, title, lines=(), code=False, left=None):
        """A rectangle with a title and lines below it, centred both ways (or from `left` pixels on)."""
        self.parts.append('<g class="box">')
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="9" class="{kind}"/>')
        height = 14 + 16 * len(lines)
        top = y + (h - height) / 2 + 11.5
        at, anchor = (x + w / 2, "mid") if left is None else (x + left, "")
        self.text(at, top, title, f"title {anchor}".strip())
        for n, line in enumerate(lines):
            self.text(at, top + 17 + 16 * n, line, f"dim {'code ' if code else ''}{anchor}".strip())
        self.parts.append("</g>")

    def wire(self, path, dashed=False, arrow=True):
        tip = f' marker-end="url(#{self.name}-tip)"' if arrow else ""
        self.parts.append(f'<path d="{path}" class="wire{" dash" if dashed else ""}"{tip}/>')

    def rect(self, x, y, w, h, classes, rx=3):
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{rx:g}" class="{classes}"/>')

    def svg(self, style, attributes=""):
        w, h = self.width, self.height
        tip = (
            f'<defs><marker id="{self.name}-tip" viewBox="0 0 10 10" refX="8.5" refY="5" markerWidth="7" markerHeight="7" '
            'orient="auto-start-reverse"><path d="M0 0.8L10 5L0 9.2z" class="tip"/></marker></defs>'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
            f'aria-labelledby="{self.name}-t {self.name}-d"{attributes}>'
            f'<title id="{self.name}-t">{self.title}</title><desc id="{self.name}-d">{self.description}</desc>'
            f'<style>{style}</style>{tip}<rect x="0.5" y="0.5" width="{w - 1}" height="{h - 1}" rx="12" class="card"/>'
            + "".join(self.parts)
            + "</svg>\n"
        )

    def plain(self, palette):
        return self.svg(f"svg{{{variables(palette)}}}" + rules("svg"))

    def adaptive(self):
        dark = f"@media (prefers-color-scheme:dark){{svg{{{variables(DARK)}}}}}"
        return self.svg(f"svg{{{variables(LIGHT)}}}{dark}" + rules("svg"))

    def inline(self):
        """For rustdoc: in a `div`, which begins a block of HTML in Markdown, and on one line, since a blank one would end it."""
        dark = f'[data-theme="dark"] .poe-picture,[data-theme="ayu"] .poe-picture{{{variables(DARK)}}}'
        style = f".poe-picture{{{variables(LIGHT)}}}{dark}" + rules(".poe-picture")
        look = ' class="poe-picture" style="display:block;width:100%;max-width:700px;height:auto;margin:1em 0"'
        return f"<div>{self.svg(style, look).strip()}</div>\n"


def slice_picture():
    p = Picture("slice", 700, 372, "One turn of the loop",
                "A slice has five phases: I/O, idle test, wait, queue phase, sweep. Sockets and futures enter in the I/O phase, posts and timers in the queue phase.")
    p.text(24, 34, "One turn of the loop: a slice", "head")
    top, height = 52, 96
    phases = [
        ("blue", "1 I/O", ("each ready task", "has one turn; its", "handlers run now")),
        ("grey", "2 Idle test", ("if nothing can", "happen any more:", "signal IDLE")),
        ("grey", "3 Wait", ("if nothing is due:", "sleep until the", "next wake-up")),
        ("blue", "4 Queue", ("one generation:", "all that is due,", "in order")),
        ("green", "5 Sweep", ("stop sessions", "that nothing", "holds")),
    ]
    width, gap = 122, 9.5
    for n, (kind, title, lines) in enumerate(phases):
        x = 26 + n * (width + gap)
        p.box(x, top, width, height, kind, title, lines)
        if n:
            p.wire(f"M{x - gap} {top + height / 2}H{x - 1}")
    first, last = 26 + width / 2, 26 + 4 * (width + gap) + width / 2
    p.wire(f"M{last} {top + height}V{top + height + 22}Q{last} {top + height + 30} {last - 8} {top + height + 30}H{first + 28}Q{first + 20} {top + height + 30} {first + 20} {top + height + 22}V{top + height + 1}")
    p.text(255, top + height + 25, "the next slice", "dim mid")

    y = 216
    p.box(26, y, 132, 86, "amber", "Ready tasks", ("sockets, files,", "futures, streams,", "child processes"))
    p.wire(f"M{first - 20} {y}V{top + height + 1}")
    queue = 26 + 3 * (width + gap)
    p.box(176, y, 132, 86, "amber", "Other threads", ("a KernelHandle", "posts and calls"))
    p.wire(f"M308 {y + 28}H339")
    p.rect(340, y, 334, 86, "grey", 9)
    p.text(354, y + 32, "posts", "")
    for n in range(7):
        p.rect(400 + n * 27, y + 17, 22, 22, "blue")
    p.text(594, y + 32, "due now", "dim")
    p.text(354, y + 68, "timers", "")
    for n, due in enumerate(("5 ms", "1 s", "30 s")):
        p.rect(400 + n * 63, y + 53, 58, 22, "green")
        p.text(429 + n * 63, y + 68, due, "dim mid")
    p.text(594, y + 68, "by due time", "dim")
    p.wire(f"M{queue + width / 2} {y}V{top + height + 1}")
    p.text(queue + width / 2 + 10, y - 11, "the queue", "dim")
    p.wire("M26 326H674", dashed=True, arrow=False)
    p.text(350, 349, "After about 100 µs of work the kernel yields to its host, and resumes at the same point: no order changes.", "dim mid")
    return p


def life_picture():
    p = Picture("life", 700, 330, "The life of a session",
                "Created by its parent, it starts, lives while something holds it, and is stopped in the sweep after the last hold is gone.")
    p.text(24, 34, "The life of a session", "head")
    y, h = 66, 78
    steps = [
        (26, 104, "blue", "create", ("by the parent",)),
        (156, 116, "blue", "_start", ("inside create",)),
        (298, 130, "green", "alive", ("handlers run,", "one at a time")),
        (454, 90, "amber", "sweep", ("nothing", "holds it")),
        (570, 104, "red", "_stop", ("then the heap", "is dropped")),
    ]
    for n, (x, w, kind, title, lines) in enumerate(steps):
        p.box(x, y, w, h, kind, title, lines)
        if n:
            before = steps[n - 1]
            p.wire(f"M{before[0] + before[1]} {y + h / 2}H{x - 1}")
    p.text(214, y + h + 22, "the parent gets", "dim mid")
    p.text(214, y + h + 38, "_child (create)", "code dim mid")
    p.text(622, y + h + 22, "the parent gets", "dim mid")
    p.text(622, y + h + 38, "_child (lose)", "code dim mid")

    p.wire(f"M363 214V{y + h + 1}")
    p.text(373, 180, "holds it", "dim")
    p.rect(26, 214, 648, 96, "grey", 9)
    holds = ["queued events", "timers", "aliases", "child sessions", "reference counts",
             "postbacks", "futures, streams", "blocking work", "wheels", "watched files"]
    for n, hold in enumerate(holds):
        x, top = 38 + (n % 5) * 126, 226 + (n // 5) * 38
        p.parts.append('<g class="box">')
        p.rect(x, top, 120, 30, "green", 15)
        p.text(x + 60, top + 19, hold, "mid")
        p.parts.append("</g>")
    return p


def failure_picture():
    p = Picture("failure", 700, 464, "What happens after a failure",
                "DIE visits descendants, session and ancestors. If a handler calls sig_handled, all live on; otherwise the policy OnFailure decides.")
    p.text(24, 34, "What happens after a failure", "head")
    p.box(26, 54, 196, 80, "red", "A handler fails", ("it returns an error, panics, or", "gets a wrong argument"))
    p.wire("M222 94H251")
    p.box(252, 54, 196, 80, "amber", "The signal DIE", ("is queued behind the events", "that are waiting"))
    p.wire("M448 94H477")
    p.box(478, 54, 196, 80, "amber", "It visits", ("the descendants, the session", "itself, its ancestors"))
    p.wire("M576 134V157Q576 165 568 165H358Q350 165 350 173V181")
    p.box(218, 182, 264, 58, "grey", "Did a handler call sig_handled?", ("of any session that was visited",))
    p.wire("M218 211H151Q143 211 143 219V269")
    p.text(180, 203, "yes", "mid")
    p.wire("M468 240V269")
    p.text(480, 258, "no", "")
    p.box(262, 270, 412, 78, "grey", "OnFailure of the failing session decides", ("The failure is logged at error! and given to", "the hook on_unhandled_failure."))
    p.wire("M358 348V371")
    p.wire("M578 348V371")
    p.box(44, 270, 198, 174, "green", "All of them live on", ("and the run continues",))
    p.box(262, 372, 192, 72, "amber", "StopSession", ("it and its descendants", "stop, the others go on"))
    p.box(482, 372, 192, 72, "red", "StopKernel", ("every session stops,", "run returns the failure"))
    return p


def tree_picture():
    p = Picture("tree", 700, 398, "A server's tree of sessions",
                "The kernel is the root. Below it the listener and a lobby; below the listener one session per connection, each with heap, wheel and filter.")
    p.text(24, 34, "A chat server's tree of sessions", "head")
    p.box(270, 50, 160, 50, "grey", "Kernel", ("one thread, one queue",))
    p.wire("M310 100V116Q310 124 302 124H221Q213 124 213 132V145")
    p.wire("M390 100V116Q390 124 398 124H569Q577 124 577 132V145")
    p.box(118, 146, 190, 62, "blue", "TcpServer", ("the listener's session",))
    p.box(476, 146, 198, 62, "green", "lobby", ("alias; heap: nicknames",))
    p.wire("M181 208V222Q181 230 173 230H92Q84 230 84 238V251")
    p.wire("M213 208V251")
    p.wire("M245 208V222Q245 230 253 230H334Q342 230 342 238V251")
    clients = [("blue", "ann", "lives on"), ("red", "bob", "its handler fails"), ("blue", "cleo", "lives on")]
    for n, (kind, name, fate) in enumerate(clients):
        x = 24 + n * 129
        p.box(x, 252, 120, 104, kind, name, ("heap: Peer", "a ReadWrite", "with a Line"))
        p.text(x + 60, 376, fate, "dim mid")
    p.wire("M402 280H540Q560 280 560 260V209", dashed=True)
    p.text(478, 272, "posts JOIN, SAY", "dim mid")
    p.wire("M610 208V304Q610 324 590 324H403", dashed=True)
    p.text(500, 316, "posts TELL", "dim mid")
    p.text(674, 360, "One session per connection.", "dim end")
    p.text(674, 376, "If one fails, only that one stops.", "dim end")
    return p


def layers_picture():
    p = Picture("layers", 700, 448, "The layers of the crate",
                "From top to bottom: your program, components, wheels and filters, sessions, the kernel, the bridge, Tokio and the operating system.")
    p.text(24, 34, "The layers", "head")
    x, w = 26, 480
    rows = [
        ("grey", "Your program", ("events, heaps, handlers; the rest of your service",)),
        ("green", "component", ("whole sessions: TcpServer, TcpClient, KernelPool",)),
        None,
        ("blue", "session", ("States, Context, postbacks; Nfa, a state machine",)),
        ("blue", "kernel", ("queue, timers, signals, lifetimes, run / serve / shutdown",)),
        ("grey", "bridge", ("clock, wake-ups, signals and children of the system",)),
    ]
    y = 52
    for n, row in enumerate(rows):
        if row is None:
            p.box(x, y, 236, 48, "amber", "wheel", ("streams, files, programs as events",))
            p.box(x + 244, y, 236, 48, "amber", "filter", ("bytes to records and back; no I/O",))
        else:
            p.box(x, y, w, 48, *row)
        y += 55
    p.parts.append('<g class="box">')
    p.rect(x, y + 6, w, 44, "wire dash", 9)
    p.text(x + w / 2, y + 32, "Tokio: sockets, timers, wakers · the operating system", "dim mid")
    p.parts.append("</g>")
    middle = 52 + 4 * 55 + 24
    p.box(546, middle - 34, 128, 68, "green", "KernelHandle", ("from any thread:", "post, call"))
    p.wire(f"M546 {middle}H{x + w + 1}")
    p.wire(f"M{x + w} {52 + 24}H602Q610 {52 + 24} 610 {52 + 32}V{middle - 35}", dashed=True)
    p.text(602, 152, "your other", "dim end")
    p.text(602, 168, "tasks", "dim end")
    return p


def chart_picture():
    lines = (HERE / "benchmarks.csv").read_text().splitlines()
    notes = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# ") and ": " in line)
    rows = list(csv.reader(line for line in lines if not line.startswith("#")))
    systems, rows = rows[0][2:], rows[1:]
    kinds = ["blue", "grey", "amber"]
    top, row_height, left, right = 84, 58, 196, 640
    height = top + row_height * len(rows) + 78
    p = Picture("benchmarks", 700, height, "Time per operation", "Bars by workload for " + ", ".join(systems) + ", in nanoseconds, on a logarithmic scale.")
    p.text(24, 34, "Time per operation in nanoseconds, shorter is better", "head")
    for n, system in enumerate(systems):
        p.rect(26 + n * 116, 50, 12, 12, f"bar-{kinds[n]}", 2)
        p.text(44 + n * 116, 60.5, "tokio-poe" if system == "ours" else system, "")
    low, high = 10.0, 5000.0

    def place(value):
        return left + (right - left) * math.log(value / low) / math.log(high / low)

    bottom = top + row_height * len(rows)
    for tick in (10, 100, 1000):
        p.parts.append(f'<path d="M{place(tick):.1f} {top - 6}V{bottom}" class="grid"/>')
        p.text(place(tick), bottom + 16, f"{tick:,} ns".replace(",", " "), "dim mid")
    for n, (workload, what, *values) in enumerate(rows):
        y = top + n * row_height
        p.text(left - 12, y + 20, what, "title end")
        p.text(left - 12, y + 37, workload, "dim end")
        for m, value in enumerate(values):
            end = place(float(value))
            p.rect(left, y + m * 16, end - left, 13, f"bar-{kinds[m]}", 2)
            p.text(end + 6, y + m * 16 + 10.5, f"{float(value):,g}".replace(",", " "), "dim")
    p.text(24, height - 34, f"Logarithmic scale. Medians of seven rounds in turn, {notes['processor']}, {notes['date']}.", "dim")
    p.text(24, height - 16, "Measured with benches/peers/run.py; the numbers are in docs/pictures/benchmarks.csv.", "dim")
    return p


def outputs():
    pictures = [slice_picture(), life_picture(), failure_picture(), tree_picture(), layers_picture(), chart_picture()]
    for p in pictures:
        yield HERE / f"{p.name}.svg", p.plain(LIGHT)
        yield HERE / f"{p.name}-dark.svg", p.plain(DARK)
        yield HERE / f"{p.name}.inline.svg", p.inline()
    data = {p.name: base64.b64encode(p.adaptive().encode()).decode() for p in pictures if p.name not in ("layers",)}
    yield ROOT / "src/guide/pictures.md", "".join(f"[pic_{name}]: data:image/svg+xml;base64,{code}\n" for name, code in data.items())


def main():
    stale = []
    for path, text in outputs():
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            stale.append(str(path.relative_to(ROOT)))
    if stale:
        sys.exit("not what docs/pictures/make.py writes: " + ", ".join(stale))


main()

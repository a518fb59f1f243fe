#!/usr/bin/env python3
"""Pages for `.ci/pictures`, and what is read off them when a browser has run them.

`pages FOLDER` writes a page with all pictures and one that shows README's and rustdoc's; each reports in <pre id="report">.
`judge DOM` prints the report, and fails if it is not good.
"""
import html
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Each text must fit its box with room for a font that is a little wider.
MEASURE = """
const wrong = [];
let boxes = 0, texts = 0;
for (const svg of document.querySelectorAll('svg')) {
  const name = svg.dataset.file, all = svg.viewBox.baseVal;
  const size = svg.getBoundingClientRect();
  if (!(size.width >= 300 && size.height >= 100)) wrong.push(`${name}: ${size.width} x ${size.height}`);
  for (const text of svg.querySelectorAll('text')) {
    const is = text.getBBox();
    texts++;
    if (is.width === 0) wrong.push(`${name}: "${text.textContent}" has no size`);
    if (is.x < 4 || is.y < 4 || is.x + is.width > all.width - 4 || is.y + is.height > all.height - 4)
      wrong.push(`${name}: "${text.textContent}" leaves the picture`);
    if (getComputedStyle(text).fill === getComputedStyle(svg.querySelector('.card')).fill)
      wrong.push(`${name}: "${text.textContent}" has the colour of the ground`);
  }
  for (const box of svg.querySelectorAll('g.box')) {
    const room = box.querySelector('rect').getBBox();
    boxes++;
    for (const text of box.querySelectorAll('text')) {
      const is = text.getBBox();
      if (is.x < room.x + 4 || is.x + is.width > room.x + room.width - 4 || is.y < room.y + 2 || is.y + is.height > room.y + room.height - 2)
        wrong.push(`${name}: "${text.textContent}" (${is.width.toFixed(0)} wide) leaves its box (${room.width.toFixed(0)})`);
    }
  }
}
"""

REPORT = """
const report = document.createElement('pre');
report.id = 'report';
report.textContent = wrong.length ? 'WRONG\\n' + wrong.join('\\n') : 'GOOD ' + summary;
document.body.append(report);
"""


def pages(folder):
    for path in sorted((ROOT / "docs/pictures").glob("*.svg")):
        name, svg = path.name, path.read_text().replace("<svg ", f'<svg data-file="{path.name}" ', 1)
        themes = ["light", "dark", "ayu"] if name.endswith(".inline.svg") else [""]
        for theme in themes:
            body = f'<body>{svg}<script>{MEASURE} const summary = `{name} {theme}: ${{texts}} texts, ${{boxes}} boxes`; {REPORT}</script></body>'
            page = f'<!doctype html><html data-theme="{theme}"><meta charset="utf-8">{body}</html>'
            (folder / f"{name}.{theme}.html").write_text(page)
    # README's pictures, as a forge shows them.
    readme = (ROOT / "README.md").read_text()
    sources = re.findall(r'(?:src|srcset)="([^"]+\.svg)"|!\[[^\]]*\]\(([^)]+\.svg)\)', readme)
    sources = [a or b for a, b in sources]
    if len(sources) < 4:
        sys.exit(f"README shows only {len(sources)} pictures")
    images = "".join(f'<img src="file://{ROOT}/{source}" data-file="{source}">' for source in sources)
    check = """
addEventListener('load', () => {
const wrong = [];
const images = [...document.querySelectorAll('img')];
for (const image of images)
  if (!(image.complete && image.naturalWidth >= 300)) wrong.push(`${image.dataset.file} is not shown`);
const summary = `${images.length} pictures of README`;
""" + REPORT + "});"
    (folder / "readme.html").write_text(f'<!doctype html><meta charset="utf-8"><body>{images}<script>{check}</script></body>')
    rustdoc(folder)


def rustdoc(folder):
    metadata = subprocess.check_output(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT, text=True)
    target = Path(re.search(r'"target_directory":"([^"]*)"', metadata).group(1)) / "doc/poe"
    wanted = {
        "index.html": 2,
        "guide/from_tokio/index.html": 1,
        "guide/lifetimes/index.html": 2,
        "guide/errors/index.html": 1,
        "guide/rules/index.html": 1,
        "struct.Session.html": 1,
        "enum.OnFailure.html": 1,
        "component/struct.TcpServer.html": 1,
    }
    for page, least in wanted.items():
        path = target / page
        if not path.is_file():
            sys.exit(f"{path} is missing: run `cargo doc --no-deps --all-features` before")
        check = f"""
addEventListener('load', () => {{
const wrong = [];
const shown = [...document.querySelectorAll('svg.poe-picture, .docblock img')];
for (const picture of shown) {{
  const size = picture.getBoundingClientRect();
  if (!(size.width >= 300 && size.height >= 100)) wrong.push(`a picture of {page} is ${{size.width}} x ${{size.height}}`);
  const card = picture.querySelector('.card');
  for (const text of card ? picture.querySelectorAll('text') : [])
    if (getComputedStyle(text).fill === getComputedStyle(card).fill)
      wrong.push(`"${{text.textContent}}" in {page} has the colour of the ground`);
}}
if (shown.length < {least}) wrong.push(`{page} shows only ${{shown.length}} pictures`);
const summary = `${{shown.length}} pictures of rustdoc's {page}`;
{REPORT}
}});"""
        text = path.read_text()
        base = f'<base href="file://{path}">'
        text = text.replace("<head>", f"<head>{base}", 1).replace("</body>", f"<script>{check}</script></body>", 1)
        (folder / f"rustdoc-{page.replace('/', '-')}").write_text(text)


def judge(path):
    match = re.search(r'<pre id="report">(.*?)</pre>', Path(path).read_text(), re.S)
    if not match:
        sys.exit(f"{os.path.basename(path)}: the browser has not answered")
    report = html.unescape(match.group(1))
    if not report.startswith("GOOD"):
        sys.exit(report)
    print("  ", report.removeprefix("GOOD "))


if sys.argv[1] == "pages":
    pages(Path(sys.argv[2]))
else:
    judge(sys.argv[2])

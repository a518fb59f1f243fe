// The sessions: a list of which only the visible part exists, and a picture.

const tree = {
  open: new Set(),
  closed: new Set(),
  filter: "",
  total: 0,
  lines: new Map(),
  asked: 0,
  rows: [],
};

const rowHeight = () => (window.innerWidth <= 760 ? 32 : 28);

function treePath(offset, limit) {
  const query = new URLSearchParams({ offset, limit });
  if (tree.open.size) query.set("open", [...tree.open].join("|"));
  if (tree.closed.size) query.set("closed", [...tree.closed].join("|"));
  if (tree.filter) query.set("filter", tree.filter);
  return `${kernelPath()}/tree?${query}`;
}

function visible() {
  const list = $("list");
  const first = Math.max(0, Math.floor(list.scrollTop / rowHeight()) - 8);
  return [first, Math.ceil(list.clientHeight / rowHeight()) + 16];
}

/** Asks for the visible lines. A reply that was overtaken is dropped. */
async function loadTree() {
  if (view.picture) return loadPicture();
  const [offset, limit] = visible();
  const number = ++tree.asked;
  const shape = treePath(0, 0);
  const reply = await get(treePath(offset, limit));
  if (number !== tree.asked) return;
  // Lines elsewhere stay until they are asked for again, so that scrolling back shows them at once.
  if (shape !== tree.shape || reply.total !== tree.total || tree.lines.size > 5000) tree.lines.clear();
  tree.shape = shape;
  tree.total = reply.total;
  reply.lines.forEach((line, i) => tree.lines.set(offset + i, line));
  say($("count"), number_of(reply));
  showRows();
}

const number_of = (reply) => number(reply.sessions) + (reply.complete ? "" : "+");

function newRow() {
  const row = h("div.row", { role: "treeitem" });
  row.twist = h("button.twist", { tabIndex: -1, "aria-label": "Open or close" }, "▶");
  row.dot = h("i.dot");
  row.name = h("span.label");
  row.type = h("span.type");
  row.note = h("span.note");
  row.rate = h("span.rate");
  row.holds = h("span.holds");
  row.where = h("bdi");
  row.append(h("div.who", {}, row.twist, row.dot, row.name, row.note, row.type), row.rate, row.holds, h("span.where", {}, row.where));
  row.twist.addEventListener("click", (event) => {
    event.stopPropagation();
    toggle(row.line);
  });
  row.addEventListener("click", () => choose(row.line));
  row.addEventListener("dblclick", () => toggle(row.line));
  $("space").append(row);
  return row;
}

function showRows() {
  const height = rowHeight();
  $("space").style.height = tree.total * height + "px";
  const [first, count] = visible();
  const last = Math.min(tree.total, first + count);
  let used = 0;
  for (let i = first; i < last; i++) {
    const line = tree.lines.get(i);
    if (!line) continue;
    const row = tree.rows[used] || (tree.rows[used] = newRow());
    used++;
    row.hidden = false;
    row.style.top = i * height + "px";
    showLine(row, line);
  }
  for (let i = used; i < tree.rows.length; i++) tree.rows[i].hidden = true;
}

function showLine(row, line) {
  row.line = line;
  row.dataset.key = line.key;
  row.dataset.state = line.state;
  const selected = line.kind === "session" && line.key === view.session;
  const name = `row ${line.kind}${selected ? " selected" : ""}${line.state === "failed" ? " is-failed" : ""}`;
  if (row.className !== name) row.className = name;
  row.setAttribute("aria-selected", selected);
  row.firstChild.style.paddingLeft = 6 + line.depth * 16 + "px";
  row.twist.style.visibility = line.kids ? "visible" : "hidden";
  row.twist.className = line.open ? "twist open" : "twist";
  row.dot.className = "dot " + line.state;
  say(row.name, line.label);
  say(row.type, line.heap && line.heap !== "()" && !line.label.startsWith(line.heap + " #") ? line.heap : "");
  say(row.note, line.note);
  row.note.title = line.note;
  say(row.rate, line.rate ? number(line.rate) + "/s" : "");
  say(row.holds, line.kind === "session" ? String(line.refs) : "");
  row.holds.title = line.refs + " things keep it alive";
  say(row.where, brief(line.place));
  row.lastChild.title = line.place;
}

function toggle(line) {
  const key = line.key;
  if (line.kind === "group") tree.open[line.open ? "delete" : "add"](key);
  else if (line.kids) tree.closed[line.open ? "add" : "delete"](key);
  loadTree().catch(trouble);
}

function choose(line) {
  if (line.kind === "session") select(line.key);
  else if (line.kind === "group") toggle(line);
  else if (line.kind === "kernel") select(null);
  else openTab("log");
}

/** Selects a session: at once in the list, then in the details. */
function select(id) {
  view.session = id;
  writeAddress();
  if (view.picture) drawPicture();
  else showRows();
  openTab("session");
}

$("list").addEventListener("scroll", () => {
  const [first, count] = visible();
  showRows();
  for (let i = first; i < Math.min(tree.total, first + count); i++) {
    if (!tree.lines.has(i)) {
      clearTimeout(tree.timer);
      tree.timer = setTimeout(() => loadTree().catch(trouble), 30);
      return;
    }
  }
});

$("list").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const entries = [...tree.lines.entries()].filter(([, line]) => line.kind === "session");
  const now = entries.findIndex(([, line]) => line.key === view.session);
  if (step) {
    event.preventDefault();
    const next = entries[now < 0 ? 0 : now + step];
    if (!next) return;
    const top = next[0] * rowHeight();
    const list = $("list");
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + rowHeight() > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight() - list.clientHeight;
    select(next[1].key);
  } else if (now >= 0 && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
    const line = entries[now][1];
    if (line.kids && line.open === (event.key === "ArrowLeft")) toggle(line);
  }
});

$("filter").addEventListener("input", () => {
  tree.filter = $("filter").value.trim();
  $("list").scrollTop = 0;
  clearTimeout(tree.timer);
  tree.timer = setTimeout(() => loadTree().catch(trouble), 120);
});

// The picture.

const picture = { nodes: [], lines: [] };

async function loadPicture() {
  const number = ++tree.asked;
  const reply = await get(treePath(0, 400));
  if (number !== tree.asked) return;
  say($("count"), number_of(reply));
  picture.lines = reply.lines;
  picture.more = reply.total - reply.lines.length;
  drawPicture();
}

function drawPicture() {
  const box = $("picture");
  const canvas = box.firstElementChild;
  const lines = picture.lines;
  if (!lines.length || !box.clientWidth) return;
  // Leaves stand below one another; a parent in the middle of its children.
  const [indent, top] = [150, 26];
  const nodes = lines.map((line) => ({ line, kids: [] }));
  const stack = [];
  const roots = [];
  for (const node of nodes) {
    stack.length = node.line.depth;
    const parent = stack[node.line.depth - 1];
    if (parent) parent.kids.push(node);
    else roots.push(node);
    stack[node.line.depth] = node;
  }
  const leaves = nodes.filter((node) => !node.kids.length).length;
  const gap = Math.max(26, Math.min(46, (box.clientHeight - 2 * top) / Math.max(leaves, 1)));
  let leaf = 0;
  const place = (node) => {
    node.kids.forEach(place);
    node.y = node.kids.length ? (node.kids[0].y + node.kids[node.kids.length - 1].y) / 2 : top + gap * leaf++;
    node.x = 24 + node.line.depth * indent;
  };
  roots.forEach(place);
  const spare = (box.clientHeight - 2 * top - gap * (leaves - 1)) / 2;
  if (spare > 0) for (const node of nodes) node.y += spare;
  const deepest = Math.max(...lines.map((line) => line.depth));
  const width = Math.max(box.clientWidth - 2, 24 + deepest * indent + 190);
  const height = Math.max(box.clientHeight - 2, top * 2 + gap * (leaves - 1));
  canvas.style.width = width + "px";
  canvas.style.height = height + "px";
  const pen = prepare(canvas, width, height);
  const size = (node) => (node.line.kind === "kernel" ? 8 : node.line.kind === "group" ? Math.min(13, 5 + Math.log2(node.line.kids)) : 5);
  pen.lineWidth = 1.4;
  for (const node of nodes) {
    for (const kid of node.kids) {
      pen.strokeStyle = kid.line.state === "failed" ? colour("failed") : colour("line");
      pen.beginPath();
      pen.moveTo(node.x, node.y);
      pen.bezierCurveTo(node.x + indent * 0.55, node.y, kid.x - indent * 0.55, kid.y, kid.x, kid.y);
      pen.stroke();
    }
  }
  pen.textBaseline = "middle";
  for (const node of nodes) {
    const { line } = node;
    const ink = line.kind === "kernel" ? colour("c5") : colour(line.state);
    const r = size(node);
    if (line.rate > 0) {
      pen.globalAlpha = 0.18;
      pen.fillStyle = ink;
      pen.beginPath();
      pen.arc(node.x, node.y, r + Math.min(9, 2 + Math.log10(1 + line.rate) * 3), 0, 7);
      pen.fill();
      pen.globalAlpha = 1;
    }
    pen.fillStyle = ink;
    pen.beginPath();
    if (line.state === "failed") pen.rect(node.x - r, node.y - r, 2 * r, 2 * r);
    else pen.arc(node.x, node.y, r, 0, 7);
    pen.fill();
    if (line.kind === "session" && line.key === view.session) {
      pen.strokeStyle = colour("accent");
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(node.x, node.y, r + 4, 0, 7);
      pen.stroke();
    }
    pen.font = (line.kind === "kernel" ? "600 " : "") + "12px system-ui, sans-serif";
    const room = node.kids.length ? indent - r - 16 : 200;
    let text = line.label;
    while (text.length > 3 && pen.measureText(text).width > room) text = text.slice(0, -2) + "…";
    const y = node.kids.length ? node.y - r - 8 : node.y;
    const x = node.kids.length ? node.x - r : node.x + r + 6;
    const wide = pen.measureText(text).width;
    pen.fillStyle = colour("panel");
    pen.globalAlpha = 0.8;
    pen.fillRect(x - 1, y - 7, wide + 2, 14);
    pen.globalAlpha = 1;
    pen.fillStyle = line.state === "failed" ? colour("failed") : colour("ink");
    pen.fillText(text, x, y);
    if (line.rate > 0 && !node.kids.length) {
      pen.fillStyle = colour("faint");
      pen.fillText(`${number(line.rate)}/s`, x + wide + 8, y);
    }
  }
  if (picture.more > 0) {
    pen.fillStyle = colour("dim");
    pen.fillText(`and ${number(picture.more)} more`, 24, height - 10);
  }
  picture.nodes = nodes;
}

$("picture").addEventListener("click", (event) => {
  const box = $("picture").firstElementChild.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const hit = picture.nodes.find((node) => Math.abs(node.y - y) < 11 && x > node.x - 14 && x < node.x + 150);
  if (hit) choose(hit.line);
});

function showAs(asPicture) {
  view.picture = asPicture;
  $("list").hidden = asPicture;
  $("picture").hidden = !asPicture;
  $("as-list").setAttribute("aria-pressed", !asPicture);
  $("as-picture").setAttribute("aria-pressed", asPicture);
  writeAddress();
  loadTree().catch(trouble);
}

$("as-list").addEventListener("click", () => showAs(false));
$("as-picture").addEventListener("click", () => showAs(true));

// The tabs at the side, the stream, and the beat that keeps everything fresh.

let about = { actions: { authorised: false, events: [] } };

const panes = {};

function link(id, name) {
  return id ? h("button.link", { title: "session " + id, onclick: () => select(String(id)) }, name) : h("span", {}, name);
}

function part(title, note, ...kids) {
  return h("section.part", {}, h("h3", {}, title, " ", h("em", {}, note || "")), ...kids);
}

// A session.

async function loadSession() {
  const pane = panes.session.node;
  if (!view.session) return showKernel(pane);
  const id = view.session;
  if (pane.dataset.ended === id) return;
  const found = await get(`${kernelPath()}/sessions/${encodeURIComponent(id)}?optional=1`);
  if (view.session !== id) return;
  if (!found) return sessionEnded(pane, id);
  pane.dataset.ended = "";
  const parts = [
    h("div.title", {}, h("h2", {}, found.name), h("span.mono", {}, `session ${found.id}`), found.is_stopping && h("span.tag.ended", {}, "stopping")),
    h("p.meta", {}, "heap ", h("b", {}, found.heap_type), `, ${number(found.memory_size)} bytes, child of `, link(found.parent, found.parent_name), `, created at `, h("span.mono", {}, found.place),
      `, ${number(found.rate)} events/s`),
    part("Why it is alive", found.holds.length ? found.refcount === 1 ? "1 hold" : `${found.refcount} holds` : "", found.holds.length ? whyAlive(found.holds) : h("p", {}, "Nothing keeps it alive: the next sweep stops it.")),
  ];
  if (found.log.length) parts.push(part("Log", "", ...found.log.map(entry)));
  const tasks = found.wheels.concat(found.tasks);
  if (tasks.length) {
    parts.push(part("Wheels and tasks", String(tasks.length), h("table", {}, ...tasks.map((task) =>
      h("tr", {}, h("td", {}, task.kind), h("td.event", {}, task.name), flow(task.stream), at(task.place, "td"))))));
  }
  if (found.files.length || found.pids.length) {
    parts.push(part("Files and processes", "", h("table", {},
      ...found.files.map((file) => h("tr", {}, h("td", {}, `descriptor ${file.descriptor}`), h("td", {}, `${file.mode}${file.is_paused ? ", paused" : ""}`), h("td.event", {}, file.event), at(file.place, "td"))),
      ...found.pids.map((pid) => h("tr", {}, h("td", {}, `process ${pid.pid}`), h("td", {}, "awaited"), h("td.event", {}, pid.event), at(pid.place, "td"))))));
  }
  if (about.actions.authorised) parts.push(actions(found));
  parts.push(part("Handlers", String(found.events.length), h("div.chips", {}, ...found.events.map((event) => h("span", {}, event)))));
  const signals = Object.entries(found.signals);
  if (signals.length) parts.push(part("Signals", "", h("div.chips", {}, ...signals.map(([signal, event]) => h("span", {}, `${signal} → ${event}`)))));
  if (found.children.length) {
    const more = found.children.length - found.children_named.length;
    const shown = found.children_named.slice(0, 60);
    const rest = more + found.children_named.length - shown.length;
    parts.push(part("Children", String(found.children.length), h("div.chips", {}, ...shown.map((child) => link(child.id, child.name)), rest > 0 && h("span", {}, `and ${number(rest)} more`))));
  }
  parts.push(part("Recent events", "", found.recent.length ? eventTable(found.recent) : h("p.meta", {}, "None was recorded since somebody looks.")));
  // A form that is being filled in stays.
  if (!pane.contains(document.activeElement) || document.activeElement.tagName !== "INPUT") pane.replaceChildren(...parts);
  pane.dataset.name = found.name;
  pane.dataset.session = found.id;
}

/** A session with the same name may have taken its place. */
async function sessionEnded(pane, id) {
  const name = pane.dataset.session === id ? pane.dataset.name : "";
  pane.replaceChildren(h("div.title", {}, h("h2", {}, name || "Ended"), h("span.mono", {}, `session ${id}`)), h("p.meta", {}, "This session has ended."));
  const next = name && (await get(`${kernelPath()}/sessions/${encodeURIComponent(name)}?optional=1`));
  if (view.session !== id) return;
  if (next && String(next.id) !== id) pane.append(h("p", {}, "Its name now belongs to ", link(next.id, `session ${next.id}`), "."));
  else if (name && !next) return;
  pane.dataset.ended = id;
}

/** What a wheel has read and written; what waits is drawn as a part of its high mark. */
function flow(stream) {
  const cell = h("td.n");
  if (!stream) return cell;
  cell.append(`↓ ${bytes(stream.bytes_read)}  ↑ ${bytes(stream.bytes_written)}`);
  const notes = [];
  if (stream.is_paused) notes.push("paused");
  if (stream.buffered) notes.push(`${bytes(stream.buffered)} wait`);
  if (notes.length) cell.append(h("div.notice", {}, notes.join(", ")));
  if (stream.buffered && stream.high_mark) {
    const bar = h("i");
    bar.style.width = Math.min(100, (stream.buffered / stream.high_mark) * 100) + "%";
    cell.append(h("div.meter", { title: `${bytes(stream.buffered)} of the high mark of ${bytes(stream.high_mark)}` }, bar));
  }
  return cell;
}

function whyAlive(holds) {
  const rows = holds.map((hold) =>
    h("div", {}, h("span.kind", {}, hold.kind), h("span.what", { title: hold.name }, hold.name, hold.count > 1 ? ` × ${hold.count}` : ""), at(hold.place)));
  return h("div.why", {}, ...rows);
}

function actions(found) {
  const { events, signals, stop } = about.actions;
  const row = h("div.act");
  const said = h("span.notice");
  const run = (action, order) => act(action, Object.assign({ to: found.id }, order)).then(() => say(said, "done"), (error) => say(said, error.message));
  if (events.length) {
    const which = h("select", { "aria-label": "Event" }, ...events.map((event) => h("option", {}, event)));
    const arg = h("input", { type: "text", placeholder: "argument as JSON", "aria-label": "Argument as JSON" });
    row.append(which, arg, h("button.button", { onclick: () => {
      let value;
      try {
        value = arg.value.trim() ? JSON.parse(arg.value) : null;
      } catch {
        return say(said, "the argument is not JSON");
      }
      run("post", { event: which.value, arg: value });
    } }, "Post"));
  }
  if (signals) row.append(h("button.button", { onclick: () => run("signal", { signal: "TERM" }) }, "Send TERM"));
  if (stop) row.append(h("button.button.danger", { onclick: () => run("stop", {}) }, "Stop"));
  row.append(said);
  return part("Actions", "", row);
}

function eventTable(events) {
  const head = h("tr", {}, h("th", {}, "Time"), h("th", {}, "Event"), h("th", {}, "From → to"), h("th.n", {}, "Took"), h("th.at", {}, "Posted at"));
  return h("table", {}, h("thead", {}, head), h("tbody", {}, ...events.map(eventRow)));
}

function eventRow(event) {
  const to = link(event.to, event.to_name);
  const route = event.from === event.to ? [h("span.faint", { title: "to itself" }, "↻ "), to] : [link(event.from, event.from_name), h("span.faint", {}, " → "), to];
  if (event.failure) route.push(h("div", {}, event.failure));
  return h("tr." + event.outcome, {}, h("td.mono", {}, clock(event.t, true)), h("td.event", {}, event.event), h("td", {}, ...route), h("td.n", {}, took(event.took_us)), at(event.place, "td"));
}

function showKernel(pane) {
  const kernel = kernels[shownKernel()];
  if (!kernel) return;
  const { stats, totals } = kernel;
  const figures = [
    ["sessions", stats.sessions], ["sessions ever", stats.sessions_created], ["queued", stats.queue], ["timers", stats.timers],
    ["wheels and tasks", stats.tasks], ["posts dispatched", stats.events_dispatched], ["failures", totals.failures], ["restarts", totals.restarts], ["dead letters", totals.dead_letters],
  ];
  pane.replaceChildren(
    h("div.title", {}, h("h2", {}, kernel.name), h("span.mono", {}, "kernel")),
    h("p.meta", {}, "Choose a session to see what keeps it alive."),
    h("table", {}, ...figures.map(([name, value]) => h("tr", {}, h("td", {}, name), h("td.n", {}, number(value))))));
}

// The stream.

const stream = { paused: false, rows: [], waiting: 0, lost: 0, sampled: 0, only: false };

function buildStream(pane) {
  const restart = () => openStream();
  stream.filter = h("input", { type: "search", id: "stream-filter", placeholder: "event", "aria-label": "Event", spellcheck: false, oninput: () => { clearTimeout(stream.timer); stream.timer = setTimeout(restart, 250); } });
  stream.least = h("input", { type: "number", min: 0, placeholder: "min µs", "aria-label": "At least so many microseconds", onchange: restart });
  stream.failed = h("input", { type: "checkbox", onchange: restart });
  stream.mine = h("input", { type: "checkbox", onchange: restart });
  stream.pause = h("button.button", { id: "pause", onclick: () => {
    stream.paused = !stream.paused;
    stream.waiting = 0;
    showStream();
  } }, "Pause");
  stream.notice = h("span.notice");
  stream.body = h("tbody", { id: "stream" });
  const head = h("tr", {}, h("th", {}, "Time"), h("th", {}, "Event"), h("th", {}, "From → to"), h("th.n", {}, "Took"), h("th.at", {}, "Posted at"));
  pane.append(
    h("div.tools", {}, stream.pause, h("button.button", { onclick: () => { stream.rows = []; showStream(); } }, "Clear"), stream.filter, stream.least,
      h("label", {}, stream.failed, "failed"), h("label", {}, stream.mine, "this session"), stream.notice),
    h("div.scroll", {}, h("table", {}, h("thead", {}, head), stream.body)));
}

async function openStream() {
  closeStream();
  const stop = (stream.stop = new AbortController());
  stream.rows = [];
  const query = new URLSearchParams();
  if (stream.filter.value) query.set("event", stream.filter.value);
  if (stream.least.value) query.set("min_us", stream.least.value);
  if (stream.failed.checked) query.set("failed", "1");
  if (stream.mine.checked && view.session) query.set("session", view.session);
  try {
    const response = await ask(`${kernelPath()}/stream?${query}`, { signal: stop.signal });
    if (!response.ok) throw new Failed(response.status, (await response.json()).error);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      rest += value;
      let end;
      while ((end = rest.indexOf("\n\n")) >= 0) {
        takeMessage(rest.slice(0, end));
        rest = rest.slice(end + 2);
      }
    }
  } catch (error) {
    if (stop.signal.aborted) return;
    say(stream.notice, error.message);
  }
  if (stream.stop === stop && view.tab === "events") setTimeout(() => stream.stop === stop && openStream(), 2000);
}

function closeStream() {
  if (stream.stop) stream.stop.abort();
  stream.stop = null;
}

function takeMessage(text) {
  const lines = text.split("\n");
  const kind = (lines.find((line) => line.startsWith("event: ")) || "").slice(7);
  const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
  if (kind === "lost") stream.lost += JSON.parse(data).count;
  else if (kind === "sampled") stream.sampled = Date.now();
  else if (data) {
    const events = JSON.parse(data);
    if (stream.paused) stream.waiting += events.length;
    else stream.rows = events.reverse().concat(stream.rows).slice(0, 200);
    if (!stream.drawing) {
      stream.drawing = true;
      requestAnimationFrame(showStream);
    }
  }
}

function showStream() {
  stream.drawing = false;
  stream.pause.textContent = stream.paused ? "Resume" : "Pause";
  stream.pause.className = stream.paused ? "button on" : "button";
  const notes = [];
  if (stream.paused) notes.push(`paused, ${number(stream.waiting)} more since`);
  if (Date.now() - stream.sampled < 3000) notes.push("a sample of the events");
  if (stream.lost) notes.push(`${number(stream.lost)} events lost: this page was too slow`);
  say(stream.notice, notes.join("; "));
  if (!stream.paused || !stream.rows.length) stream.body.replaceChildren(...stream.rows.map(eventRow));
}

// Timers, handlers, wheels, the log.

const timers = { list: [] };

function buildTimers(pane) {
  timers.canvas = h("canvas", { id: "line" });
  timers.body = h("tbody");
  const head = h("tr", {}, h("th.n", {}, "Due in"), h("th", {}, "Event"), h("th", {}, "Session"), h("th.at", {}, "Set at"));
  pane.append(timers.canvas, h("div.scroll", {}, h("table", {}, h("thead", {}, head), timers.body)));
  const draw = () => {
    if (view.tab === "timers" && !document.hidden) drawTimeLine(timers.canvas, timers.list);
    setTimeout(draw, 100);
  };
  draw();
}

async function loadTimers() {
  const reply = await get(`${kernelPath()}/timers?limit=200`);
  timers.list = reply.timers;
  const rows = reply.timers.slice(0, 100).map((timer) =>
    h("tr", {}, h("td.n", {}, until(timer.due)), h("td.event", {}, timer.event), h("td", {}, link(timer.to, timer.to_name)), at(timer.place, "td")));
  if (!rows.length) rows.push(h("tr", {}, h("td", { colSpan: 4 }, "No timer is set.")));
  if (reply.total > 100) rows.push(h("tr", {}, h("td", { colSpan: 4 }, `and ${number(reply.total - 100)} more`)));
  timers.body.replaceChildren(...rows);
}

async function loadHandlers() {
  const [all, slow] = await Promise.all([get(`${kernelPath()}/handlers`), get(`${kernelPath()}/slow?limit=30`)]);
  const most = Math.max(1, ...all.handlers.map((row) => row.total_us));
  const rows = all.handlers.slice(0, 60).map((row) => {
    const meter = h("i");
    meter.style.width = (row.total_us / most) * 100 + "%";
    return h("tr", {}, h("td.event", {}, row.event), h("td.n", {}, number(row.count)), h("td.n", {}, took(row.mean_us)), h("td.n", {}, took(row.max_us)),
      h("td.n", {}, row.failed ? number(row.failed) : ""), h("td.narrow", {}, h("div.meter", { title: took(row.total_us) + " in all" }, meter)));
  });
  const head = h("tr", {}, h("th", {}, "Event"), h("th.n", {}, "Count"), h("th.n", {}, "Mean"), h("th.n", {}, "Longest"), h("th.n", {}, "Failed"), h("th.narrow", {}, "Total"));
  panes.handlers.node.replaceChildren(
    part("Slow handlers", `${slow.limit_ms} ms and longer`, slow.slow.length ? eventTable(slow.slow) : h("p.meta", {}, "None since somebody looks.")),
    part("Time by event", `${number(all.recorded)} dispatches recorded`, h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows))));
}

async function loadWheels() {
  const [wheels, queue] = await Promise.all([get(`${kernelPath()}/wheels?limit=200`), get(`${kernelPath()}/queue?limit=50`)]);
  const head = h("tr", {}, h("th", {}, "Kind"), h("th", {}, "What"), h("th", {}, "Session"), h("th.n", {}, "Read, written"), h("th.at", {}, "Made at"));
  const rows = wheels.tasks.map((task) => h("tr", {}, h("td", {}, task.kind), h("td.event", {}, task.name), h("td", {}, link(task.session, task.session_name)), flow(task.stream), at(task.place, "td")));
  const waiting = queue.events.map((event) => h("tr", {}, h("td", {}, event.kind), h("td.event", {}, event.event), h("td", {}, link(event.from, event.from_name), " → ", link(event.to, event.to_name)), at(event.place, "td")));
  panes.wheels.node.replaceChildren(
    part("Queue", `${number(queue.total)} wait`, waiting.length ? h("table", {}, ...waiting) : h("p.meta", {}, "Nothing waits at this moment.")),
    part("Wheels, futures and streams", number(wheels.total), h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows))));
}

const KINDS = { failure: "failure", dead_letter: "dead letter", started: "started", ended: "ended", given_up: "gave up" };

function entry(entry) {
  return h("div.entry", {}, h("time", {}, clock(entry.t)), h("span.tag." + entry.kind, {}, KINDS[entry.kind] || entry.kind),
    h("p", {}, h("span.mono", {}, entry.subject), " ", entry.text, entry.place && h("small", {}, entry.place)));
}

async function loadLog() {
  const log = await get(`${kernelPath()}/log?limit=200`);
  const figure = (name, value) => h("span", {}, h("b", {}, number(value)), name);
  panes.log.node.replaceChildren(
    h("div.totals", {}, figure("failures", log.totals.failures), figure("restarts", log.totals.restarts), figure("dead letters", log.totals.dead_letters)),
    ...(log.entries.length ? log.entries.map(entry) : [h("p.hint", {}, "No failure, dead letter or restart so far.")]));
}

const TABS = [
  ["session", "Session", null, loadSession],
  ["events", "Events", buildStream, null],
  ["timers", "Timers", buildTimers, loadTimers],
  ["handlers", "Handlers", null, loadHandlers],
  ["wheels", "Wheels & queue", null, loadWheels],
  ["log", "Log", null, loadLog],
];

for (const [key, name, build, load] of TABS) {
  const button = h("button", { role: "tab", id: "tab-" + key, onclick: () => openTab(key) }, name);
  const node = h("div.pane" + (build ? ".flush" : ""), { role: "tabpanel", id: "pane-" + key, hidden: true });
  if (build) build(node);
  $("tabs").append(button);
  $("panes").append(node);
  panes[key] = { button, node, load };
}

function openTab(key) {
  const changed = view.tab !== key || panes[key].node.hidden;
  view.tab = panes[key] ? key : "session";
  for (const [name, pane] of Object.entries(panes)) {
    pane.node.hidden = name !== view.tab;
    pane.button.setAttribute("aria-selected", name === view.tab);
  }
  writeAddress();
  if (view.tab === "events" && (changed || !stream.stop)) openStream();
  if (view.tab !== "events") closeStream();
  const { load } = panes[view.tab];
  if (load) load().catch(trouble);
}

// Kernels, and the beat.

let kernels = [];

const shownKernel = () => {
  const named = kernels.findIndex((kernel) => kernel.name === view.kernel);
  return named >= 0 ? named : Number(view.kernel) || 0;
};

function showKernels() {
  const nav = $("kernels");
  const now = shownKernel();
  while (nav.children.length > kernels.length) nav.lastChild.remove();
  kernels.forEach((kernel, i) => {
    const button = nav.children[i] || nav.appendChild(h("button", { onclick: () => openKernel(i) }, h("i"), h("span")));
    button.firstChild.className = kernel.state;
    say(button.lastChild, kernel.name);
    button.setAttribute("aria-pressed", i === now);
  });
  const kernel = kernels[now];
  const status = $("status");
  if (!kernel) return say(status, "no kernel yet");
  const [text, look] = {
    running: ["live", "good"],
    silent: [`no reply for ${(kernel.silent_ms / 1000).toFixed(1)} s: a handler blocks, or the kernel is not polled`, "bad"],
    gone: ["the kernel has ended", "warn"],
  }[kernel.state];
  say(status, text);
  status.className = "pill " + look;
  const sampling = $("sampling");
  sampling.hidden = !kernel.sampled;
  say(sampling, `a sample of ${number(kernel.rate_limit)} events/s is recorded`);
  const badge = panes.log.button;
  const bad = kernel.totals.failures;
  if (bad !== badge.shown) {
    badge.shown = bad;
    badge.replaceChildren("Log", bad ? h("span.badge", {}, number(bad)) : "");
  }
}

function openKernel(index) {
  view.kernel = kernels[index] ? kernels[index].name : String(index);
  view.session = null;
  tree.open.clear();
  tree.closed.clear();
  tree.lines.clear();
  $("list").scrollTop = 0;
  forgetPoints();
  writeAddress();
  openTab(view.tab);
  beat();
}

function trouble(error) {
  if (error.status === 401 || error.name === "AbortError") return;
  const status = $("status");
  if (error.status) return;
  say(status, "no connection to the inspector");
  status.className = "pill bad";
}

let beating = false;

async function beat() {
  if (beating || document.hidden) return;
  beating = true;
  try {
    const reply = await get("/kernels");
    kernels = reply.kernels;
    showKernels();
    const last = points.length ? points[points.length - 1].t : 0;
    const load = panes[view.tab].load;
    const [history] = await Promise.all([get(`${kernelPath()}/history?since=${last}`), loadTree(), load && load()]);
    if (history.points.length) addPoints(history.points);
  } catch (error) {
    trouble(error);
  } finally {
    beating = false;
  }
}

async function wake() {
  try {
    about = await get("");
  } catch (error) {
    trouble(error);
  }
  beat();
  openTab(view.tab);
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  localStorage.setItem("poe-theme", theme);
  charts.forEach((chart) => chart.draw());
  drawPicture();
}
$("theme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  setTheme(now === "dark" ? "light" : "dark");
});

$("charts").append(...charts.map((chart) => chart.card));
addEventListener("resize", () => {
  charts.forEach((chart) => chart.draw());
  showRows();
  if (view.picture) drawPicture();
});
document.addEventListener("visibilitychange", () => (document.hidden ? closeStream() : wake()));
addEventListener("hashchange", () => {
  readAddress();
  openTab(view.tab);
  beat();
});
readAddress();
if (localStorage.getItem("poe-theme")) setTheme(localStorage.getItem("poe-theme"));
showAs(view.picture);
wake();
setInterval(beat, 1000);

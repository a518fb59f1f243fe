// The charts over the last minutes.

const MINUTES = 5;

const CHARTS = [
  { key: "events", name: "Events", unit: "/s", colour: "c1", value: (p) => p.events, text: (v) => [number(v), "/s"] },
  { key: "queue", name: "Queue", colour: "c2", value: (p) => p.queue + p.inbox, text: (v) => [number(v), v === 1 ? "event" : "events"], whole: true },
  { key: "wait", name: "Waiting time", colour: "c3", value: (p) => p.wait_us, text: span, hint: "in the queue" },
  { key: "poll", name: "Longest poll", colour: "c4", value: (p) => p.poll_us, text: span, hint: "thread held" },
  { key: "busy", name: "Busy", colour: "c5", value: (p) => p.busy * 100, text: (v) => [v < 10 ? v.toFixed(1) : v.toFixed(0), "%"], most: 100 },
];

class Chart {
  constructor(chart) {
    Object.assign(this, chart);
    this.figure = h("strong", { id: "chart-" + chart.key }, "–");
    this.note = h("small", {}, chart.hint || "");
    this.canvas = h("canvas", {});
    this.card = h("div.card", {}, h("h3", {}, chart.name, this.note), this.figure, this.canvas);
    this.points = [];
    this.canvas.addEventListener("pointermove", (event) => {
      this.hover = event.offsetX / this.canvas.clientWidth;
      this.draw();
    });
    this.canvas.addEventListener("pointerleave", () => {
      this.hover = undefined;
      this.draw();
    });
  }

  show(points) {
    this.points = points;
    this.draw();
  }

  tell(point) {
    const [figure, unit] = point ? this.text(this.value(point)) : ["–", ""];
    this.figure.replaceChildren(figure, h("span", {}, unit));
    this.figure.dataset.t = point ? point.t : "";
  }

  draw() {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const pen = prepare(this.canvas, width, height);
    const last = this.points[this.points.length - 1];
    this.tell(last);
    say(this.note, this.hint || "");
    if (!last) return;
    // A minute at first, and up to five as time goes by.
    const begin = Math.min(last.t - 60000, Math.max(this.points[0].t, last.t - MINUTES * 60000));
    const minutes = (last.t - begin) / 60000;
    const shown = this.points.filter((p) => p.t >= begin - 2000);
    const values = shown.map(this.value).filter((v) => v !== null);
    const top = this.most || Math.max(this.whole ? 4 : 1, ...values) * 1.12;
    const x = (p) => ((p.t - begin) / (last.t - begin)) * width;
    const y = (v) => height - 2 - (v / top) * (height - 10);
    pen.strokeStyle = colour("line");
    pen.lineWidth = 1;
    for (let minute = 1; minute < minutes; minute++) {
      const at = Math.round((1 - minute / minutes) * width) + 0.5;
      pen.beginPath();
      pen.moveTo(at, 6);
      pen.lineTo(at, height);
      pen.globalAlpha = 0.5;
      pen.stroke();
    }
    pen.globalAlpha = 1;
    const ink = colour(this.colour);
    // Lines break where the kernel did not reply, or nobody looked.
    let run = [];
    const runs = [run];
    for (const p of shown) {
      const before = run[run.length - 1];
      if (this.value(p) === null || (before && p.t - before.t > 3500)) {
        run = [];
        runs.push(run);
      }
      if (this.value(p) !== null) run.push(p);
    }
    for (const line of runs) {
      if (!line.length) continue;
      pen.beginPath();
      line.forEach((p, i) => (i ? pen.lineTo(x(p), y(this.value(p))) : pen.moveTo(x(p), y(this.value(p)))));
      pen.strokeStyle = ink;
      pen.lineWidth = 1.6;
      pen.lineJoin = "round";
      pen.stroke();
      pen.lineTo(x(line[line.length - 1]), height);
      pen.lineTo(x(line[0]), height);
      const fill = pen.createLinearGradient(0, 0, 0, height);
      fill.addColorStop(0, ink);
      fill.addColorStop(1, "transparent");
      pen.globalAlpha = 0.22;
      pen.fillStyle = fill;
      pen.fill();
      pen.globalAlpha = 1;
    }
    if (this.hover !== undefined) {
      const t = begin + this.hover * (last.t - begin);
      const near = shown.reduce((a, b) => (Math.abs(a.t - t) < Math.abs(b.t - t) ? a : b), last);
      this.tell(near);
      say(this.note, clock(near.t));
      pen.strokeStyle = colour("faint");
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(x(near), 0);
      pen.lineTo(x(near), height);
      pen.stroke();
      if (this.value(near) !== null) {
        pen.fillStyle = ink;
        pen.beginPath();
        pen.arc(x(near), y(this.value(near)), 3, 0, 7);
        pen.fill();
      }
    }
  }
}

const charts = CHARTS.map((chart) => new Chart(chart));
let points = [];

function addPoints(fresh) {
  points = points.concat(fresh).slice(-MINUTES * 60 - 30);
  charts.forEach((chart) => chart.show(points));
}

function forgetPoints() {
  points = [];
  charts.forEach((chart) => chart.show(points));
}

/** Timers on a time line, one lane for each session. */
function drawTimeLine(canvas, timers) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width) return;
  const pen = prepare(canvas, width, height);
  const now = Date.now();
  const dues = timers.map((t) => t.due - now).sort((a, b) => a - b);
  const most = dues.length ? dues[Math.floor((dues.length - 1) * 0.9)] : 0;
  const range = [1e4, 3e4, 6e4, 3e5, 9e5, 36e5, 864e5].find((r) => r >= most * 1.1) || 864e5;
  // Sessions of one type share a lane.
  const of = (t) => t.to_name.replace(/ #\d+$/, "");
  const counts = new Map();
  for (const t of timers) counts.set(of(t), (counts.get(of(t)) || 0) + 1);
  const names = [...counts.keys()];
  const lanes = names.slice(0, 7);
  const left = Math.min(150, width * 0.28);
  const x = (due) => left + ((due - now) / range) * (width - left - 14);
  const lane = (height - 30) / Math.max(lanes.length, 1);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  for (let i = 0; i <= 5; i++) {
    const at = Math.round(x(now + (range * i) / 5)) + 0.5;
    pen.strokeStyle = colour("line");
    pen.beginPath();
    pen.moveTo(at, 8);
    pen.lineTo(at, height - 20);
    pen.stroke();
    pen.fillStyle = colour("faint");
    pen.textAlign = i === 5 ? "right" : i ? "center" : "left";
    const seconds = (range * i) / 5000;
    pen.fillText(i === 0 ? "now" : seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`, at, height - 10);
  }
  lanes.forEach((name, i) => {
    const y = 10 + lane * (i + 0.5);
    pen.fillStyle = colour("dim");
    pen.textAlign = "left";
    let text = counts.get(name) > 1 ? `${name} × ${counts.get(name)}` : name;
    while (text.length > 3 && pen.measureText(text).width > left - 26) text = text.slice(0, -2) + "…";
    pen.fillText(text, 12, y);
    pen.strokeStyle = colour("soft");
    pen.beginPath();
    pen.moveTo(left, y);
    pen.lineTo(width, y);
    pen.stroke();
  });
  const ink = colour("c2");
  for (const t of timers) {
    const i = lanes.indexOf(of(t));
    if (i < 0) continue;
    const at = Math.min(x(Math.max(t.due, now)), width - 8);
    const y = 10 + lane * (i + 0.5);
    pen.fillStyle = ink;
    pen.globalAlpha = counts.get(of(t)) > 20 ? 0.4 : 0.85;
    pen.beginPath();
    pen.arc(at, y, 4.5, 0, 7);
    pen.fill();
  }
  pen.globalAlpha = 1;
  if (names.length > lanes.length) {
    pen.fillStyle = colour("faint");
    pen.textAlign = "left";
    pen.fillText(`and ${names.length - lanes.length} more`, 12, height - 10);
  }
}

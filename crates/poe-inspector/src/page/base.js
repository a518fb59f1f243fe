// What the rest is made of: elements, numbers, requests.

const $ = (id) => document.getElementById(id);

/** An element: h("p.class", {title: "…"}, "text", child). */
function h(what, props, ...kids) {
  const [tag, ...classes] = what.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(props || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...kids.filter((kid) => kid !== null && kid !== undefined && kid !== false));
  return node;
}

/** Sets an element's text if it is another one. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const groups = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

function number(n) {
  if (n < 10 && n % 1) return n.toFixed(1);
  if (n < 100000) return groups.format(n).replace(/,/g, "\u202f");
  return n < 1e6 ? (n / 1e3).toFixed(0) + "k" : (n / 1e6).toFixed(n < 1e7 ? 2 : 1) + "M";
}

function bytes(n) {
  if (n < 1000) return `${n}\u202fB`;
  return n < 1e6 ? `${(n / 1e3).toFixed(1)}\u202fkB` : n < 1e9 ? `${(n / 1e6).toFixed(1)}\u202fMB` : `${(n / 1e9).toFixed(2)}\u202fGB`;
}

/** Microseconds, with a unit. */
function span(us) {
  if (us === null || us === undefined) return ["–", ""];
  if (us < 1000) return [us < 10 ? us.toFixed(1) : us.toFixed(0), "µs"];
  if (us < 1e6) return [(us / 1e3).toFixed(us < 1e4 ? 2 : us < 1e5 ? 1 : 0), "ms"];
  return [(us / 1e6).toFixed(us < 1e7 ? 2 : 1), "s"];
}

const took = (us) => span(us).join("\u202f");

function clock(ms, fractions) {
  const at = new Date(ms);
  const two = (n) => String(n).padStart(2, "0");
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return fractions ? `${time}.${String(at.getMilliseconds()).padStart(3, "0")}` : time;
}

/** Until a time, from now. */
function until(ms) {
  const left = ms - Date.now();
  if (left <= 0) return "due";
  if (left < 60000) return (left / 1000).toFixed(1) + " s";
  if (left < 3600000) return (left / 60000).toFixed(1) + " min";
  return (left / 3600000).toFixed(1) + " h";
}

/** A place as its last two folders, so that it fits. */
const brief = (place) => (place || "").split("/").slice(-2).join("/");

function at(place, tag) {
  return h((tag || "span") + ".at", { title: place || "" }, h("bdi", {}, brief(place)));
}

let token = sessionStorage.getItem("poe-token") || "";

class Failed extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options) {
  const headers = Object.assign({}, options && options.headers);
  if (token) headers.Authorization = "Bearer " + token;
  const response = await fetch("/api/v1" + path, Object.assign({}, options, { headers }));
  if (response.status === 401) {
    login();
    throw new Failed(401, "a token is needed");
  }
  return response;
}

async function get(path) {
  const response = await ask(path);
  const value = await response.json();
  if (!response.ok) throw new Failed(response.status, value.error);
  return value;
}

async function act(action, order) {
  const body = JSON.stringify(order);
  const response = await ask(`${kernelPath()}/${action}`, { method: "POST", body, headers: { "Content-Type": "application/json" } });
  const value = await response.json();
  if (!response.ok) throw new Failed(response.status, value.error);
}

function login() {
  const dialog = $("login");
  if (dialog.open) return;
  dialog.showModal();
  dialog.onclose = () => {
    token = $("token").value;
    sessionStorage.setItem("poe-token", token);
    $("token").value = "";
    wake();
  };
}

/** What the page shows; kept in the address, so that it can be linked to. */
const view = { kernel: "0", session: null, tab: "session", picture: false };

function readAddress() {
  const hash = new URLSearchParams(location.hash.slice(1));
  view.kernel = hash.get("kernel") || "0";
  view.session = hash.get("session");
  view.tab = hash.get("tab") || "session";
  view.picture = hash.get("view") === "picture";
}

function writeAddress() {
  const hash = new URLSearchParams({ kernel: view.kernel, tab: view.tab });
  if (view.session) hash.set("session", view.session);
  if (view.picture) hash.set("view", "picture");
  history.replaceState(null, "", "#" + hash);
}

const kernelPath = () => "/kernels/" + encodeURIComponent(view.kernel);

const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue("--" + name).trim();

/** A canvas in the screen's own pixels. */
function prepare(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

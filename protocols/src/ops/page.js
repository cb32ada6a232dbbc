/* Draws the samples that the server sends. */
"use strict";

/* How many samples the charts show. */
const HISTORY = 120;

const SENT = [
  ["joined", "joined"], ["write_through", "written through"], ["gather", "gathered"],
  ["sendfile", "sendfile"], ["splice", "splice"], ["sealed", "copied by TLS"],
];
const RECEIVED = [
  ["shared_buffer", "shared buffer"], ["own_buffer", "buffer of a message"], ["splice", "splice"],
];

/* Bytes per second by method, and the last sample. */
const history = [];
let before = null;

const $ = id => document.getElementById(id);
const sum = (items, of) => items.reduce((total, item) => total + (of(item) || 0), 0);
const all = values => sum(Object.values(values || {}), n => n);

/* Elements */

function fill(element, attributes, content) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...content);
  return element;
}

const make = (name, attributes = {}, ...content) =>
  fill(document.createElement(name), attributes, content);
const draw = (name, attributes = {}, ...content) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, content);

/* A table keeps its cells, so that a selection and the position of a scroll bar stay. */
function table(id, head, rows) {
  const table = $(id);
  if (!table.tHead) {
    const cells = head.map(text => make("th", {scope: "col"}, text));
    table.createTHead().append(make("tr", {}, ...cells));
    table.createTBody();
  }
  const body = table.tBodies[0];
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, at) => {
    const row = body.rows[at] || body.insertRow();
    cells.forEach((cell, column) => {
      const {text, kind = "", share} = typeof cell === "object" ? cell : {text: cell};
      if (!row.cells[column]) row.append(column ? make("td") : make("th", {scope: "row"}));
      const place = row.cells[column];
      if (place.textContent !== String(text)) place.textContent = text;
      place.className = kind;
      if (share !== undefined) place.style.setProperty("--share", `${(100 * share).toFixed(1)}%`);
    });
  });
}

function list(id, entries) {
  const list = $(id);
  while (list.children.length > entries.length) list.lastElementChild.remove();
  entries.forEach(([term, value, note = "", kind = ""], at) => {
    if (!list.children[at]) list.append(make("div", {}, make("dt"), make("dd")));
    const [dt, dd] = list.children[at].children;
    dt.textContent = term;
    dd.replaceChildren(value, note && make("small", {}, ` ${note}`));
    dd.className = kind;
  });
}

/* Numbers */

const count = n => Math.round(n || 0).toLocaleString("en");

function scaled(n, step, units) {
  let at = 0;
  for (; n >= step && at < units.length - 1; at++) n /= step;
  return (n >= 1000 ? n.toFixed(0) : Number(n.toPrecision(3)).toString()) + units[at];
}

const bytes = n => scaled(n || 0, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);
const rate = n => `${bytes(n)}/s`;
const each = n => scaled(n, 1000, ["/s", " k/s", " M/s"]);
const percent = n => `${(100 * n).toFixed(0)} %`;

/* A time in seconds. */
function time(s) {
  return s < 1 ? scaled(s * 1e6, 1000, [" µs", " ms"]) : `${Number(s.toPrecision(3))} s`;
}

function age(s) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const from = Math.max(0, units.findIndex(([unit]) => s >= unit));
  return units.slice(from, from + 2)
    .map(([unit, name], at) => `${Math.floor((at ? s % units[from][0] : s) / unit)} ${name}`)
    .join(" ");
}

/* Histograms */

/* The upper bound of a bucket, in seconds. */
const bound = (bucket, buckets) => bucket === buckets.length - 1 ? Infinity : 1e-6 * 2 ** bucket;
const upTo = s => s === Infinity ? "> 16.8 s" : s === null ? "–" : `≤ ${time(s)}`;

function quantile(buckets, share) {
  const wanted = Math.ceil(sum(buckets, n => n) * share);
  let below = 0;
  const at = buckets.findIndex(n => (below += n) >= wanted);
  return wanted ? bound(at, buckets) : null;
}

/* The sums of the buckets of several histograms, without what they had before. */
function merged(now, old) {
  const total = [];
  now.forEach((times, at) => times?.buckets.forEach((n, bucket) => {
    const less = old[at]?.buckets[bucket] || 0;
    total[bucket] = (total[bucket] || 0) + Math.max(0, n - less);
  }));
  return total;
}

/* Charts */

const WIDTH = 600, HEIGHT = 200;

const ruled = y => draw("line", {class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y});

function chart(kind, label, ...content) {
  const box = `0 0 ${WIDTH} ${HEIGHT}`;
  const what = {class: kind, viewBox: box, preserveAspectRatio: "none", role: "img"};
  return draw("svg", {...what, "aria-label": label}, ...content);
}

/* The end of a scale: a power of two that is not below n. */
const scaleFor = n => 2 ** Math.ceil(Math.log2(Math.max(1024, n)));

/* Stacked areas of what the history has under this name. */
function areas(id, ways) {
  const points = history.map(entry => ways.map(([name]) => entry[id][name]));
  const top = scaleFor(Math.max(0, ...points.map(values => sum(values, n => n))));
  const x = at => WIDTH * (at + HISTORY - points.length) / (HISTORY - 1);
  const place = (n, at) => `${x(at).toFixed(1)},${(HEIGHT - HEIGHT * n / top).toFixed(1)}`;
  const base = points.map(() => 0);
  const paths = ways.map((_, way) => {
    const lower = base.map(place).reverse();
    points.forEach((values, at) => base[at] += values[way]);
    const outline = [...base.map(place), ...lower];
    const d = outline.length ? `M${outline.join("L")}Z` : "";
    return draw("path", {class: `w${way}`, d});
  });
  const last = points.at(-1) || ways.map(() => 0);
  const speeds = ways.map(([, name], way) => [name, rate(last[way])]);
  const label = speeds.map(parts => parts.join(" ")).join(", ");
  const svg = chart("areas", label, ruled(0), ruled(HEIGHT / 2), ruled(HEIGHT), ...paths);
  const scale = [["top", top], ["middle", top / 2]];
  const marks = scale.map(([kind, n]) => make("span", {class: kind}, rate(n)));
  const legend = speeds.map(([name, speed], way) => make("li", {},
    make("i", {class: `w${way}`}), ` ${name} `, make("span", {class: "faint"}, speed)));
  const caption = `${rate(sum(last, n => n))} now, and the last two minutes`;
  $(id).replaceChildren(make("figcaption", {}, caption),
    make("div", {class: "chart"}, svg, ...marks), make("ul", {}, ...legend));
}

/* The buckets of a histogram, without the empty ones at its ends. */
function bars(id, buckets, longest) {
  const first = Math.max(0, buckets.findIndex(n => n > 0));
  const shown = buckets.slice(first, buckets.findLastIndex(n => n > 0) + 1);
  const most = Math.max(1, ...shown), width = WIDTH / Math.max(shown.length, 8);
  const limit = at => upTo(bound(first + at, buckets));
  const rects = shown.map((n, at) => {
    const height = HEIGHT * n / most;
    const place = {x: (at + .1) * width, width: .8 * width, y: HEIGHT - height, height};
    return draw("rect", place, draw("title", {}, `${limit(at)}: ${count(n)}`));
  });
  const figures = [
    ["p50", upTo(quantile(buckets, .5))], ["p99", upTo(quantile(buckets, .99))],
    ["longest ever", time(longest)],
  ];
  const caption = shown.length
    ? `from ${limit(0)} to ${limit(shown.length - 1)} in the last second`
    : "none in the last second";
  const label = `${caption}: ${figures.map(parts => parts.join(" ")).join(", ")}`;
  const legend = figures.map(([name, text]) =>
    make("li", {}, `${name} `, make("span", {class: "faint"}, text)));
  $(id).replaceChildren(chart("bars", label, ruled(HEIGHT), ...rects),
    make("figcaption", {}, caption), make("ul", {}, ...legend));
}

/* What is shown. A change is that from `old`, the sample before, which may be missing. */

function show(now, old) {
  const seconds = old ? Math.max(.001, now.clock - old.clock) : 1;
  const per = (n, earlier) => old ? Math.max(0, (n || 0) - (earlier || 0)) / seconds : 0;
  const same = it =>
    old?.listeners.find(was => was.address === it.address && was.thread === it.thread);
  const ways = (kind, names) => Object.fromEntries(names.map(([name]) =>
    [name, sum(now.listeners, it => per(it[kind][name], same(it)?.[kind][name]))]));
  if (old) history.push({sent: ways("sent", SENT), received: ways("received", RECEIVED)});
  while (history.length > HISTORY) history.shift();
  /* Each thread that has answered, with what it had before. */
  const threads = now.threads.filter(it => it.up).map(it => {
    const was = old?.threads[it.thread];
    return [it, was?.up ? was : null];
  });
  showState(now);
  showNow(now, old, threads, per);
  areas("sent", SENT);
  areas("received", RECEIVED);
  showListeners(now, same, per);
  showThreads(now, threads, per);
  showUpstreams(now, old, per);
  showHttp(threads, per);
  showRest(now);
}

function showState(now) {
  document.title = `${now.name}: ${now.ready ? "ready" : "not ready"}`;
  $("name").textContent = now.name;
  $("version").textContent = `${now.version}, generation ${now.generation}`;
  const state = now.phase === "ready" && !now.ready ? "a check fails" : now.phase;
  $("ready").textContent = state;
  $("ready").className = `pill ${now.ready ? "good" : "bad"}`;
  $("age").textContent = `up ${age(Math.max(0, now.time - now.started))}`;
}

function showNow(now, old, threads, per) {
  const total = of => sum(threads, ([it]) => of(it));
  const speed = name =>
    each(sum(threads, ([it, was]) => was ? per(it.counters[name], was.counters[name]) : 0));
  const {cpu_seconds: cpu, resident_bytes, descriptors, max_descriptors} = now.process;
  const bounded = now.listeners.filter(it => it.limit);
  const open = sum(bounded, it => it.connections), limit = sum(bounded, it => it.limit);
  const slow = total(it => it.slow_readers), panics = total(it => it.counters.panics);
  const late = total(it => it.counters.slow_callbacks);
  const held = total(it => it.memory_bytes), budget = total(it => it.memory_budget_bytes);
  const shortages = total(it => it.counters.memory_shortages);
  const aborted = total(it => it.counters.memory_aborts);
  const refused = sum(now.listeners, it => all(it.refused));
  const known = (value, show) => value == null ? "–" : show(value);
  list("now", [
    ["connections", count(total(it => it.connections)), `of ${count(limit)}`,
      open > .9 * limit ? "bad" : ""],
    ["accepted", speed("accepted")],
    ["refused", count(refused), "in all", refused ? "warn" : ""],
    ["slow readers", count(slow), "", slow ? "warn" : ""],
    ["queued", bytes(total(it => it.queued_bytes))],
    ["turns", speed("turns")],
    ["messages", speed("messages")],
    ["timers", count(total(it => it.timers))],
    ["slow callbacks", count(late), "in all", late ? "warn" : ""],
    ["panics", count(panics), "in all", panics ? "bad" : ""],
    ["processor", known(cpu, cpu => percent(per(cpu, old?.process.cpu_seconds)))],
    ["process memory", known(resident_bytes, bytes)],
    ["connection memory", bytes(held), budget ? `of ${bytes(budget)}` : "",
      budget && held > .75 * budget ? "bad" : ""],
    ...(budget ? [
      ["memory shortages", count(shortages), "in all", shortages ? "warn" : ""],
      ["aborted for memory", count(aborted), "in all", aborted ? "bad" : ""],
    ] : []),
    ["descriptors", known(descriptors, count), known(max_descriptors, most => `of ${count(most)}`)],
    ...(now.upstreams.length ? [["waiting for upstreams", count(total(it => it.waiting))]] : []),
  ]);
}

function showListeners(now, same, per) {
  const head = ["address", "thread", "open", "peak", "limit", "accepted", "refused", "sent",
    "received", "queued", "slow", "timeouts"];
  const sorted = now.listeners.toSorted((a, b) => a.address < b.address ? -1 : 1);
  table("listeners", head, sorted.map(it => {
    const was = same(it), refused = all(it.refused), slow = it.slow_readers || 0;
    const share = it.limit ? Math.min(1, it.connections / it.limit) : 0;
    return [
      it.address === "none" ? "no listener" : it.address, it.thread,
      {text: count(it.connections), kind: "share", share},
      it.limit ? count(it.peak) : "–", it.limit ? count(it.limit) : "–",
      each(per(it.counters.accepted, was?.counters.accepted)),
      {text: count(refused), kind: refused ? "warn" : ""},
      rate(per(all(it.sent), all(was?.sent))), rate(per(all(it.received), all(was?.received))),
      bytes(it.queued_bytes), {text: count(slow), kind: slow ? "warn" : ""},
      count(it.counters.timeouts),
    ];
  }));
}

function showThreads(now, threads, per) {
  const head = ["thread", "open", "turns", "events", "messages", "busy", "turn p50", "p99",
    "longest", "memory"];
  table("threads", head, now.threads.map(thread => {
    const [it, was] = threads.find(([it]) => it.thread === thread.thread) || [];
    if (!it) return [thread.thread, {text: "no answer", kind: "bad"}, ...Array(8).fill("–")];
    const speed = name => each(was ? per(it.counters[name], was.counters[name]) : 0);
    const busy = was ? per(it.turns.sum_seconds, was.turns.sum_seconds) : 0;
    const buckets = merged([it.turns], [was?.turns]);
    const memory = it.memory_budget_bytes ? it.memory_bytes / it.memory_budget_bytes : 0;
    return [
      it.thread, count(it.connections), speed("turns"), speed("events"), speed("messages"),
      {text: percent(busy), kind: "share", share: Math.min(1, busy)},
      upTo(quantile(buckets, .5)), upTo(quantile(buckets, .99)), time(it.turns.max_seconds),
      {text: bytes(it.memory_bytes), kind: "share", share: Math.min(1, memory)},
    ];
  }));
  const turns = merged(threads.map(([it]) => it.turns), threads.map(([, was]) => was?.turns));
  bars("turns", turns, Math.max(0, ...threads.map(([it]) => it.turns.max_seconds)));
}

/* Each upstream, over all threads. Only those of an HTTP proxy have requests. */
function showUpstreams(now, old, per) {
  const names = [...new Set(now.upstreams.map(it => it.upstream))];
  $("upstreams-section").hidden = !names.length;
  const isHttp = now.upstreams.some(it => it.requests);
  const head = ["upstream", "state", "open", "connecting", "connects", "failed",
    ...(isHttp ? ["requests", "active", "failed requests"] : [])];
  table("upstreams", head, names.map(name => {
    const of = sample => (sample?.upstreams || []).filter(it => it.upstream === name);
    const total = (sample, key) => sum(of(sample), it => it[key]);
    const requests = (sample, key) => sum(of(sample), it => it.requests?.[key]);
    const unanswered = requests(now, "failed");
    const states = [...new Set(of(now).map(it => it.state))];
    const avoided = states.some(it => it === "ejected" || it === "down");
    const failed = total(now, "failed");
    return [
      name, {text: states.join(", "), kind: avoided ? "bad" : "good"},
      count(total(now, "open")), count(total(now, "connecting")),
      each(per(total(now, "connected"), total(old, "connected"))),
      {text: count(failed), kind: failed ? "warn" : ""},
      ...(isHttp ? [
        each(per(requests(now, "answered"), requests(old, "answered"))),
        count(requests(now, "active")),
        {text: count(unanswered), kind: unanswered ? "warn" : ""},
      ] : []),
    ];
  }));
}

function showHttp(threads, per) {
  const total = sum(threads, ([it]) => all(it.http.responses));
  $("http-section").hidden = $("times-section").hidden = !total;
  if (!total) return;
  const speed = of => each(sum(threads, ([it, was]) => was ? per(of(it.http), of(was.http)) : 0));
  const classes = Object.keys(threads[0][0].http.responses).map(name => {
    const number = sum(threads, ([it]) => it.http.responses[name]);
    const kind = name === "5xx" && number ? "bad" : "";
    return [name, speed(http => http.responses[name]), count(number), kind];
  });
  list("http", [["all", speed(http => all(http.responses)), count(total)], ...classes]);
  const times = merged(
    threads.map(([it]) => it.http.times), threads.map(([, was]) => was?.http.times));
  bars("times", times, Math.max(0, ...threads.map(([it]) => it.http.times.max_seconds)));
}

function showRest(now) {
  const tls = now.tls || [];
  $("tls-section").hidden = !tls.length;
  table("tls", ["version", "full", "resumed"], ["1.3", "1.2"].map(version => {
    const of = resumed => tls.filter(it => it.version === version && it.resumed === resumed);
    return [version, ...[false, true].map(resumed => count(sum(of(resumed), it => it.count)))];
  }));
  $("checks-section").hidden = !now.checks.length;
  table("checks", ["check", "result"], now.checks.map(it =>
    [it.name, {text: it.passes ? "ok" : it.why, kind: it.passes ? "good" : "bad"}]));
  const at = seconds => new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
  const warnings = now.warnings.toReversed().map(it =>
    [at(it.time), {text: it.level, kind: it.level === "error" ? "bad" : "warn"}, it.text]);
  table("warnings", ["time", "level", "message"], warnings.length ? warnings : [["none", "", ""]]);
}

/* How long to wait after a response other than 200, such as that to too many pages. */
const RETRY_MS = 5000;

function receive(data) {
  const now = JSON.parse(data);
  const old = before?.started === now.started ? before : null;
  // A page that opens gets a sample at once. A rate over so short a time would jump.
  if (old && now.clock - old.clock < .5) return;
  show(now, old);
  before = now;
}

function watch() {
  const events = new EventSource("events");
  events.onmessage = event => receive(event.data);
  events.onerror = () => {
    $("ready").textContent = "no connection";
    $("ready").className = "pill bad";
    // Without a connection, it retries by itself.
    if (events.readyState === EventSource.CLOSED) setTimeout(watch, RETRY_MS);
  };
}

watch();

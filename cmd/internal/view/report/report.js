"use strict";
// The page has a table that is whole without this script, which adds: filter, order, the details
// of a host, the timeline. Data: base, the first time in milliseconds; text, all texts, of which
// those with \u0001 are patterns; hosts, in the order of the plan. A text is a number (which
// text), or a list: which pattern, and its words (texts by number, or as they are).
const data = JSON.parse(document.getElementById("data").textContent);
const say = v => {
  if (v === null || v === undefined) return "";
  if (typeof v === "string") return v;
  if (typeof v === "number") return data.text[v];
  let i = 1;
  return data.text[v[0]].replace(/\u0001/g, () => say(v[i++]));
};
const byId = id => document.getElementById(id);
const el = (tag, properties, ...children) => {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name in e) e[name] = value; else e.setAttribute(name, value);
  }
  e.append(...children.filter(c => c !== null && c !== undefined && c !== ""));
  return e;
};
const two = n => String(n).padStart(2, "0");
const clock = ms => {
  const t = new Date(data.base + ms);
  return two(t.getUTCHours()) + ":" + two(t.getUTCMinutes()) + ":" + two(t.getUTCSeconds()) + "." + String(t.getUTCMilliseconds()).padStart(3, "0");
};
const span = ms => {
  const s = Math.round(ms / 1000);
  if (ms < 10000) return (ms / 1000).toFixed(1) + "s";
  if (s < 60) return s + "s";
  if (s < 3600) return Math.floor(s / 60) + "m" + two(s % 60) + "s";
  return Math.floor(s / 3600) + "h" + two(Math.floor(s % 3600 / 60)) + "m";
};
const classOf = status => status.replace(/ /g, "-");
const mark = status => el("span", {className: "mark " + classOf(status)}, status);

// Commands are copied by a button, or selected where the browser does not let a page copy.
const announce = text => { byId("status").textContent = text; };
const copyButton = code => {
  const b = el("button", {type: "button", className: "copy", "aria-label": "Copy: " + code.textContent}, "Copy");
  b.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      announce("Copied");
    } catch {
      getSelection().selectAllChildren(code);
      announce("Selected; copy it with Ctrl-C");
    }
  });
  return b;
};
const commandList = commands => el("ul", {className: "commands"}, ...commands.map(([why, line]) => {
  const code = el("code", {}, say(line));
  return el("li", {}, say(why) + ": ", code, copyButton(code));
}));
for (const code of document.querySelectorAll("#next code")) code.after(copyButton(code));

const list = (title, items) => items && items.length ? [el("h3", {}, title), el("ul", {}, ...items.map(i => el("li", {}, i)))] : [];
const table = (caption, heads, rows) => el("div", {className: "wide"}, el("table", {}, el("caption", {}, caption),
  el("thead", {}, el("tr", {}, ...heads.map(h => el("th", {scope: "col"}, h)))),
  el("tbody", {}, ...rows.map(cells => el("tr", {}, ...cells.map(c => el("td", {}, c)))))));

const timelineOf = h => [
  ...(h.steps || []).map(([name, status, at, took, attempts]) => ({name: say(name), status, at, took, title: say(name) + ": " + status + ", " + span(took)})),
];
const phasesOf = h => (h.phases || []).map(([at, until, name, evidence], i) => ({at, took: until - at, title: say(name) + " at " + clock(at) + ": " + say(evidence), odd: i % 2}));

// chart draws bars over time: one line per host.
const ns = "http://www.w3.org/2000/svg";
const svg = (tag, attributes, text) => {
  const e = document.createElementNS(ns, tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  if (text) e.textContent = text;
  return e;
};
const chart = (names, hosts, label) => {
  const all = hosts.flatMap(h => timelineOf(h));
  const from = Math.min(...all.map(b => b.at)), to = Math.max(from + 1, ...all.map(b => b.at + b.took));
  if (!all.length) return el("p", {}, "No step began.");
  const left = names ? 170 : 10, width = 900, height = 24, x = ms => left + (ms - from) / (to - from) * width;
  const root = svg("svg", {width: left + width + 60, height: hosts.length * height + 24, role: "img", "aria-label": label});
  const every = [1e3, 5e3, 15e3, 6e4, 3e5, 9e5, 18e5, 36e5, 144e5, 864e5].find(n => (to - from) / n <= 10) || 6048e5;
  for (let t = 0; t <= to - from; t += every) {
    root.append(svg("line", {class: "tick", x1: x(from + t), x2: x(from + t), y1: 18, y2: hosts.length * height + 20}), svg("text", {x: x(from + t) + 2, y: 12}, t ? "+" + span(t).replace(/^(\d+)m00s$/, "$1m") : clock(from).slice(0, 8)));
  }
  hosts.forEach((h, i) => {
    const y = 20 + i * height;
    if (names) root.append(svg("text", {x: 2, y: y + 13}, names[i].length > 24 ? names[i].slice(0, 23) + "…" : names[i]));
    for (const b of timelineOf(h)) {
      const bar = svg("rect", {class: classOf(b.status), x: x(b.at), y: y + 2, height: 11, width: Math.max(2, b.took / (to - from) * width)});
      bar.append(svg("title", {}, b.title));
      root.append(bar);
    }
    for (const b of phasesOf(h)) {
      const bar = svg("rect", {class: "phase" + (b.odd ? " odd" : ""), x: x(b.at), y: y + 14, height: 5, width: Math.max(2, b.took / (to - from) * width)});
      bar.append(svg("title", {}, b.title));
      root.append(bar);
    }
  });
  return el("div", {className: "wide", tabIndex: 0, role: "region", "aria-label": label}, root);
};

// The details of a host, built when they are asked for.
const pretty = text => {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
};
const problem = ([step, summary, detail, next, at, answer]) => {
  const out = [el("p", {}, el("strong", {}, say(step)), ": " + say(summary))];
  if (say(detail)) out.push(el("p", {}, say(detail)));
  if (say(next)) out.push(el("p", {}, el("strong", {}, "Next: "), say(next)));
  if (say(at)) out.push(el("p", {}, "at " + say(at)));
  if (answer) out.push(el("h3", {}, "What the BMC answered (without secrets)"), el("pre", {tabIndex: 0}, say(answer[0]) + "\n" + answer[1] + "\n\n" + pretty(say(answer[2]))));
  return out;
};
const detailsOf = h => [
  (h.about || []).length ? el("p", {}, h.about.map(([what, value]) => what + " " + say(value)).join(" · ")) : "",
  ...(h.problems || []).flatMap(problem),
  ...(h.next ? [el("h3", {}, "Next"), commandList(h.next)] : []),
  ...list("What the proof rests on", (h.evidence || []).map(say)),
  ...list("Not checked", (h.unchecked || []).map(say)),
  ...list("Warnings", (h.warnings || []).map(say)),
  ...(h.steps ? [el("h3", {}, "Steps"), table("Times are UTC.", ["step", "status", "began", "took", "attempts", "remark"],
    h.steps.map(([name, status, at, took, attempts, text]) => [say(name), mark(status), clock(at), status === "not ended" ? "" : span(took), String(attempts || ""), say(text)])),
    chart(null, [h], "Timeline of this host; the table before it has the same times")] : []),
  ...(h.phases ? [table("Phases of the installation", ["phase", "seen at", "by"], h.phases.map(([at, , name, evidence]) => [say(name), clock(at), say(evidence)]))] : []),
  ...(h.changes ? [el("h3", {}, "Changes"), table("What was written to the machine, and what came of it", ["time", "step", "change", "result"], h.changes.map(([at, step, text, fate]) => [clock(at), say(step), say(text), fate]))] : []),
  ...(h.log ? [el("h3", {}, "Log (UTC)"), el("ol", {className: "log", tabIndex: 0}, ...h.log.map(([at, text]) => el("li", {}, el("time", {}, clock(at)), say(text))))] : []),
].filter(Boolean);

const body = byId("rows"), rows = [...body.rows], columns = body.parentElement.tHead.rows[0].cells;
const nameOf = i => rows[i].cells[0].dataset.name;
const toggle = (i, open) => {
  const row = rows[i], button = row.querySelector("th button");
  if ((button.getAttribute("aria-expanded") === "true") === open) return;
  button.setAttribute("aria-expanded", open);
  if (!open) { byId("more" + i).remove(); return; }
  row.after(el("tr", {id: "more" + i, className: "more"}, el("td", {colSpan: columns.length}, el("div", {className: "inner"}, ...detailsOf(data.hosts[i])))));
};
rows.forEach((row, i) => {
  const head = row.cells[0];
  head.dataset.name = head.textContent;
  const button = el("button", {type: "button", "aria-expanded": "false", "aria-controls": "more" + i}, head.textContent);
  button.addEventListener("click", () => { toggle(i, button.getAttribute("aria-expanded") !== "true"); keep(); });
  head.replaceChildren(button);
});

// Filter: all words stand in the row, or in what is known of the machine.
const haystack = rows.map((row, i) => row.textContent.toLowerCase() + " " + (data.hosts[i].about || []).map(([, v]) => say(v)).join(" ").toLowerCase());
const boxes = [...document.querySelectorAll("#standings input")];
const shown = () => rows.map((_, i) => i).filter(i => !rows[i].hidden);
const filter = () => {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = boxes.filter(b => b.checked).map(b => b.value);
  rows.forEach((row, i) => {
    row.hidden = !(words.every(w => haystack[i].includes(w)) && (!wanted.length || wanted.includes(row.dataset.standing)));
    if (row.hidden) toggle(i, false);
  });
  announce(shown().length + " of " + rows.length + " hosts shown");
  if (byId("timeline").open) drawTimeline();
};
const drawTimeline = () => {
  const order = [...body.rows].filter(r => r.dataset.standing && !r.hidden).map(r => rows.indexOf(r));
  byId("chart").replaceChildren(chart(order.map(nameOf), order.map(i => data.hosts[i]), "Timeline of " + order.length + " hosts; unfold a host for its times as a table"));
};
byId("timeline").addEventListener("toggle", () => { if (byId("timeline").open) drawTimeline(); });

// Order: by a column, or as in the plan.
const order = boxes.map(b => b.value);
const keyOf = (row, column) => column === 1 ? order.indexOf(row.dataset.standing) : (row.cells[column].dataset.name || row.cells[column].textContent).trim();
const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, "en", {numeric: true});
const sortBy = column => {
  const now = columns[column].getAttribute("aria-sort"), to = now === "ascending" ? "descending" : now === "descending" ? "" : "ascending";
  for (const c of columns) c.removeAttribute("aria-sort");
  if (to) columns[column].setAttribute("aria-sort", to);
  const sign = to === "descending" ? -1 : 1;
  const sorted = to ? [...rows].sort((a, b) => sign * compare(keyOf(a, column), keyOf(b, column))) : rows;
  for (const row of sorted) {
    body.append(row);
    const more = byId("more" + rows.indexOf(row));
    if (more) body.append(more);
  }
  announce(to ? "Sorted by " + columns[column].textContent + ", " + to : "In the order of the plan");
};
[...columns].forEach((head, column) => {
  const button = el("button", {type: "button"}, head.textContent);
  button.addEventListener("click", () => sortBy(column));
  head.replaceChildren(button);
});

// The state of the page is in its address, so that a link can point at a host.
const keep = () => {
  const state = new URLSearchParams();
  if (byId("filter").value) state.set("filter", byId("filter").value);
  for (const b of boxes) if (b.checked) state.append("standing", b.value);
  rows.forEach((row, i) => { if (row.querySelector("th button").getAttribute("aria-expanded") === "true") state.append("host", nameOf(i)); });
  try { history.replaceState(null, "", "#" + state); } catch { /* a page without an address */ }
};
const change = () => { filter(); keep(); };
byId("filter").addEventListener("input", change);
for (const b of boxes) b.addEventListener("change", change);
const mostUnfolded = 100; // a browser takes seconds for more
byId("unfold").addEventListener("click", () => {
  const all = shown();
  all.slice(0, mostUnfolded).forEach(i => toggle(i, true));
  announce(all.length > mostUnfolded ? "Unfolded the first " + mostUnfolded + " of " + all.length + " hosts; filter to see the others" : "Unfolded " + all.length + " hosts");
  keep();
});
byId("fold").addEventListener("click", () => { rows.forEach((_, i) => toggle(i, false)); keep(); });
addEventListener("keydown", e => {
  if (e.key === "/" && !/^(INPUT|TEXTAREA)$/.test(e.target.tagName)) { e.preventDefault(); byId("filter").focus(); }
});

byId("controls").hidden = byId("hint").hidden = byId("timeline").hidden = false;
const state = new URLSearchParams(location.hash.slice(1));
byId("filter").value = state.get("filter") || "";
for (const b of boxes) b.checked = state.getAll("standing").includes(b.value);
filter();
const open = state.getAll("host");
rows.forEach((_, i) => { if (open.includes(nameOf(i)) && !rows[i].hidden) toggle(i, true); });
if (state.has("timeline")) byId("timeline").open = true;

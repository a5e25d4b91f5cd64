"use strict";
// Shared by all figures. Nothing here makes HTML from text: names of files and classes only become text nodes.

const data = JSON.parse(document.getElementById("data").textContent);
const T = data.steps, N = data.samples;
const $ = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

const line = (x1, y1, x2, y2, kind, more = {}) => svg("line", { x1, y1, x2, y2, class: kind, ...more });
const text = (x, y, content, more = {}) => svg("text", { x, y, ...more }, String(content));
const path = (points, more) => svg("path", { d: "M" + points.map((p) => p.map((v) => v.toFixed(2)).join(",")).join("L"), fill: "none", ...more });

// The digits that Python's f"{x:.{digits}f}" prints: JavaScript rounds exact ties up, Python to even.
function fixed(x, digits) {
  const long = x.toFixed(60);
  const cut = long.length - 60 + digits;
  return /^50*$/.test(long.slice(cut)) && "02468".includes(long.slice(0, cut).replace(".", "").slice(-1))
    ? long.slice(0, cut)
    : x.toFixed(digits);
}

const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

function decode(base64, Kind = Uint8Array) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return Kind === Uint8Array ? bytes : new Kind(bytes.buffer);
}

const scale = (from, to, low, high) => (value) => low + ((value - from) / (to - from || 1)) * (high - low);

// Figures are drawn at their actual width, so that text keeps its size on a phone, and again when the width changes.
const figures = [];
const sizes = new ResizeObserver((entries) => {
  for (const entry of entries) {
    const figure = figures.find((f) => f.node === entry.target);
    const width = Math.floor(entry.contentRect.width);
    if (figure && width && width !== figure.width) { figure.width = width; figure.draw(); }
  }
});

function figure(node, label, paint) {
  const it = { node, width: Math.floor(node.clientWidth) };
  it.draw = () => {
    if (!it.width) return;
    const { height, marks } = paint(it.width);
    node.replaceChildren(svg("svg", { width: it.width, height, viewBox: `0 0 ${it.width} ${height}`, role: "img", "aria-label": typeof label === "function" ? label() : label },
      ...marks));
  };
  figures.push(it);
  sizes.observe(node);
  it.draw();
  return it;
}

// Steps on the x axis: each step is in the middle of its column.
const LEFT = 48, RIGHT = 14;
const stepScale = (width) => scale(0.5, T + 0.5, LEFT, width - RIGHT);

function stepTicks(width) {
  const most = Math.max(2, Math.floor((width - LEFT - RIGHT) / 44));
  const gap = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000].find((g) => T / g <= most) || 2000;
  const ticks = [1];
  for (let t = gap; t <= T; t += gap) if (t - 1 >= gap * 0.75) ticks.push(t);
  return ticks;
}

function stepAxis(width, y, title = "step") {
  const x = stepScale(width);
  return [
    line(LEFT, y, width - RIGHT, y, "axis"),
    ...stepTicks(width).map((t) => text(x(t), y + 16, t, { "text-anchor": "middle", class: "soft" })),
    text(width - RIGHT, y + 32, title, { "text-anchor": "end", class: "soft" }),
  ];
}

function valueAxis(width, ticks, y, format, title = "") {
  return [
    ...ticks.flatMap((v) => [
      line(LEFT, y(v), width - RIGHT, y(v), "grid"),
      text(LEFT - 8, y(v) + 4, format(v), { "text-anchor": "end", class: "soft" }),
    ]),
    title ? text(0, y(ticks[ticks.length - 1]) - 10, title, { class: "soft" }) : null,
  ];
}

function niceTicks(high, count = 4) {
  const raw = high / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const ticks = [];
  for (let i = 0; i * step <= high * 1.0001; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

// Stripes mark errors, so that they are visible without colour.
let patterns = 0;
function stripes() {
  const id = `stripes-${patterns++}`;
  const defs = svg("defs", {}, svg("pattern", { id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { width: 5, height: 5, fill: "var(--orange-soft)" }), svg("rect", { width: 2.2, height: 5, fill: "var(--orange)" })));
  return [defs, `url(#${id})`];
}

// The legend: names of lines with a sample of each, in rows above the plot. Returns the marks and their height.
function legend(entries, width) {
  let x = LEFT, y = 10;
  const marks = entries.flatMap(({ name, color, dash }) => {
    const wide = 34 + name.length * 6.6;
    if (x > LEFT && x + wide > width) { x = LEFT; y += 17; }
    const pair = [line(x, y, x + 22, y, "", { stroke: color, "stroke-width": 2.5, "stroke-dasharray": dash }), text(x + 28, y + 4, name)];
    x += wide + 10;
    return pair;
  });
  return { marks, height: y + 12 };
}

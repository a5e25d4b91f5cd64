// Single recordings: events, evidence and spikes up to the step at which the chosen rule stops.

const shown = data.chosen.map((sample) => ({
  ...sample,
  frames: decode(sample.frames),
  probabilities: decode(sample.probabilities, Uint16Array),
  statistics: sample.statistics.map((s) => decode(s, Float64Array)),
  rasters: sample.rasters.map((raster) => ({ ...raster, bits: decode(raster.bits) })),
}));
const [channels, high, wide] = data.sensor;
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const bit = (bits, i) => (bits[i >> 3] >> (7 - (i & 7))) & 1;
const view = { sample: 0, step: 1, playing: null };

const sample = () => shown[view.sample];
const stopOf = (s) => now.step[s.index];
const answerOf = (s) => now.answer[s.index];

$("polarity-key").append(...(channels > 1
  ? [element("span", { class: "key full" }, "brighter"), " ", element("span", { class: "key hollow" }, "darker"), "; older events fade."]
  : [element("span", { class: "key full" }, "an event"), "; older ones fade."]));
if (data.pooled > 1) $("polarity-key").append(` Shown at 1/${data.pooled} of the resolution.`);

// The list: groups by the reason for showing a recording. The text beside each is for the current rule.
const entries = [];
let group = null;
shown.forEach((s, index) => {
  if (s.group !== group) { group = s.group; $("sample-list").append(element("h3", {}, group)); }
  const mark = element("span", { class: "mark" }), step = element("span"), name = element("span", { class: "name", title: s.id });
  const button = element("button", { type: "button" }, mark, name, step);
  button.addEventListener("click", () => { pause(); view.sample = index; view.step = Math.min(stopOf(s), T); refresh(); });
  $("sample-list").append(button);
  entries.push({ s, button, mark, name, step });
});

function refreshList() {
  entries.forEach(({ s, button, mark, name, step }, index) => {
    const right = answerOf(s) === labels[s.index];
    button.setAttribute("aria-pressed", index === view.sample);
    mark.textContent = right ? "✓" : "✗";
    name.textContent = right ? data.classes[labels[s.index]] : `${data.classes[labels[s.index]]} → ${data.classes[answerOf(s)]}`;
    step.textContent = `step ${stopOf(s)}`;
    button.setAttribute("aria-label", `${s.id}: ${data.classes[labels[s.index]]}, predicted ${data.classes[answerOf(s)]} at step ${stopOf(s)}, ${right ? "correct" : "wrong"}`);
  });
}

function verdict() {
  const s = sample(), stop = stopOf(s), answer = answerOf(s), right = answer === labels[s.index];
  const node = $("sample-verdict");
  node.replaceChildren(element("b", {}, `${right ? "✓" : "✗"} ${data.classes[labels[s.index]]}${right ? "" : ` predicted as ${data.classes[answer]}`}`),
    ` at step ${stop} of ${T}${data.step_ms ? `, ${Number((stop * data.step_ms).toPrecision(4))} ms into the recording` : ""}. `);
  const final = answers[s.index * T + T - 1];
  if (stop < T) node.append(final === answer ? "All steps give the same prediction." : `All ${T} steps predict ${data.classes[final]}.`);
  else node.append("The rule does not stop before T.");
  node.append(element("br"), element("small", {}, s.id));
}

function drawEvents() {
  const canvas = $("events"), side = Math.floor(canvas.clientWidth), ratio = devicePixelRatio || 1;
  if (!side) return;
  canvas.width = canvas.height = side * ratio;
  const c = canvas.getContext("2d");
  c.scale(ratio, ratio);
  const cell = side / Math.max(high, wide), ox = (side - cell * wide) / 2, oy = (side - cell * high) / 2;
  const { frames } = sample(), size = channels * high * wide;
  for (let age = calm.matches ? 0 : 3; age >= 0; age--) {
    const t = view.step - 1 - age;
    if (t < 0) continue;
    c.globalAlpha = [1, 0.4, 0.18, 0.08][age];
    for (let y = 0; y < high; y++) for (let x = 0; x < wide; x++) {
      if (bit(frames, t * size + y * wide + x)) { // first channel: OFF, or all events where polarities are merged
        if (channels > 1) { c.strokeStyle = colour("--orange"); c.lineWidth = Math.max(1, cell * 0.16); c.strokeRect(ox + (x + 0.25) * cell, oy + (y + 0.25) * cell, cell * 0.5, cell * 0.5); }
        else { c.fillStyle = colour("--blue"); c.fillRect(ox + (x + 0.08) * cell, oy + (y + 0.08) * cell, cell * 0.84, cell * 0.84); }
      }
      if (channels > 1 && bit(frames, t * size + (high + y) * wide + x)) { c.fillStyle = colour("--blue"); c.fillRect(ox + (x + 0.08) * cell, oy + (y + 0.08) * cell, cell * 0.84, cell * 0.84); }
    }
  }
}

const probabilityFigure = shown.length && figure($("probabilities"), () => `Class probabilities at step ${view.step}`, (width) => {
  const s = sample(), at = Array.from({ length: K }, (_, k) => ({ k, p: s.probabilities[(view.step - 1) * K + k] / 65535 }));
  const most = 12, list = K <= most ? at : [...at].sort((a, b) => b.p - a.p).slice(0, most);
  const row = 24, left = Math.min(120, 30 + Math.max(...list.map(({ k }) => Math.min(data.classes[k].length, 13))) * 7), x = scale(0, 1, left, width - 58);
  const answer = answers[s.index * T + view.step - 1];
  return { height: list.length * row + 4, marks: list.flatMap(({ k, p }, i) => [
    text(left - 8, i * row + 16, `${k === labels[s.index] ? "● " : ""}${short(data.classes[k], 13)}`, { "text-anchor": "end", "font-weight": k === answer ? 700 : 400 }),
    svg("rect", { x: left, y: i * row + 5, width: Math.max(1, x(p) - left), height: row - 9, rx: 2, fill: k === answer ? "var(--blue)" : "var(--muted)", "fill-opacity": k === answer ? 1 : 0.5 }),
    text(width, i * row + 16, percent(p), { "text-anchor": "end", class: "soft" }),
  ]) };
});

const hatch = (from, to, y, height, fill) => (to > from ? svg("rect", { x: from, y, width: to - from, height, fill }) : null);

function restPattern() {
  const id = `stripes-${patterns++}`;
  return [svg("defs", {}, svg("pattern", { id, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("rect", { width: 1.5, height: 7, fill: "var(--line)" }))), `url(#${id})`];
}

const riseFigure = shown.length && figure($("rise"), () => `${current().title} of this recording, step by step`, (width) => {
  const s = sample(), values = s.statistics[state.rule], limit = Number(threshold()), stop = stopOf(s);
  const finite = [...values].filter(Number.isFinite);
  const height = 220, bottom = height - 40, x = stepScale(width);
  // Shares on the scale of the curve above, which separates 0.99 and 0.999; other statistics on a linear scale from 0.
  const share = current().share, nearOne = (v) => -Math.log10(Math.max(1 - Math.max(v, 0), 1e-6));
  const top = share ? Math.max(nearOne(limit), ...finite.map(nearOne)) + 0.15 : Math.max(limit, ...finite) * 1.06 || 1;
  const place = scale(share ? 0 : Math.min(0, ...finite), top, bottom, 14), y = (v) => place(share ? nearOne(v) : v);
  const ticks = share ? [0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 1].filter((v) => nearOne(v) <= top) : niceTicks(top, 4).filter((v) => v <= top);
  const [defs, rest] = restPattern(), half = (x(2) - x(1)) / 2;
  const until = Math.min(view.step, T);
  const drawn = [...values].map((v, t) => [x(t + 1), Number.isFinite(v) ? y(v) : place(top)]);
  return { height, marks: [
    defs,
    ...valueAxis(width, ticks, y, (v) => v),
    hatch(x(stop) + half, width - RIGHT, 14, bottom - 14, rest),
    line(LEFT, y(limit), width - RIGHT, y(limit), "", { stroke: "var(--ink)", "stroke-dasharray": "6 4" }),
    ...stepAxis(width, bottom),
    path(drawn, { stroke: "var(--muted)", "stroke-width": 1, "stroke-opacity": 0.6 }),
    path(drawn.slice(0, until), { stroke: "var(--blue)", "stroke-width": 2.5 }),
    line(x(view.step), 10, x(view.step), bottom, "", { stroke: "var(--ink)" }),
    until >= stop ? diamond(x(stop), drawn[stop - 1][1], 7, { fill: "var(--ink)", stroke: "var(--paper)", "stroke-width": 1.5 }) : svg("circle", { cx: x(until), cy: drawn[until - 1][1], r: 4.5, fill: "var(--blue)" }),
    text(x(stop) + (stop > T * 0.75 ? -12 : 12), bottom - 10, `stops at step ${stop}`, { class: "halo", "font-weight": 600, "text-anchor": stop > T * 0.75 ? "end" : "start" }),
  ] };
});

const rasterFigure = shown.length && figure($("rasters"), "Spikes of each layer", (width) => {
  const s = sample(), stop = stopOf(s), x = stepScale(width), half = (x(2) - x(1)) / 2, [defs, rest] = restPattern();
  const marks = [defs];
  let top = 4;
  s.rasters.forEach((raster, layer) => {
    const named = raster.classes && raster.rows <= 12;
    const row = named ? 15 : Math.max(1.2, Math.min(5, 160 / raster.rows)), tall = raster.rows * row;
    marks.push(text(LEFT, top + 10, raster.title, { class: "soft" }));
    top += 18;
    marks.push(hatch(x(stop) + half, width - RIGHT, top, tall, rest));
    let d = "";
    for (let n = 0; n < raster.rows; n++) for (let t = 0; t < T; t++) {
      if (bit(raster.bits, n * T + t)) d += `M${(x(t + 1) - half * 0.7).toFixed(1)},${(top + (n + 0.5) * row).toFixed(1)}h${(half * 1.4).toFixed(1)}`;
    }
    marks.push(svg("path", { d, stroke: COLORS[layer % 4], "stroke-width": Math.max(1, Math.min(row * 0.75, 5)), fill: "none" }));
    if (named) for (let n = 0; n < raster.rows; n++) marks.push(text(LEFT - 8, top + (n + 0.5) * row + 4, short(data.classes[n] ?? String(n), 5), { "text-anchor": "end", "font-weight": n === labels[s.index] ? 700 : 400 }));
    marks.push(svg("rect", { x: LEFT, y: top, width: width - RIGHT - LEFT, height: tall, fill: "none", class: "axis" }));
    top += tall + 12;
  });
  marks.push(line(x(view.step), 18, x(view.step), top - 12, "", { stroke: "var(--ink)" }), ...stepAxis(width, top - 6));
  return { height: top + 30, marks };
});

function refresh() {
  const s = sample();
  $("scrub").value = view.step;
  $("scrub").setAttribute("aria-valuetext", `step ${view.step} of ${T}`);
  $("step-text").textContent = `step ${view.step} of ${T}`;
  $("play").textContent = view.playing ? "Pause" : calm.matches ? "To the decision" : "Play";
  $("sample-statistic").textContent = current().of;
  $("events").setAttribute("aria-label", `Events of ${s.id} at step ${view.step}`);
  verdict();
  refreshList();
  drawEvents();
  [probabilityFigure, riseFigure, rasterFigure].forEach((f) => f.draw());
}

function pause() {
  if (view.playing) cancelAnimationFrame(view.playing);
  view.playing = null;
}

// Plays from the start or the current step to the decision; with reduced motion, at once.
function play() {
  if (view.playing) { pause(); refresh(); return; }
  const stop = stopOf(sample());
  if (calm.matches) { view.step = stop; refresh(); return; }
  if (view.step >= stop) view.step = 1;
  const each = Math.min(260, Math.max(45, 3500 / T));
  let last = null;
  const tick = (time) => {
    last ??= time;
    if (time - last >= each) { last = time; view.step++; }
    view.playing = view.step < stop ? requestAnimationFrame(tick) : null;
    if (last === time) refresh();
  };
  view.playing = requestAnimationFrame(tick);
  refresh();
}

if (shown.length) {
  $("scrub").max = T;
  $("scrub").addEventListener("input", (event) => { pause(); view.step = Number(event.target.value); refresh(); });
  $("play").addEventListener("click", play);
  new ResizeObserver(drawEvents).observe($("events"));
  calm.addEventListener("change", () => { pause(); refresh(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawEvents);
  view.step = stopOf(sample());
  listeners.push(() => { pause(); view.step = stopOf(sample()); refresh(); });
} else {
  $("samples").hidden = true;
}
update();

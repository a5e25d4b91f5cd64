// The cutoff explorer. A rule reaches threshold k at a step where more than k of its thresholds are reached; the counts
// come from the rule itself, so that decisions here equal those of `aoi evaluate`.

const labels = decode(data.labels, Uint16Array);
const answers = decode(data.answers, data.answers_wide ? Uint16Array : Uint8Array);
const rules = data.rules.map((rule) => ({ ...rule, reached: decode(rule.reached) }));
const K = data.classes.length;
const state = { rule: data.start.rule, position: data.start.position };
const listeners = [];

function decideAll({ rule, position }) {
  const { reached } = rules[rule];
  const step = new Uint16Array(N), answer = new Uint16Array(N);
  let right = 0, total = 0;
  for (let n = 0; n < N; n++) {
    let t = 0;
    while (t < T - 1 && reached[n * T + t] <= position) t++;
    step[n] = t + 1;
    answer[n] = answers[n * T + t];
    right += answer[n] === labels[n];
    total += t + 1;
  }
  return { step, answer, accuracy: right / N, mean: total / N };
}

const full = data.accuracy_at[T - 1], best = Math.max(...data.accuracy_at);
const home = !data.calibrated ? null : { ...data.start, ...decideAll(data.start) };
let now = decideAll(state);

const current = () => rules[state.rule];
const threshold = () => current().thresholds[state.position];

function show(id, value, digits) {
  $(id).textContent = fixed(value, digits);
  $(id).dataset.value = String(value);
}

function update() {
  now = decideAll(state);
  const slider = $("threshold");
  slider.max = current().thresholds.length - 1;
  slider.value = state.position;
  slider.setAttribute("aria-valuetext", threshold());
  $("threshold-text").textContent = threshold();
  $("statistic-name").textContent = current().of;
  document.querySelectorAll("#rules input").forEach((input) => { input.checked = Number(input.value) === state.rule; });
  show("x-accuracy", now.accuracy, 4);
  show("x-drop", full - now.accuracy, 4);
  show("x-peak", best - now.accuracy, 4);
  show("x-step", now.mean, 2);
  show("x-speedup", T / now.mean, 2);
  $("command").textContent = `${data.command[0]}${current().name}:${threshold()}${data.command[1]}`;
  $("reset").disabled = state.rule === data.start.rule && state.position === data.start.position;
  listeners.forEach((listener) => listener());
}

function choose(rule, position) {
  state.rule = rule;
  state.position = position;
  update();
}

// A newly chosen rule starts where it takes about as many steps as the previous one, so that accuracies compare.
function nearest(rule, mean) {
  let at = 0;
  rules[rule].curve.forEach(([steps], i) => { if (Math.abs(steps - mean) < Math.abs(rules[rule].curve[at][0] - mean)) at = i; });
  return at;
}

rules.forEach((rule, index) => {
  const input = element("input", { type: "radio", name: "rule", value: index });
  input.addEventListener("change", () => choose(index, nearest(index, now.mean)));
  $("rules").append(element("label", {}, input, element("span", {}, rule.title)));
});
$("threshold").addEventListener("input", (event) => choose(state.rule, Number(event.target.value)));
$("reset").addEventListener("click", () => { choose(data.start.rule, data.start.position); $("threshold").focus(); });
if (!data.calibrated) $("reset").textContent = "back to all steps";

// The accuracy axis is logarithmic in the error: 98 to 99 % is as long as 80 to 90 %.
const floor = 0.5 / N;
const stretch = (accuracy) => -Math.log10(Math.max(1 - accuracy, floor));
const MARKS = [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1];

const diamond = (x, y, r, more) => svg("path", { d: `M${x},${y - r}L${x + r},${y}L${x},${y + r}L${x - r},${y}Z`, ...more });

const curveFigure = figure($("curve"), () => `Accuracy ${fixed(now.accuracy, 4)} after ${fixed(now.mean, 2)} of ${T} steps on average`, (width) => {
  const height = 360, bottom = height - 40;
  const x = stepScale(width);
  const highest = Math.max(...data.intervals.map((i) => i[1]), ...rules[state.rule].curve.map((p) => p[1]));
  const lowest = Math.min(...data.accuracy_at, ...rules[state.rule].curve.map((p) => p[1]));
  const from = lowest > 0.9 ? 0.8 : lowest > 0.5 ? 0.5 : 0;
  const y = scale(stretch(from), stretch(highest) + 0.08, bottom, 14);
  const at = (accuracy) => y(stretch(accuracy));
  const ticks = MARKS.filter((m) => m >= from && m <= highest && (m < 1 || highest === 1) && (m === 1 || 1 - m > floor * 1.2));
  const band = [...data.intervals.map((i, t) => [x(t + 1), at(Math.max(i[1], from))]), ...data.intervals.map((i, t) => [x(t + 1), at(Math.max(i[0], from))]).reverse()];
  const px = x(now.mean), py = at(now.accuracy);
  const rightSide = px > width * 0.55;
  return { height, marks: [
    ...valueAxis(width, ticks, (v) => at(v), (v) => `${Number((100 * v).toPrecision(4))} %`),
    ...stepAxis(width, bottom, "mean decision step"),
    svg("path", { d: "M" + band.map((p) => p.map((v) => v.toFixed(1)).join(",")).join("L") + "Z", fill: "var(--blue-soft)" }),
    path(data.accuracy_at.map((a, t) => [x(t + 1), at(a)]), { stroke: "var(--blue)", "stroke-width": 2 }),
    ...data.accuracy_at.map((a, t) => svg("circle", { cx: x(t + 1), cy: at(a), r: T > 60 ? 0 : 2, fill: "var(--blue)" })),
    path(current().curve.map(([s, a]) => [x(s), at(a)]), { stroke: "var(--green)", "stroke-width": 2.5, "stroke-linejoin": "round", "stroke-dasharray": "7 2" }),
    line(px, py, px, bottom, "", { stroke: "var(--ink)", "stroke-dasharray": "2 3" }),
    line(LEFT, py, px, py, "", { stroke: "var(--ink)", "stroke-dasharray": "2 3" }),
    home ? diamond(x(home.mean), at(home.accuracy), 7, { fill: "var(--paper)", stroke: "var(--ink)", "stroke-width": 1.75 }) : null,
    diamond(px, py, 8, { fill: "var(--ink)", stroke: "var(--paper)", "stroke-width": 1.5, id: "operating-point" }),
    text(px + (rightSide ? -8 : 8), bottom - 12, `${fixed(now.accuracy, 4)} after ${fixed(now.mean, 2)} steps`, { class: "halo", "font-weight": 600, "text-anchor": rightSide ? "end" : "start" }),
  ] };
});

const histogramFigure = figure($("histogram"), () => "Histogram of decision steps", (width) => {
  const height = 220, bottom = height - 40;
  const right = new Array(T).fill(0), wrong = new Array(T).fill(0);
  for (let n = 0; n < N; n++) (now.answer[n] === labels[n] ? right : wrong)[now.step[n] - 1]++;
  const sorted = [...now.step].sort((a, b) => a - b), by = (share) => sorted[Math.max(0, Math.ceil(share * N) - 1)];
  $("histogram-note").textContent = `Half are decided by step ${by(0.5)}, 95 % by step ${by(0.95)}.`;
  const most = Math.max(...right.map((count, t) => count + wrong[t]));
  const x = stepScale(width), y = scale(0, most, bottom, 16);
  const [defs, fill] = stripes();
  const wide = Math.max(1, (x(2) - x(1)) * 0.8);
  const bar = (t, from, to, verdict, more) => (to > from
    ? svg("rect", { x: x(t + 1) - wide / 2, y: y(to), width: wide, height: y(from) - y(to), ...more }, svg("title", {}, `step ${t + 1}: ${to - from} ${verdict}`))
    : null);
  const bars = right.flatMap((count, t) => [
    bar(t, 0, count, "correct", { fill: "var(--blue)" }),
    bar(t, count, count + wrong[t], "wrong", { fill, stroke: "var(--orange)" }),
  ]);
  const mx = x(now.mean);
  return { height, marks: [
    defs,
    ...valueAxis(width, niceTicks(most, 4), y, (v) => v),
    ...bars,
    ...stepAxis(width, bottom, "decision step"),
    line(mx, 12, mx, bottom, "", { stroke: "var(--ink)", "stroke-dasharray": "2 3" }),
    text(mx + (mx > width * 0.7 ? -6 : 6), 14, `mean ${fixed(now.mean, 2)}`, { class: "halo", "text-anchor": mx > width * 0.7 ? "end" : "start" }),
  ] };
});

const short = (name, most) => (name.length > most ? name.slice(0, most - 1) + "…" : name);

const confusionFigure = figure($("confusion"), () => "Confusion matrix", (width) => {
  const counts = new Map(), of = new Array(K).fill(0);
  let worst = 1;
  for (let n = 0; n < N; n++) {
    const key = labels[n] * K + now.answer[n];
    counts.set(key, (counts.get(key) || 0) + 1);
    of[labels[n]]++;
  }
  for (const [key, count] of counts) if (Math.floor(key / K) !== key % K) worst = Math.max(worst, count);
  const longest = Math.max(...data.classes.map((name) => Math.min(name.length, 12)));
  const left = Math.min(110, 24 + longest * 7), top = 22;
  const cell = Math.max(3, Math.min(36, (width - left - 4) / K)), written = cell >= 19;
  const marks = [text(left, 12, "prediction →", { class: "soft" }), text(0, top + 12, "true", { class: "soft" })];
  const base = top + (written ? 18 : 4);
  const every = Math.ceil(14 / cell);
  data.classes.forEach((name, k) => {
    if (k % every === 0) marks.push(text(left - 6, base + (k + 0.5) * cell + 4, short(name, 12), { "text-anchor": "end" }));
    if (written && longest <= 2) marks.push(text(left + (k + 0.5) * cell, base - 5, name, { "text-anchor": "middle" }));
  });
  marks.push(svg("rect", { x: left, y: base, width: K * cell, height: K * cell, fill: "none", class: "axis" }));
  const [defs, fill] = stripes();
  marks.push(defs);
  for (const [key, count] of counts) {
    const row = Math.floor(key / K), column = key % K, hit = row === column;
    const share = hit ? count / of[row] : Math.sqrt(count / worst);
    const box = { x: left + column * cell + 0.5, y: base + row * cell + 0.5, width: cell - 1, height: cell - 1, rx: 2 };
    marks.push(svg("rect", { ...box, fill: hit ? "var(--blue)" : fill, "fill-opacity": hit ? 0.12 + 0.3 * share * share : 1, stroke: hit ? "none" : "var(--orange)" },
      svg("title", {}, `${data.classes[row]} predicted as ${data.classes[column]}: ${count}`)));
    if (written) marks.push(text(left + (column + 0.5) * cell, base + (row + 0.5) * cell + 4, count, { "text-anchor": "middle", class: hit ? "" : "halo", "font-weight": hit ? 400 : 700 }));
  }
  return { height: base + K * cell + 6, marks };
});

const classesFigure = figure($("classes"), "Decision steps of each class", (width) => {
  const groups = Array.from({ length: K }, () => ({ steps: [], right: 0 }));
  for (let n = 0; n < N; n++) {
    groups[labels[n]].steps.push(now.step[n]);
    groups[labels[n]].right += now.answer[n] === labels[n];
  }
  const shown = groups.map((group, k) => ({ ...group, k })).filter((group) => group.steps.length);
  const row = K > 30 ? 16 : 21, note = 56, longest = Math.max(...data.classes.map((name) => Math.min(name.length, 12)));
  const left = Math.max(LEFT, Math.min(110, 16 + longest * 7)), height = shown.length * row + 44, bottom = shown.length * row + 6;
  const x = scale(0.5, T + 0.5, left, width - note);
  const marks = [line(left, bottom, width - note, bottom, "axis"), text(width - note, bottom + 32, "decision step", { "text-anchor": "end", class: "soft" })];
  for (const t of stepTicks(width - note)) marks.push(line(x(t), 4, x(t), bottom, "grid"), text(x(t), bottom + 16, t, { "text-anchor": "middle", class: "soft" }));
  shown.forEach(({ k, steps, right }, i) => {
    steps.sort((a, b) => a - b);
    const mean = steps.reduce((a, b) => a + b, 0) / steps.length;
    const quantile = (q) => steps[Math.max(0, Math.ceil(q * steps.length) - 1)];
    const y = 6 + (i + 0.5) * row;
    marks.push(
      text(left - 8, y + 4, short(data.classes[k], 12), { "text-anchor": "end" }),
      line(x(quantile(0.1)), y, x(quantile(0.9)), y, "", { stroke: "var(--blue)", "stroke-width": 6, "stroke-opacity": 0.35, "stroke-linecap": "round" }),
      svg("circle", { cx: x(mean), cy: y, r: 4.5, fill: "var(--blue)" }, svg("title", {}, `${data.classes[k]}: mean step ${fixed(mean, 2)}, ${right} of ${steps.length} correct`)),
      text(width, y + 4, percent(right / steps.length), { "text-anchor": "end", class: "soft" }),
    );
  });
  return { height, marks };
});

listeners.push(() => [curveFigure, histogramFigure, confusionFigure, classesFigure].forEach((f) => f.draw()));

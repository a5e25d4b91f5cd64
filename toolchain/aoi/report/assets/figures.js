// Figures that do not depend on the explorer: reliability, activity of the layers, training.

data.reliability.forEach((diagram) => {
  const node = element("div", { class: "plot" });
  $("reliability").append(element("figure", {}, element("figcaption", {}, element("b", {}, diagram.title), ` error ${diagram.error.toFixed(3)}`), node));
  figure(node, `Reliability ${diagram.title}: calibration error ${diagram.error.toFixed(3)}`, (width) => {
    const side = Math.min(width - 44, 230), left = 34, bottom = side + 6;
    const x = scale(0, 1, left, left + side), y = scale(0, 1, bottom, 6);
    const most = Math.max(...diagram.bins.map((bin) => bin.count));
    return { height: bottom + 34, marks: [
      ...[0, 0.5, 1].flatMap((v) => [
        line(x(0), y(v), x(1), y(v), "grid"), line(x(v), y(0), x(v), y(1), "grid"),
        text(left - 6, y(v) + 4, v, { "text-anchor": "end", class: "soft" }), text(x(v), bottom + 15, v, { "text-anchor": "middle", class: "soft" }),
      ]),
      line(x(0), y(0), x(1), y(1), "", { stroke: "var(--muted)", "stroke-dasharray": "4 3" }),
      ...diagram.bins.flatMap((bin) => [
        line(x(bin.confidence), y(bin.confidence), x(bin.confidence), y(bin.accuracy), "", { stroke: "var(--orange)", "stroke-width": 2 }),
        svg("circle", { cx: x(bin.confidence), cy: y(bin.accuracy), r: 2.5 + 7 * Math.sqrt(bin.count / most), fill: "var(--blue)", "fill-opacity": 0.75, stroke: "var(--paper)" },
          svg("title", {}, `${bin.count} recordings: confidence ${bin.confidence.toFixed(3)}, accuracy ${bin.accuracy.toFixed(3)}`)),
      ]),
      text(left + side, bottom + 30, "confidence", { "text-anchor": "end", class: "soft" }),
      text(left + 5, 18, "accuracy", { class: "soft halo" }),
    ] };
  });
});

const COLORS = ["var(--blue)", "var(--green)", "var(--orange)", "var(--ink)", "var(--muted)"], DASHES = ["", "7 3", "2 3", "10 3 2 3", "4 2"];

// Lines over steps.
function stepLines(id, label, series, { top = null, reference = null } = {}) {
  figure($(id), label, (width) => {
    const names = legend(series.length > 1 || reference ? [...styled(series), ...(reference ? [{ name: reference.label, color: "var(--muted)", dash: "4 3" }] : [])] : [], width);
    const height = 190 + names.height, bottom = height - 40;
    const high = top ?? (Math.max(...series.flatMap((s) => s.values)) * 1.05 || 1);
    const ticks = niceTicks(high), x = stepScale(width), y = scale(0, Math.max(high, ticks[ticks.length - 1]), bottom, names.height + 4);
    return { height, marks: [
      ...names.marks,
      ...valueAxis(width, ticks, y, (v) => v),
      ...stepAxis(width, bottom),
      reference ? line(LEFT, y(reference.value), width - RIGHT, y(reference.value), "", { stroke: "var(--muted)", "stroke-dasharray": "4 3" }) : null,
      ...styled(series).map((s) => path(s.values.map((v, t) => [x(t + 1), y(v)]), { stroke: s.color, "stroke-width": 2, "stroke-dasharray": s.dash })),
    ] };
  });
}

const styled = (series) => series.map((s, i) => ({ ...s, color: COLORS[i % 5], dash: DASHES[i % 5] }));

stepLines("ece", "Calibration error at each step", [{ name: "", values: data.ece_at }]);
const factors = data.layers.filter((layer) => layer.stf);
if (factors.length) {
  stepLines("stf", "Spatial-Temporal Factor of each layer at each step", factors.map((l) => ({ name: l.name, values: l.stf })),
    { top: 1, reference: data.stf_target === null ? null : { value: data.stf_target, label: `target in training: ${data.stf_target}` } });
}
stepLines("rate", "Spikes per neuron at each step", data.layers.map((l) => ({ name: l.name, values: l.rate })));

if (data.training) {
  const { epochs, series } = data.training;
  figure($("training"), "Training", (width) => {
    const names = legend(styled(series), width);
    const height = 190 + names.height, bottom = height - 40, x = scale(1, epochs, LEFT, width - RIGHT), y = scale(0, 1, bottom, names.height + 4);
    const ticks = niceTicks(epochs, width < 500 ? 4 : 8).filter((e) => e >= 1 && e <= epochs);
    return { height, marks: [
      ...names.marks,
      ...valueAxis(width, [0, 0.25, 0.5, 0.75, 1], y, (v) => v),
      line(LEFT, bottom, width - RIGHT, bottom, "axis"),
      ...ticks.map((e) => text(x(e), bottom + 16, e, { "text-anchor": "middle", class: "soft" })),
      text(width - RIGHT, bottom + 32, "epoch", { "text-anchor": "end", class: "soft" }),
      ...styled(series).map((s) => path(s.values.map((v, e) => [x(e + 1), y(v)]), { stroke: s.color, "stroke-width": 2, "stroke-dasharray": s.dash })),
    ] };
  });
}

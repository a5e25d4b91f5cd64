"""The data that the page's script draws, as JSON with arrays in base64."""

from __future__ import annotations

from typing import Any

import numpy as np

from aoi.engine import Engine
from aoi.report import chosen
from aoi.report.activity import activity
from aoi.report.explorer import answers, base64, explorer
from aoi.report.subject import Subject


def payload(subject: Subject) -> dict[str, Any]:
    """All data of the page, for JSON."""
    summary, scores, labels = subject.summary, subject.run.scores, subject.data.labels
    metadata = subject.network.metadata
    encoding = metadata.encoding if metadata else None
    answer = answers(scores)
    rules = explorer(subject.rules, scores, labels)
    start = {"rule": 0, "position": rules[0]["start"]}
    if subject.file_rule is None:  # the last rule, fixed, at T
        start = {"rule": len(rules) - 1, "position": len(rules[-1]["thresholds"]) - 1}
    return {
        "samples": summary["samples"],
        "steps": summary["steps"],
        "step_ms": encoding.window_us / encoding.bins / 1000 if encoding else None,
        "classes": subject.classes,
        "labels": base64(labels.astype(np.uint16)),
        "answers": base64(answer),
        "answers_wide": answer.dtype.itemsize == 2,
        "accuracy_at": summary["accuracy_at"],
        "intervals": summary["intervals"]["accuracy_at"],
        "rules": rules,
        "calibrated": subject.file_rule is not None,
        "start": start,
        "command": subject.command,
        "reliability": _reliability(subject),
        "ece_at": summary["ece_at"],
        "layers": _layers(subject),
        "stf_target": _stf_target(subject.config),
        "training": training_series(subject.log),
        "chosen": _chosen(subject),
        "sensor": chosen.sensor(subject.data.shape),
        "pooled": chosen.pooling(subject.data.shape),
    }


def training_series(log: dict[str, list[float]]) -> dict[str, Any] | None:
    """The columns of a training log that are shares, with their titles on the page; None if there are none."""
    names = {"val_accuracy": "accuracy at T", "val_accuracy_over_time": "accuracy, mean over steps"}
    names |= {name: f"STF of hidden layer {name[9:]}" for name in log if name.startswith("stf_layer")}
    series = [
        {"name": title, "values": log[name]}
        for name, title in names.items()
        if len(log.get(name, ())) > 1 and all(0 <= value <= 1 for value in log[name])
    ]
    return {"epochs": len(series[0]["values"]), "series": series} if series else None


def _reliability(subject: Subject) -> list[dict[str, Any]]:
    """Diagrams at the decision, then at an early, a middle and the last step."""
    summary, steps = subject.summary, subject.summary["steps"]
    shown = sorted({max(1, round(steps / 12)), max(1, round(steps / 4)), steps})
    diagrams = [(f"At step {t}", summary["reliability_at"][t - 1], summary["ece_at"][t - 1]) for t in shown]
    if subject.file_rule:
        diagrams.insert(0, ("Where runs stop", summary["reliability"], summary["ece"]))
    return [{"title": title, "error": error, "bins": _bins(diagram)} for title, diagram, error in diagrams]


def _bins(diagram: dict[str, list[float]]) -> list[dict[str, float]]:
    names = ("count", "confidence", "accuracy")
    bins = zip(*(diagram[name] for name in names), strict=True)
    return [dict(zip(names, values, strict=True)) for values in bins if values[0]]


def _layers(subject: Subject) -> list[dict[str, Any]]:
    layers = activity(subject.network.description, subject.run, len(subject.data), subject.batch, subject.readout)
    return [
        {"name": title, "rate": layer.rate.tolist(), "stf": None if layer.stf is None else layer.stf.tolist()}
        for title, layer, shown in zip(subject.titles, layers, subject.layers, strict=True)
        if shown.neuron.fires
    ]


def _stf_target(config: Any) -> float | None:
    """The target of the Spatial-Temporal Factor in training, from the file's configuration."""
    for key in ("training", "regulariser"):
        config = config.get(key) if isinstance(config, dict) else None
    if not isinstance(config, dict) or config.get("name") != "str":
        return None
    target = config.get("target")
    return float(target) if isinstance(target, int | float) and 0 <= target <= 1 else None


def _chosen(subject: Subject) -> list[dict[str, Any]]:
    shape, scores = subject.data.shape, subject.run.scores
    most = chosen.max_recordings(shape, len(subject.layers), len(subject.rules), scores.shape[1])
    picked = chosen.choose(subject.decisions, subject.data.labels, most)
    engine = Engine(subject.network.description)
    result = []
    for index, group in picked:
        at = np.array([index])
        traces = engine.run(subject.batch(at), readout=subject.readout, return_traces=True).traces
        spikes = [
            (title, trace.s[0])
            for title, layer, trace in zip(subject.titles, subject.layers, traces, strict=True)
            if layer.neuron.fires
        ]
        events = subject.data.batch(at)[0]
        result.append(chosen.entry(index, group, subject.data.ids[index], events, spikes, scores[index], subject.rules))
    return result

"""The tables of the page: cost of a recording, network, boards, provenance."""

from __future__ import annotations

from html import escape
from json import dumps
from math import prod
from typing import Any

import numpy as np

from aoi.events.recording import set_fingerprint
from aoi.netx.description import Cuba, Input, Layer
from aoi.report.html import Html, facts, table
from aoi.report.payload import training_series
from aoi.report.prose import promise
from aoi.report.subject import Subject


def tables(subject: Subject) -> dict[str, str]:
    """Placeholder in the template → markup."""
    return {
        "work": _cost(subject),
        "training": _training(subject),
        "network": _network(subject),
        "boards": _boards(subject),
        "provenance": _provenance(subject),
    }


def _cost(subject: Subject) -> Html:
    summary = subject.summary
    columns = ["layer", "spikes, all steps", "operations, all steps"]
    sources = [("spikes", "layers_full"), ("operations", "layers_full")]
    if subject.file_rule:
        columns = [
            "layer",
            "spikes until the decision",
            "in all steps",
            "operations until the decision",
            "in all steps",
        ]
        each = ("layers_until_decision", "layers_full")
        sources = [(kind, which) for kind in ("spikes", "operations") for which in each]
    return table(
        columns,
        [
            [title, *(f"{summary[kind][which][i]:,.0f}" for kind, which in sources)]
            for i, title in enumerate(subject.titles)
        ],
        "Average cost of a recording. A synaptic operation is a spike times a nonzero weight.",
        ["all", *(f"{sum(summary[kind][which]):,.0f}" for kind, which in sources)],
    )


def _training(subject: Subject) -> Html:
    if not training_series(subject.log):
        return Html("")
    caption = "<b>Training</b>, on the validation split."
    return Html(f'<figure><figcaption>{caption}</figcaption><div id="training" class="plot"></div></figure>')


def _network(subject: Subject) -> Html:
    description = subject.network.description
    shape = " × ".join(map(str, description.input_shape))
    return table(
        ["layer", "kind", "shape", "neurons", "weights", "weight range", "threshold", "decay u, v"],
        [_layer_row(layer) for layer in description.layers],
        f"{shape} inputs per step, {description.latency} blocks. Integers as on the chip; decays in 1/4096.",
        ["all", "", "", f"{description.neurons:,}", f"{description.synapses:,}", "", "", ""],
    )


def _boards(subject: Subject) -> Html:
    if not subject.boards:
        return Html("")
    decided = subject.boards[0].decision is not None
    return table(
        ["board", "fit", *(["until the decision"] if decided else []), "all steps"],
        [[note.title, note.fit, *([note.decision] if decided else []), note.full] for note in subject.boards],
        f"Fit and cost on boards: estimated from public figures, not measured. {_share(subject)}Energy is dynamic and "
        "of the cores only; the ranges reflect what is not public.",
    )


def _share(subject: Subject) -> str:
    if subject.share is None:
        return ""
    low, high = subject.share
    return f"A decision takes {low:.1%} to {high:.1%} of the energy of all steps, whatever a single event costs. "


def _layer_row(layer: Layer) -> list[str]:
    row = [layer.name, layer.kind, " × ".join(map(str, layer.shape)), f"{prod(layer.shape):,}"]
    if isinstance(layer, Input):
        row += ["", ""]
    else:
        row += [f"{layer.weight.size:,}", f"{layer.weight.min()} to {layer.weight.max()}"]
    neuron = layer.neuron
    if not isinstance(neuron, Cuba):
        return [*row, _span(getattr(neuron, "threshold", "")), type(neuron).__name__]
    decay = f"{_span(neuron.current_decay)}, {_span(neuron.voltage_decay)}"
    return [*row, _span(neuron.threshold) if neuron.fires else "never fires", decay]


def _span(value: Any) -> str:
    array = np.asarray(value)
    return str(value) if array.ndim == 0 else f"{array.min()} to {array.max()}"


def _provenance(subject: Subject) -> Html:
    path, data, seen = subject.network.path, subject.data, subject.network.trained_on
    metadata = subject.network.metadata
    rows = [
        *_cutoff(subject),
        ("Network file", f"{path} ({path.stat().st_size:,} bytes)"),
        (
            "Recordings here",
            f"{len(data):,}, split “{subject.split}”, fingerprint {set_fingerprint(data.fingerprints)}",
        ),
    ]
    if metadata and metadata.data:
        rows.append(("Trained on", metadata.data.source))
    if len(seen):
        rows.append(("Recordings seen in training", f"{len(seen):,}, fingerprint {set_fingerprint(seen)}"))
    if metadata and metadata.encoding:
        encoding = metadata.encoding
        size = " × ".join(map(str, encoding.sensor_size))
        rows.append(("Encoding", f"{encoding.window_us / 1000:g} ms in {encoding.bins} steps, sensor {size}"))
    rows.append(("Readout", subject.readout))
    for name, found in subject.lava.items():
        state = "same decisions as here" if found.same_decisions else "other recordings or another cutoff than here"
        rows.append((f"Lava, {name}/", f"{found.samples:,} recordings, {found.steps_executed:,} steps, {state}"))
    provenance = dict(metadata.provenance) if metadata else {}
    provenance.pop("config", None)
    packages = provenance.pop("packages", None)
    if isinstance(packages, dict):
        rows.append(("Exported with", ", ".join(f"{name} {version}" for name, version in packages.items())))
    rows += [(str(name).capitalize(), _plain(value)) for name, value in provenance.items()]
    if subject.config is None:
        return facts(rows)
    settings = escape(dumps(subject.config, indent=2))
    return Html(f"{facts(rows)}<details><summary>Configuration</summary><pre>{settings}</pre></details>")


def _cutoff(subject: Subject) -> list[tuple[str, Any]]:
    rule, metadata = subject.file_rule, subject.network.metadata
    if rule is None or metadata is None or metadata.policy is None:
        return [("Cutoff", "none in the file; aoi calibrate adds one")]
    evidence = metadata.policy.evidence
    certified = evidence.get("certified") is True
    badge = f'<span class="badge {"yes" if certified else "no"}">{"✓" if certified else "✗ not"} certified</span>'
    listed = facts((str(name), _plain(value)) for name, value in evidence.items())
    return [
        ("Rule", f"{rule.name} ≥ {rule.threshold!r}"),
        ("Scale of the readout", _plain(rule.scales or rule.scale)),
        ("Guarantee", Html(f"{badge} {escape(promise(metadata))}")),
        ("Calibration", Html(f"<details><summary>All evidence</summary>{listed}</details>")),
    ]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_plain(each)}" for key, each in value.items() if each is not None)
    if isinstance(value, list | tuple):
        shown = ", ".join(_plain(each) for each in value[:6])
        return f"[{shown}, … {len(value)} in all]" if len(value) > 6 else f"[{shown}]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)

"""aoi evaluate"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aoi.cli.compare import MaxDropOption, compare, rule_names, show, table
from aoi.cli.console import JsonFlag, print_json, print_table
from aoi.cli.recordings import (
    BinsOption,
    DataOption,
    DownloadOption,
    NetworkArgument,
    Request,
    RuleOption,
    SamplesOption,
    SkipDamagedOption,
    SplitOption,
    WindowOption,
    load_split,
    rule_of,
    run_of,
    scores_of,
    warn_of_calibration,
)

if TYPE_CHECKING:
    import numpy as np

    from aoi.cutoff.rule import Decisions, Rule
    from aoi.engine import Run
    from aoi.events.corrupt import Corruption
    from aoi.events.spikes import SpikeData
    from aoi.netx.read import NetworkFile

_MOST_CLASSES = 30  # that fit on a screen; --json has any number


def command(
    net: NetworkArgument,
    data: DataOption = None,
    split: SplitOption = "test",
    samples: SamplesOption = None,
    rule: RuleOption = None,
    rules: Annotated[
        str | None,
        typer.Option(help="Compare rules at equal accuracy drop: all, or names with commas (confidence,patience)."),
    ] = None,
    max_drop: MaxDropOption = 0.005,
    corrupt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:STRENGTH[,…]",
            help="Make the events worse and see what moves: drop:SHARE, noise:HZ (a pixel), jitter:US, hot:N (pixels). "
            "Several strengths with commas, several kinds by repeating the option; each is on its own.",
        ),
    ] = None,
    window_us: WindowOption = None,
    bins: BinsOption = None,
    download: DownloadOption = False,
    skip_damaged: SkipDamagedOption = False,
    json: JsonFlag = False,
) -> None:
    """Accuracy at every step and with the cutoff, what a decision costs, how sure the numbers are; on the bit-exact
    engine (no Lava). Intervals are bootstraps over the recordings, 95 %.

    Example: aoi evaluate runs/demo/network.net --rules all --corrupt drop:0.1,0.3
    """
    from aoi.cutoff.checks import check_max_drop
    from aoi.events.corrupt import parse_corruptions
    from aoi.netx.read import read_network

    names = rule_names(rules) if rules is not None else ()
    check_max_drop(max_drop)
    corruptions = [each for text in corrupt or [] for each in parse_corruptions(text)]
    network = read_network(net)
    chosen = rule_of(network, rule, required=False)
    request = Request(data, split, samples, window_us, bins, download, skip_damaged=skip_damaged)
    warn_of_calibration(network, request)
    spikes = load_split(network, request)
    run = run_of(network, spikes, "running on the engine")
    summary = evaluation(network, spikes, run, chosen) | {"split": split, "skipped": len(spikes.skipped)}
    if names:
        compared = compare(network, request, names, run.scores, spikes.labels, max_drop)
        summary["rules"] = table({net.stem: compared}, [b""])
    if corruptions:
        summary["corruptions"] = _corrupted(network, request, spikes.labels, run.scores, chosen, corruptions)
    if json:
        print_json(summary)
        return
    _show(summary, str(net))
    if names:
        show(summary["rules"], max_drop)
    if corruptions:
        _show_corruptions(summary)


def evaluation(network: NetworkFile, data: SpikeData, run: Run, rule: Rule | None) -> dict[str, Any]:
    """All numbers of :func:`~aoi.evaluation.summary.summarise` and the rule that gave them."""
    from math import prod

    from aoi.cutoff.rule import decide
    from aoi.evaluation.summary import summarise

    summary = summarise(
        run.scores,
        data.labels,
        decide(rule, run.scores),
        confidence_at(rule, run.scores),
        data.classes,
        spikes=run.spikes,
        operations=run.operations,
        neurons=[prod(layer.shape) for layer in network.description.layers],
    )
    return summary | {
        "rule": rule.name if rule else None,
        "threshold": rule.threshold if rule else None,
        "scale": rule.scale if rule else None,
    }


def confidence_at(rule: Rule | None, scores: np.ndarray) -> np.ndarray:
    """Confidence at each step, float64 (samples, T), with the rule's scale, otherwise 1: what ``decide`` reports.

    ``scores``: accumulated readout (samples, classes, T).
    """
    import numpy as np

    from aoi.cutoff.rule import softmax_peak

    by_step = np.moveaxis(scores, -1, 1)
    if rule is None:
        return softmax_peak(by_step)
    return rule.confidence(by_step, np.arange(1, by_step.shape[1] + 1))


def _corrupted(
    network: NetworkFile,
    request: Request,
    labels: np.ndarray,
    scores: np.ndarray,
    rule: Rule | None,
    corruptions: list[Corruption],
) -> list[dict[str, Any]]:
    """The same recordings, made worse, against what they were."""
    from aoi.cutoff.rule import decide
    from aoi.evaluation.robustness import compare_with_clean

    def judged(scores: np.ndarray) -> tuple[np.ndarray, Decisions]:
        return scores, decide(rule, scores)

    clean = judged(scores)
    rows = []
    for corruption in corruptions:
        worse = load_split(network, replace(request, corruption=corruption))
        level = compare_with_clean(clean, judged(scores_of(network, worse, f"running on {corruption}")), labels)
        about = {"corruption": str(corruption), "kind": corruption.kind, "strength": corruption.strength}
        rows.append(about | asdict(level))
    return rows


def _show(summary: dict[str, Any], title: str) -> None:
    steps = summary["steps"]
    shown = sorted({1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 100, steps} & set(range(1, steps + 1)))
    print_table(
        "when all stop at step",
        ["", *map(str, shown)],
        [
            ["accuracy", *(f"{summary['accuracy_at'][t - 1]:.3f}" for t in shown)],
            ["calibration error", *(f"{summary['ece_at'][t - 1]:.3f}" for t in shown)],
        ],
    )
    ends = summary["intervals"]

    def row(label: str, value: str, name: str, digits: int = 4) -> list[str]:
        return [label, value, f"{ends[name][0]:,.{digits}f} to {ends[name][1]:,.{digits}f}"]

    def number(label: str, name: str, digits: int = 4) -> list[str]:
        return row(label, f"{summary[name]:,.{digits}f}", name, digits)

    best = max(summary["accuracy_at"])
    rows = [
        ["recordings", f"{summary['samples']} ({summary['split']})", ""],
        number(f"accuracy at T = {steps}", "full_accuracy"),
        ["accuracy at the best step", f"{best:.4f} (step {summary['accuracy_at'].index(best) + 1})", ""],
    ]
    if summary["rule"]:
        cost = {name: summary[name] for name in ("spikes", "operations")}
        spread = summary["decision_step_percentiles"]
        rows += [
            number(f"accuracy with {_short(summary)}", "accuracy"),
            number("drop from T", "accuracy_drop"),
            number("drop from the best step", "accuracy_drop_peak"),
            number("mean decision step", "mean_decision_step", 2),
            ["decided by step: half, 95 %, 99 %", f"{spread['50']}, {spread['95']}, {spread['99']}", ""],
            row("fewer steps", f"{summary['speedup_steps']:.2f} times", "speedup_steps", 2),
            *(
                row(
                    f"{label} until the decision",
                    f"{cost[name]['until_decision']:,.0f} of {cost[name]['full']:,.0f} ({cost[name]['ratio']:.1%})",
                    f"{name}_until_decision",
                    0,
                )
                for name, label in (("spikes", "spikes"), ("operations", "synaptic operations"))
            ),
            number("confidence at the decision", "mean_confidence"),
            number("calibration error at the decision", "ece"),
        ]
    else:
        rows += [
            ["cutoff", "none in the file: aoi calibrate", ""],
            row("spikes", f"{summary['spikes']['full']:,.0f}", "spikes_full", 0),
            row("synaptic operations", f"{summary['operations']['full']:,.0f}", "operations_full", 0),
        ]
    rows += [
        number("oracle: right from here on, mean (OCT)", "oct_mean", 2),
        number("first right answer, mean", "average_earliest_step", 2),
        ["activation sparsity", f"{summary['spikes']['activation_sparsity']:.4f}", ""],
    ]
    print_table(title, ["", "", "95 % interval"], rows)
    if len(summary["per_class"]) <= _MOST_CLASSES:
        _show_classes(summary)


def _show_classes(summary: dict[str, Any]) -> None:
    print_table(
        "class by class",
        ["class", "recordings", "right", "mean decision step", "median", "most often taken for"],
        [
            [
                each["class"],
                str(each["samples"]),
                _maybe(each["accuracy"], ".1%"),
                _maybe(each["mean_decision_step"], ".2f"),
                _maybe(each["median_decision_step"], "d"),
                _taken_for(summary, index),
            ]
            for index, each in enumerate(summary["per_class"])
        ],
    )


def _taken_for(summary: dict[str, Any], index: int) -> str:
    """The commonest wrong answer for a class, and how often; empty where there is none."""
    row = [0 if column == index else count for column, count in enumerate(summary["confusion"][index])]
    answer, count = row.index(max(row)), max(row)
    name = summary["classes"][answer] if answer < len(summary["classes"]) else f"output {answer}"
    return f"{name} ({count})" if count else ""


def _short(summary: dict[str, Any]) -> str:
    return f"{summary['rule']} at {summary['threshold']:.6g}"


def _maybe(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _show_corruptions(summary: dict[str, Any]) -> None:
    """Accuracies and steps with the interval of their change, confidence without, for want of room."""
    moves = (("full_accuracy", 3), ("accuracy", 3), ("mean_decision_step", 2))

    def cells(level: dict[str, Any]) -> list[str]:
        shown = []
        for name, digits in moves:
            low, high = level["intervals"][name]
            shown.append(f"{level[name]:.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})")
        return [level["corruption"], *shown, f"{level['mean_confidence']:.3f}"]

    clean = [f"{summary[name]:.{digits}f}" for name, digits in moves]
    print_table(
        "corrupted recordings (95 % interval of the change)",
        ["", "accuracy at T", "at the decision", "mean decision step", "confidence"],
        [["clean", *clean, f"{summary['mean_confidence']:.3f}"], *map(cells, summary["corruptions"])],
    )

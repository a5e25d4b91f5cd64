"""aoi evaluate"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aoi.cli.compare import show
from aoi.cli.console import JsonFlag, print_json, print_table, progress
from aoi.cli.options import MaxDropOption, NetworkOptions, RecordingOptions, RuleOption

_MOST_CLASSES = 30  # that fit on a screen; --json lists all


def command(
    network: NetworkOptions,
    recordings: RecordingOptions,
    rule: RuleOption = None,
    rules: Annotated[
        str | None,
        typer.Option(help="Rules to compare at equal accuracy drop: all, or names separated by commas."),
    ] = None,
    max_drop: MaxDropOption = 0.005,
    corrupt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:STRENGTH[,…]",
            help="Corrupt the events: drop:SHARE, noise:HZ (per pixel), jitter:US, hot:N (pixels). Separate several "
            "strengths by commas, and repeat the option for several kinds; each is evaluated alone.",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Measure accuracy at every step and with the cutoff.

    Also measures the spikes and operations of a decision. Runs on the bit-exact engine, without Lava. Intervals are
    95 % bootstrap intervals over the recordings.

    Example: aoi evaluate runs/demo/network.net --rules all --corrupt drop:0.1,0.3
    """
    from aoi.cutoff.checks import check_max_drop
    from aoi.events.corrupt import parse_corruptions
    from aoi.workflow.compare import compare_on_recordings, comparison_rows, rule_names
    from aoi.workflow.evaluate import corrupted, evaluate
    from aoi.workflow.recordings import open_selection

    names = rule_names(rules) if rules is not None else ()
    check_max_drop(max_drop)
    corruptions = [each for text in corrupt or [] for each in parse_corruptions(text)]
    net = network.load()
    with progress() as advance:
        data = open_selection(net, recordings.selection, advance)
        found = evaluate(net, data, rule=rule or "own", progress=advance)
        summary = found.to_dict()
        if names:
            compared = compare_on_recordings(net, data, found.run.scores, names, max_drop, advance)
            summary["rules"] = comparison_rows({net.path.stem: compared}, [b""])
        if corruptions:
            summary["corruptions"] = corrupted(net, data, found, corruptions, advance)
    if json:
        print_json(summary)
        return
    _show(summary, str(net.path))
    if names:
        show(summary["rules"], max_drop)
    if corruptions:
        _show_corruptions(summary)


def _show(summary: dict[str, Any], title: str) -> None:
    steps = summary["steps"]
    shown = sorted({1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 100, steps} & set(range(1, steps + 1)))
    print_table(
        "all recordings stop at step",
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
            ["cutoff", "none in the file; aoi calibrate adds one", ""],
            row("spikes", f"{summary['spikes']['full']:,.0f}", "spikes_full", 0),
            row("synaptic operations", f"{summary['operations']['full']:,.0f}", "operations_full", 0),
        ]
    rows += [
        number("mean step from which the answer stays correct (OCT)", "oct_mean", 2),
        number("mean step of the first correct answer", "average_earliest_step", 2),
        ["activation sparsity", f"{summary['spikes']['activation_sparsity']:.4f}", ""],
    ]
    print_table(title, ["", "", "95 % interval"], rows)
    if len(summary["per_class"]) <= _MOST_CLASSES:
        _show_classes(summary)


def _show_classes(summary: dict[str, Any]) -> None:
    print_table(
        "by class",
        ["class", "recordings", "correct", "mean decision step", "median", "most often confused with"],
        [
            [
                each["class"],
                str(each["samples"]),
                _optional(each["accuracy"], ".1%"),
                _optional(each["mean_decision_step"], ".2f"),
                _optional(each["median_decision_step"], "d"),
                _confused_with(summary, index),
            ]
            for index, each in enumerate(summary["per_class"])
        ],
    )


def _confused_with(summary: dict[str, Any], index: int) -> str:
    """The most frequent wrong answer for a class, with its count; empty if there is none."""
    row = [0 if column == index else count for column, count in enumerate(summary["confusion"][index])]
    answer, count = row.index(max(row)), max(row)
    name = summary["classes"][answer] if answer < len(summary["classes"]) else f"output {answer}"
    return f"{name} ({count})" if count else ""


def _short(summary: dict[str, Any]) -> str:
    return f"{summary['rule']} at {summary['threshold']:.6g}"


def _optional(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _show_corruptions(summary: dict[str, Any]) -> None:
    """Accuracies and steps with the interval of their change; the confidence without, to save space."""
    columns = (("full_accuracy", 3), ("accuracy", 3), ("mean_decision_step", 2))

    def cells(level: dict[str, Any]) -> list[str]:
        shown = []
        for name, digits in columns:
            low, high = level["intervals"][name]
            shown.append(f"{level[name]:.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})")
        return [level["corruption"], *shown, f"{level['mean_confidence']:.3f}"]

    clean = [f"{summary[name]:.{digits}f}" for name, digits in columns]
    print_table(
        "corrupted recordings (95 % interval of the change)",
        ["", "accuracy at T", "at the decision", "mean decision step", "confidence"],
        [["clean", *clean, f"{summary['mean_confidence']:.3f}"], *map(cells, summary["corruptions"])],
    )

"""aoi compare"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, say
from aoi.cli.recordings import (
    BinsOption,
    DataOption,
    DownloadOption,
    Request,
    SamplesOption,
    SkipDamagedOption,
    SplitOption,
    WindowOption,
    load_split,
    scores_of,
)
from aoi.errors import DataError, WriteError

if TYPE_CHECKING:
    import numpy as np

    from aoi.cutoff.rule import Rule
    from aoi.evaluation.comparison import RuleOperatingPoints
    from aoi.events.spikes import SpikeData
    from aoi.netx.read import NetworkFile

MaxDropOption = Annotated[
    float, typer.Option(help="Rules are compared where they lose at most this much accuracy, between 0 and 1.")
]
ALL = ("confidence", "entropy", "gap", "conformal", "patience", "fixed")
LOOK_BACK = (
    "look-back: each threshold is the best one on these very recordings, which flatters every rule; "
    "no promise for others (that is what aoi calibrate gives)"
)


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders or network files (NetX HDF5).")],
    data: DataOption = None,
    split: SplitOption = "test",
    samples: SamplesOption = None,
    rules: Annotated[str, typer.Option(help="all, or names with commas, as confidence,patience.")] = "all",
    max_drop: MaxDropOption = 0.005,
    out: Annotated[
        Path | None, typer.Option(help="The picture (PNG). Default: compare.png beside the first network.")
    ] = None,
    window_us: WindowOption = None,
    bins: BinsOption = None,
    download: DownloadOption = False,
    skip_damaged: SkipDamagedOption = False,
    json: JsonFlag = False,
) -> None:
    """Networks and stopping rules in one table and one picture: the mean steps that each needs at equal accuracy drop.

    A look-back on the reported split: for each rule the threshold that stops earliest within the drop. What rules need
    besides (scale, per-step gaps, quantiles) comes from the network file or is fitted on its calibration split.

    Example: aoi compare runs/demo runs/mine --rules confidence,patience
    """
    from aoi.cutoff.checks import check_max_drop
    from aoi.netx.read import read_network

    names = rule_names(rules)
    check_max_drop(max_drop)
    files = [network_of(run) for run in runs]
    for index, file in enumerate(files):
        if file.resolve() in [each.resolve() for each in files[:index]]:
            raise DataError(f"{runs[index]}: is named twice; name each network once")
    target = out or files[0].parent / "compare.png"
    if target.is_dir():
        raise DataError(f"--out {target}: is a folder; name a file, as {target / 'compare.png'}")
    request = Request(data, split, samples, window_us, bins, download, skip_damaged=skip_damaged)
    titles = _titles(files)
    compared: dict[str, tuple[RuleOperatingPoints, ...]] = {}
    marks: list[bytes] = []
    for title, file in zip(titles, files, strict=True):
        network = read_network(file)
        spikes = load_split(network, request)
        scores = scores_of(network, spikes, f"{title} on the engine")
        compared[title] = compare(network, request, names, scores, spikes.labels, max_drop)
        marks.append(spikes.fingerprints.tobytes())
    rows = table(compared, marks)
    try:
        from aoi.report.comparison import plot_comparison

        plot_comparison(compared, target)
    except WriteError as error:
        raise DataError(f"--out {error}") from None
    if json:
        print_json({"split": split, "max_drop": max_drop, "look_back": LOOK_BACK, "rows": rows, "picture": str(target)})
        return
    show(rows, max_drop)
    say(f"picture: {target}")


def network_of(run: Path) -> Path:
    """The network file of a run folder, or the file itself."""
    if not run.is_dir():
        return run
    file = run / "network.net"
    if not file.is_file():
        raise DataError(f"{run}: holds no network.net; aoi export {run} writes it, or name a network file")
    return file


def rule_names(text: str) -> tuple[str, ...]:
    """``all`` or names with commas; each once, in the order given."""
    from aoi.cutoff.rule import RULES

    names = ALL if text == "all" else tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in RULES:
            raise DataError(f"--rules {text}: there is no rule {name!r}; choose all or some of {', '.join(RULES)}")
    return names


def compare(
    network: NetworkFile,
    request: Request,
    names: tuple[str, ...],
    scores: np.ndarray,
    labels: np.ndarray,
    max_drop: float,
) -> tuple[RuleOperatingPoints, ...]:
    """Rules of these names on the readout (samples, classes, T) of the recordings that ``request`` names."""
    from aoi.evaluation.comparison import compare_rules

    return compare_rules(fitted_rules(network, request, names), scores, labels, max_drop)


def fitted_rules(network: NetworkFile, request: Request, names: tuple[str, ...]) -> list[Rule]:
    """The file's own rule as it is; what others need besides a threshold is fitted on the calibration split."""
    from aoi.cutoff.calibration import fit_rule
    from aoi.cutoff.rule import RULES, parse_rule, rule_of_policy

    policy = network.metadata.policy if network.metadata else None
    known = {policy.rule: rule_of_policy(policy)} if policy else {}
    known |= {name: parse_rule(f"{name}:{RULES[name].example}", policy) for name in names if not RULES[name].fitted}
    missing = [name for name in names if name not in known]
    if missing:
        spikes = _calibration_split(network, request, missing)
        scores = scores_of(network, spikes, "calibration on the engine")
        known |= {name: fit_rule(name, scores, spikes.labels) for name in missing}
    return [known[name] for name in names]


def _calibration_split(network: NetworkFile, request: Request, missing: list[str]) -> SpikeData:
    import numpy as np

    way_out = f"or leave {', '.join(missing)} out of --rules"
    if request.split == "calibration":
        raise DataError(
            f"--split calibration: {', '.join(missing)} are fitted on it; report on another split, {way_out}"
        )
    try:
        spikes = load_split(network, replace(request, split="calibration", samples=None))
    except DataError as error:
        raise DataError(f"{error}; {way_out}") from None
    seen = np.isin(spikes.fingerprints, network.trained_on)
    if seen.any():
        raise DataError(
            f"{int(seen.sum())} of the {len(spikes)} recordings that {', '.join(missing)} would be fitted on, such as "
            f"{spikes.ids[int(seen.argmax())]}, were seen in training; give other recordings, {way_out}"
        )
    return spikes


def table(compared: dict[str, tuple[RuleOperatingPoints, ...]], marks: list[bytes]) -> list[dict[str, Any]]:
    """One row a network and rule, with its difference to a reference on the same recordings, as far as there is one.

    The reference of a rule is the network's first rule, that of a first rule is the first rule of the first network on
    the same recordings. ``marks``: what tells each network's recordings.
    """
    from aoi.evaluation.bootstrap import interval

    rows = []
    for (title, rules), mark in zip(compared.items(), marks, strict=True):
        top = list(compared)[marks.index(mark)]
        for each in rules:
            row = {"network": title} | each.summary()
            base, reference = (title, rules[0]) if each is not rules[0] else (top, compared[top][0])
            if reference is not each:
                row["difference"] = {
                    "network": base,
                    "rule": reference.rule.name,
                    "mean_decision_step": each.best.mean_decision_step - reference.best.mean_decision_step,
                    "interval": list(interval(each.best.draws - reference.best.draws)),
                }
            rows.append(row)
    return rows


def show(rows: list[dict[str, Any]], max_drop: float) -> None:
    """The table, and what it does not say."""
    several = len({row["network"] for row in rows}) > 1
    print_table(
        f"mean decision steps where the accuracy drops by at most {max_drop:g} from all T steps",
        ["rule", "accuracy at T", "drop", "steps", "95 % interval", "fewer", "difference, 95 %"],
        [
            [
                f"{row['network']}: {row['rule']}" if several else row["rule"],
                f"{row['full_accuracy']:.4f}",
                f"{row['accuracy_drop']:.4f}",
                f"{row['mean_decision_step']:.2f} of {row['steps']}",
                "{:.2f} to {:.2f}".format(*row["interval"]),
                f"{row['speedup_steps']:.2f} times",
                "{:+.2f} to {:+.2f}".format(*row["difference"]["interval"]) if "difference" in row else "",
            ]
            for row in rows
        ],
    )
    say("difference: in steps, to the network's first rule; for that one, to the first network on the same recordings")
    fewest = min(row["samples"] for row in rows)
    if max_drop * fewest < 1:
        say(
            f"{fewest} recordings: one is {1 / fewest:.4f}, more than {max_drop:g}, so that none may be lost on balance"
        )
    say(LOOK_BACK)


def _titles(files: list[Path]) -> list[str]:
    """Short names that differ: the folder, the file, or the whole path."""
    for name in (lambda file: file.resolve().parent.name, lambda file: file.stem, str):
        titles = [name(file) for file in files]
        if len(set(titles)) == len(titles):
            return titles
    return [f"{index}: {file}" for index, file in enumerate(files, 1)]

"""aoi compare"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, progress, say
from aoi.cli.options import MaxDropOption, RecordingOptions
from aoi.errors import DataError

LOOK_BACK = (
    "look-back: each threshold is the best one on these very recordings, which overestimates every rule; "
    "for a threshold that holds for other recordings, use aoi calibrate"
)


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders or network files (NetX HDF5).")],
    recordings: RecordingOptions,
    rules: Annotated[str, typer.Option(help="Rules: all, or names separated by commas.")] = "all",
    max_drop: MaxDropOption = 0.005,
    out: Annotated[
        Path | None, typer.Option(help="File of the plot (PNG). Default: compare.png beside the first network.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Compare networks and stopping rules in one table and one plot.

    Shows the mean steps of each rule at equal accuracy drop. This is a look-back: for each rule it takes the threshold
    that stops earliest within the drop on these recordings. Other parameters of rules (scale, gaps, quantiles) come
    from the network file, or are fitted on its calibration split.

    Example: aoi compare runs/demo runs/mine --rules confidence,patience
    """
    from aoi.report.comparison import plot_comparison
    from aoi.workflow.compare import compare_networks, rule_names
    from aoi.workflow.network import output_folder

    names = rule_names(rules)
    target = out or output_folder(runs[0]) / "compare.png"
    if target.is_dir():
        raise DataError(f"--out {target}: is a folder; give a file such as {target / 'compare.png'}")
    with progress() as advance:
        compared, rows = compare_networks(runs, recordings.selection, names, max_drop=max_drop, progress=advance)
    plot_comparison(compared, target)
    if json:
        about = {"split": recordings.split, "max_drop": max_drop, "look_back": LOOK_BACK}
        print_json(about | {"rows": rows, "picture": str(target)})
        return
    show(rows, max_drop)
    say(f"plot: {target}")


def show(rows: list[dict[str, Any]], max_drop: float) -> None:
    """Prints the table, with notes on how to read it."""
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
    say(
        "difference: in steps, to the first rule of the network; for the first rule, to the first network that ran "
        "the same recordings"
    )
    fewest = min(row["samples"] for row in rows)
    if max_drop * fewest < 1:
        say(
            f"{fewest} recordings: one of them is a drop of {1 / fewest:.4f}, more than {max_drop:g}, so the accuracy "
            "must not drop at all"
        )
    say(LOOK_BACK)

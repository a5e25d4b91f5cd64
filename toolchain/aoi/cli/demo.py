"""aoi demo"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, progress, say
from aoi.errors import CheckFailed


def command(
    run: Annotated[Path, typer.Option(help="Run folder; an earlier demo in it is replaced.")] = Path("runs/demo"),
    json: JsonFlag = False,
) -> None:
    """Run the whole pipeline on real handwritten digits.

    A simulated event camera records the digits. Trains, exports, verifies, calibrates, deploys on the Lava simulator
    with and without the cutoff, and writes a report. Takes about a minute.

    Example: aoi demo
    """
    from aoi.workflow.demo import demo

    with progress() as advance:
        summary = demo(run, advance).summary
    if json:
        print_json(summary)
    else:
        show(summary)
    if not summary["equal"]:
        difference = summary["first_mismatch"] or f"{summary['decisions_differing']} decisions differ from the engine's"
        raise CheckFailed(
            f"{run}: Lava does not execute the network as trained ({difference}); 'aoi verify {run}' shows more"
        )


def show(summary: dict[str, Any]) -> None:
    """Prints the final table."""
    print_table(
        f"{summary['samples']} unseen digits in Lava, T = {summary['steps']}",
        ["", "all steps", "with cutoff"],
        [
            ["accuracy", f"{summary['full_accuracy']:.4f}", f"{summary['accuracy']:.4f}"],
            ["mean decision step", f"{summary['steps']}", f"{summary['mean_decision_step']:.2f}"],
            ["Lava steps executed", f"{summary['steps_executed_full']:,}", f"{summary['steps_executed_cutoff']:,}"],
            ["wall time in Lava", f"{summary['wall_s_full']:.1f} s", f"{summary['wall_s_cutoff']:.1f} s"],
            ["speed-up in steps", "", f"{summary['speedup_steps']:.2f}"],
            ["speed-up in wall time", "", f"{1 / summary['wall_ratio']:.2f}"],
            [
                "accuracy drop from T, from the peak",
                "",
                f"{summary['accuracy_drop']:.4f}, {summary['accuracy_drop_peak']:.4f}",
            ],
            ["engine = SLAYER = Lava", "", "equal" if summary["equal"] else "DIFFERENT"],
        ],
    )
    say(f"results in {Path(summary['network']).parent}: network.net, summary.json, accuracy.png, decisions.png")
    say(f"open {summary['report']} in a browser to see what the cutoff saves at each threshold")

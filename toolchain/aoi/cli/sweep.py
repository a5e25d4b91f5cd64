"""aoi sweep"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, say, show_error
from aoi.cli.options import MinutesOption, PartitionOption, SkipDamagedFlag


def command(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY", help="YAML file of the study, such as configs/studies/str.yaml.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the cells. Default: runs/<name of the study>.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="[EXPERIMENT=]DATA", help="Recordings of an experiment, or of all; can be repeated."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=1024, help="Number of cells that run at the same time, one thread each.")
    ] = 2,
    only: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Run only cells whose name EXPERIMENT/ARM/seedN contains this text."),
    ] = None,
    table: Annotated[bool, typer.Option("--table", help="Only print the table of the finished cells.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Run cells again that were run with another configuration.")
    ] = False,
    download: Annotated[
        bool, typer.Option("--download", help="Download named data sets that are not on this machine.")
    ] = False,
    skip_damaged: SkipDamagedFlag = False,
    slurm: Annotated[bool, typer.Option("--slurm", help="Run the cells as a job array on a Slurm cluster.")] = False,
    partition: PartitionOption = None,
    minutes: MinutesOption = 60,
    cell: Annotated[str | None, typer.Option(hidden=True)] = None,
    attached: Annotated[bool, typer.Option("--attached", hidden=True)] = False,
    json: JsonFlag = False,
) -> None:
    """Train and evaluate every cell of a study, then compare its arms.

    A cell is one combination of experiment, arm and seed, with its own run folder. Finished cells are not run again:
    after an interruption or a failure, the same command runs only the missing ones. Exits with code 1 if cells are
    missing.

    Example: aoi sweep configs/studies/str.yaml --data nmnist=path/to/nmnist
    """
    from aoi.workflow import study as workflow

    plan = workflow.open_study(study, out, data or [], to_run=not table, download=download, skip_damaged=skip_damaged)
    if cell is not None:
        workflow.run_cell(plan, plan.one(cell), attached=attached, download=download, skip_damaged=skip_damaged)
        return
    chosen = plan.matching(only)
    if table:
        workflow.refuse_outdated(plan.folders)
    else:
        todo = workflow.cells_to_run(chosen, overwrite=overwrite)
        say(f"{len(chosen) - len(todo)} of {len(chosen)} cells are finished; {len(todo)} to run in {plan.root}")
        if slurm:
            from aoi_deploy.cluster.slurm import Resources

            workflow.run_on_slurm(plan, todo, Resources(partition=partition, minutes=minutes, at_once=workers))
        else:
            workflow.run_locally(plan, todo, workers)
    summary = workflow.summarise(plan)
    if json:
        print_json(summary)
    else:
        _show(summary)
    if not table:
        workflow.require_all(plan, chosen)


def _show(summary: dict[str, Any]) -> None:
    for name, rows in summary["experiments"].items():
        if not rows:
            continue
        print_table(
            f"{name}: steps at a drop of at most {summary['max_drop']:g} from the best point; 95 % over seeds",
            ["arm", "seeds", "accuracy at T", "steps", "calibration error"],
            [
                [
                    row["arm"],
                    str(len(row["seeds"])),
                    _mean(row["full_accuracy"], 4),
                    _mean(row["steps_at_drop"], 2),
                    _mean(row["ece"], 4),
                ]
                for row in rows
            ],
        )
        pairs = [(row["arm"], reference, each) for row in rows for reference, each in row["against"].items()]
        together = [(arm, reference, each["pooled"]) for arm, reference, each in pairs if "pooled" in each]
        if together:
            print_table(
                f"{name}: recordings of all seeds together, steps at equal accuracy (the lower peak minus the drop)",
                ["arm against reference", "steps", "of the reference", "ratio", "accuracy at T", "at the peak"],
                [
                    [
                        f"{arm} against {reference}",
                        *(_mean(each[key], 2) for key in ("steps", "reference_steps", "share")),
                        *(_mean(each[key], 4, "+") for key in ("accuracy", "peak")),
                    ]
                    for arm, reference, each in together
                ],
            )
        if pairs:
            print_table(
                f"{name}: differences, paired by seed",
                ["arm against reference", "pairs", "steps", "ratio", "accuracy at T", "steps at equal accuracy"],
                [
                    [
                        f"{arm} against {reference}",
                        str(len(each["seeds"])),
                        _mean(each["steps"], 2, "+"),
                        _mean(each["steps_share"], 2),
                        _mean(each["accuracy"], 4, "+"),
                        _mean(each["steps_at_equal_accuracy"], 2, "+"),
                    ]
                    for arm, reference, each in pairs
                ],
            )
    for name, reason in summary["missing"].items():
        show_error(f"{name}: missing: {reason}")
    if summary["picture"]:
        say(f"plot: {summary['picture']}")


def _mean(value: dict[str, Any], digits: int, sign: str = "") -> str:
    text = f"{value['mean']:{sign}.{digits}f}"
    if value["low"] is None:
        return text
    return f"{text} ({value['low']:{sign}.{digits}f} to {value['high']:{sign}.{digits}f})"

"""aoi deploy"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aoi.choices import Model, OnNode, Target
from aoi.cli.console import JsonFlag, print_json, print_table, progress, say
from aoi.cli.options import NetworkOptions, NoCutoffFlag, RecordingOptions, RuleOption
from aoi.errors import DataError

if TYPE_CHECKING:
    from aoi.workflow.network import Network
    from aoi_deploy.targets.cluster import JobOptions

ModelOption = Annotated[
    Model, typer.Option(help="How Lava runs the network: fused, one fast process; stock, lava-dl's graph of processes.")
]


@dataclass(frozen=True)
class TargetOptions:
    """Where a network runs."""

    target: Annotated[
        Target,
        typer.Option(help="Where to run: sim, Lava's simulator on this machine; loihi, a board; slurm, cluster jobs."),
    ] = "sim"
    model: ModelOption = "fused"
    board: Annotated[str | None, typer.Option(help="For loihi and slurm: the board, as in 'aoi inspect --board'.")] = (
        None
    )
    host: Annotated[
        str | None, typer.Option(help="For loihi: address of the board's host, if it is not behind Slurm.")
    ] = None


@dataclass(frozen=True)
class ClusterOptions:
    """How to submit jobs to a cluster."""

    on_node: Annotated[OnNode, typer.Option(help="For slurm: target on the node, a board or Lava's simulator.")] = (
        "loihi"
    )
    partition: Annotated[
        str | None, typer.Option(help="For slurm: the partition. Default: that of the board, or of the cluster.")
    ] = None
    time: Annotated[
        int, typer.Option(min=1, help="For slurm: minutes per job, after which it is requeued and resumes.")
    ] = 2
    chunk: Annotated[
        int | None, typer.Option(min=1, help="For slurm: samples per job. Default: as many as the time should allow.")
    ] = None
    at_once: Annotated[int, typer.Option(min=1, max=1000, help="For slurm: jobs that may run at the same time.")] = 16
    login: Annotated[
        str | None,
        typer.Option(
            metavar="[USER@]HOST", help="For slurm: login host to submit on over ssh; aoi has to be installed there."
        ),
    ] = None
    aoi: Annotated[str, typer.Option(help="For slurm: the aoi command on the login host.")] = "aoi"
    detach: Annotated[bool, typer.Option("--detach", help="For slurm: submit and return; see 'aoi jobs'.")] = False

    def job_options(self, board: str | None) -> JobOptions:
        from aoi_deploy.targets.cluster import JobOptions

        return JobOptions(
            on_node=self.on_node,
            board=board,
            partition=self.partition,
            minutes=self.time,
            chunk=self.chunk,
            at_once=self.at_once,
            login=self.login,
            aoi=self.aoi,
        )


def command(
    network: NetworkOptions,
    recordings: RecordingOptions,
    where: TargetOptions,
    cluster: ClusterOptions,
    rule: RuleOption = None,
    no_cutoff: NoCutoffFlag = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for results.jsonl and summary.json. Default: the folder deploy beside NET."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Run a network as Lava processes, with a monitor that stops each sample.

    Example: aoi deploy runs/demo/network.net --samples 100

    Example: aoi deploy runs/demo/network.net --target slurm --partition oheogulch --on-node sim
    """
    from aoi.workflow.deploy import deploy_jobs, deploy_recordings
    from aoi.workflow.network import output_folder, require_rule
    from aoi.workflow.recordings import open_selection

    check_cutoff(no_cutoff, rule)
    jobs = None
    if where.target == "slurm":  # raises before any file is read if there is no cluster
        from aoi_deploy.targets.cluster import Cluster

        jobs = Cluster(cluster.job_options(where.board), output_folder(network.net) / "jobs")
    net = network.load()
    _check_board(net, where, cluster)
    chosen = None if no_cutoff else require_rule(net, rule or "own")
    folder = out or output_folder(network.net) / "deploy"
    with progress() as advance:
        data = open_selection(net, recordings.selection, advance)
        if jobs is not None:
            found = deploy_jobs(
                net, data, jobs, rule=chosen, out=folder, model=where.model, detach=cluster.detach, progress=advance
            )
        else:
            assert where.target != "slurm"
            found = deploy_recordings(
                net,
                data,
                rule=chosen,
                out=folder,
                model=where.model,
                target=where.target,
                board=where.board,
                host=where.host,
                progress=advance,
            )
    if isinstance(found, str):
        say(f"'aoi jobs status {found}' shows its state, 'aoi jobs fetch {found}' fetches the results")
        if json:
            print_json({"job": found})
        return
    if json:
        print_json(found.to_dict())
        return
    model = "one Lava process for the network" if where.model == "fused" else "lava-dl's graph of processes"
    print_table(f"{net.path} on {where.target}, {model} (--model {where.model})", ["", ""], found.rows())


def check_cutoff(no_cutoff: bool, rule: str | None) -> None:
    """Raises DataError if there is both a rule and --no-cutoff."""
    if no_cutoff and rule is not None:
        raise DataError("--no-cutoff and --rule exclude each other; leave one out")


def _check_board(net: Network, where: TargetOptions, cluster: ClusterOptions) -> None:
    from aoi.workflow.deploy import check_board

    if where.board is not None:
        on_board = where.target == "loihi" or (where.target == "slurm" and cluster.on_node == "loihi")
        check_board(net, where.board, refuse=on_board)

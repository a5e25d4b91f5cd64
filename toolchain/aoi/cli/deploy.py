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
    Model, typer.Option(help="fused: the network in one process, fast. stock: lava-dl's graph of processes.")
]


@dataclass(frozen=True)
class PlaceOptions:
    """Where a network runs."""

    target: Annotated[
        Target, typer.Option(help="sim: Lava's simulator here. loihi: a board. slurm: jobs of a cluster.")
    ] = "sim"
    model: ModelOption = "fused"
    board: Annotated[str | None, typer.Option(help="loihi, slurm: the board, as in 'aoi inspect --board'.")] = None
    host: Annotated[str | None, typer.Option(help="loihi: address of the board's host, where no Slurm is.")] = None


@dataclass(frozen=True)
class ClusterOptions:
    """How work is cut into jobs of a cluster."""

    on_node: Annotated[OnNode, typer.Option(help="slurm: what runs on the node, a board or Lava's simulator.")] = (
        "loihi"
    )
    partition: Annotated[
        str | None, typer.Option(help="slurm: its partition. Default: the board's, or the cluster's own.")
    ] = None
    time: Annotated[int, typer.Option(min=1, help="slurm: minutes of a job; then it is requeued and resumes.")] = 2
    chunk: Annotated[
        int | None, typer.Option(min=1, help="slurm: samples of a job. Default: as many as should fit.")
    ] = None
    at_once: Annotated[int, typer.Option(min=1, max=1000, help="slurm: jobs that may run at the same time.")] = 16
    login: Annotated[
        str | None,
        typer.Option(metavar="[USER@]HOST", help="slurm: submit there over ssh, where aoi is installed too."),
    ] = None
    aoi: Annotated[str, typer.Option(help="slurm: the command on the login host.")] = "aoi"
    detach: Annotated[bool, typer.Option("--detach", help="slurm: submit and return; see 'aoi jobs'.")] = False

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
    place: PlaceOptions,
    cluster: ClusterOptions,
    rule: RuleOption = None,
    no_cutoff: NoCutoffFlag = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for results.jsonl and summary.json. Default: deploy/ beside NET.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Run a network as Lava processes with the monitor that stops each sample.

    Example: aoi deploy runs/demo/network.net --samples 100

    Example: aoi deploy runs/demo/network.net --target slurm --partition oheogulch --on-node sim
    """
    from aoi.workflow.deploy import deploy_jobs, deploy_recordings
    from aoi.workflow.network import output_folder, require_rule
    from aoi.workflow.recordings import open_selection

    check_cutoff(no_cutoff, rule)
    jobs = None
    if place.target == "slurm":  # refuses what is not there, before anything is read
        from aoi_deploy.targets.cluster import Cluster

        jobs = Cluster(cluster.job_options(place.board), output_folder(network.net) / "jobs")
    net = network.load()
    _check_board(net, place, cluster)
    chosen = None if no_cutoff else require_rule(net, rule or "own")
    folder = out or output_folder(network.net) / "deploy"
    with progress() as advance:
        data = open_selection(net, recordings.selection, advance)
        if jobs is not None:
            found = deploy_jobs(
                net, data, jobs, rule=chosen, out=folder, model=place.model, detach=cluster.detach, progress=advance
            )
        else:
            assert place.target != "slurm"
            found = deploy_recordings(
                net,
                data,
                rule=chosen,
                out=folder,
                model=place.model,
                target=place.target,
                board=place.board,
                host=place.host,
                progress=advance,
            )
    if isinstance(found, str):
        say(f"'aoi jobs status {found}' shows it, 'aoi jobs fetch {found}' brings the results")
        if json:
            print_json({"job": found})
        return
    if json:
        print_json(found.to_dict())
        return
    what = "one Lava process for the network" if place.model == "fused" else "lava-dl's graph of processes"
    print_table(f"{net.path} on {place.target}, {what} (--model {place.model})", ["", ""], found.rows())


def check_cutoff(no_cutoff: bool, rule: str | None) -> None:
    """Raises DataError where a rule is given and refused at once."""
    if no_cutoff and rule is not None:
        raise DataError("--no-cutoff and --rule exclude each other; leave one out")


def _check_board(net: Network, place: PlaceOptions, cluster: ClusterOptions) -> None:
    from aoi.workflow.deploy import check_board

    if place.board is not None:
        on_board = place.target == "loihi" or (place.target == "slurm" and cluster.on_node == "loihi")
        check_board(net, place.board, refuse=on_board)

"""Results of deployments that ran as jobs of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aoi.choices import parse_split
from aoi.errors import DataError
from aoi.workflow.deploy import Deployment, engine_accuracy, results_folder, write_results
from aoi.workflow.network import load
from aoi.workflow.progress import Progress
from aoi.workflow.recordings import Recordings, Selection

if TYPE_CHECKING:
    from aoi_deploy.jobs.folder import JobFolder


def fetch_results(
    folder: JobFolder, out: Path | None = None, progress: Progress | None = None
) -> tuple[Deployment, int]:
    """Fetches the outcomes so far and writes them to ``out``, by default to the job's folder.

    Returns the deployment and the number of missing samples. Raises DataError if nothing is decided yet, ClusterError
    if the cluster cannot be reached.
    """
    from aoi_deploy.jobs import queue

    plan, outcomes = folder.plan, queue.fetch(folder)
    if not outcomes:
        raise DataError(f"job {plan.id}: no sample is decided yet; 'aoi jobs status {plan.id}' shows its state")
    work, out = folder.work(), results_folder(out or folder.path)
    network = load(folder.network)
    selection = Selection(split=parse_split(plan.split))
    data = Recordings(work.spikes, network.description.input_shape, network.encoding, None, selection)
    at = engine_accuracy(network, data.subset([outcome.index for outcome in outcomes]), progress)
    missing = len(data) - len(outcomes)
    about = {"target": "slurm", "model": plan.model, "split": plan.split, "job": plan.id, "on_node": plan.on_node}
    wall_s = sum(outcome.wall_s for outcome in outcomes)
    return write_results(out, outcomes, data, work.rule, at, wall_s, about | {"missing": missing}), missing

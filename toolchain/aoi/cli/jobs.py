"""aoi jobs"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aoi.cli.console import JsonFlag, plain, print_json, print_table, progress, say
from aoi.errors import CheckFailed

if TYPE_CHECKING:
    from aoi_deploy.jobs.folder import JobFolder

JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="Id of a job, the beginning of one, 'last', or the job's folder.")
]
ChunkOption = Annotated[int | None, typer.Option(min=0, help="Show only this chunk.")]
OutOption = Annotated[Path | None, typer.Option(help="Folder for results.jsonl and summary.json. Default: the job's.")]

app = typer.Typer(
    help="Manage deployments on a cluster.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_jobs(json: JsonFlag = False) -> None:
    """List all jobs of this user, oldest first.

    Example: aoi jobs list
    """
    import time

    from aoi.errors import AoiError
    from aoi_deploy.jobs.queue import status
    from aoi_deploy.jobs.registry import registered

    rows, found = [], []
    for name, folder in registered().items():
        plan = folder.plan
        try:
            now = status(folder)
            state, decided = now.state, f"{now.decided} of {now.samples}"
            found.append(now.json() | {"network": plan.network, "created": plan.created})
        except AoiError as error:  # such as a login host that does not answer; the other jobs are still listed
            state, decided = f"unknown: {error}", ""
            found.append({"id": name, "state": "unknown", "reason": str(error), "network": plan.network})
        created = time.strftime("%Y-%m-%d %H:%M", time.localtime(plan.created))
        rows.append([name, created, Path(plan.network).parent.name, plan.partition or "", decided, state])
    if json:
        print_json({"jobs": found})
    elif rows:
        print_table("jobs", ["job", "created", "network", "partition", "decided", "state"], rows)
    else:
        say("no jobs; 'aoi deploy NET --target slurm' submits one")


@app.command("status")
def show_status(job: JobArgument = "last", json: JsonFlag = False) -> None:
    """Show the state of a job and of its chunks.

    Example: aoi jobs status last
    """
    from aoi_deploy.jobs.queue import status
    from aoi_deploy.jobs.registry import find

    now = status(find(job))
    if json:
        print_json(now.json())
        return
    print_table(
        f"job {now.id}: {now.decided} of {now.samples} samples decided, {now.state}",
        ["chunk", "decided", "state", "Slurm job", "node", "last note"],
        [
            [
                str(each.chunk),
                f"{each.decided} of {each.samples}",
                f"{each.state}: {each.reason}" if each.reason else each.state,
                each.job or "",
                each.host or "",
                "" if each.seen_s is None else f"{each.seen_s:.0f} s ago",
            ]
            for each in now.chunks
        ],
    )
    if now.stopped:
        say(f"'aoi jobs continue {now.id}' resumes stopped chunks; 'aoi jobs logs {now.id}' shows their logs")


@app.command("logs")
def show_logs(job: JobArgument = "last", chunk: ChunkOption = None, json: JsonFlag = False) -> None:
    """Print the logs of a job.

    Example: aoi jobs logs last --chunk 0
    """
    from aoi_deploy.jobs.queue import logs
    from aoi_deploy.jobs.registry import find

    found = logs(find(job), chunk)
    if json:
        print_json({"logs": found})
        return
    if not found:
        say("no logs yet: no chunk has started")
    for name, text in found.items():
        print(f"==> {plain(name)} <==")
        for line in text.splitlines():
            print(plain(line))


@app.command()
def fetch(job: JobArgument = "last", out: OutOption = None, json: JsonFlag = False) -> None:
    """Fetch the results of a job.

    Writes results.jsonl and summary.json. Exits with code 1 if samples are missing.

    Example: aoi jobs fetch last --out runs/demo/deploy
    """
    from aoi_deploy.jobs.registry import find

    _fetch(find(job), out, json)


@app.command()
def attach(job: JobArgument = "last", out: OutOption = None, json: JsonFlag = False) -> None:
    """Wait for a job, then fetch its results.

    Shows a progress bar; Ctrl-C leaves the job in the queue.

    Example: aoi jobs attach last
    """
    from aoi_deploy.jobs import queue
    from aoi_deploy.jobs.registry import find

    folder = find(job)
    samples = folder.plan.chunks[-1][1]
    with progress() as advance:
        for done, _ in enumerate(queue.follow(folder), 1):
            advance("decided", done, samples)
    _fetch(folder, out, json)


@app.command()
def cancel(job: JobArgument, json: JsonFlag = False) -> None:
    """Cancel a job on the cluster.

    Decided samples are kept, and 'aoi jobs continue' resumes after them.

    Example: aoi jobs cancel last
    """
    from aoi_deploy.jobs import queue
    from aoi_deploy.jobs.registry import find

    folder = find(job)
    cancelled = queue.cancel(folder)
    _report(folder, {"cancelled": cancelled}, f"{cancelled} chunks cancelled", json)


@app.command("continue")
def resume(job: JobArgument = "last", json: JsonFlag = False) -> None:
    """Resume the stopped chunks of a job.

    Only samples that are not decided yet are run.

    Example: aoi jobs continue last
    """
    from aoi_deploy.jobs import queue
    from aoi_deploy.jobs.registry import find

    folder = find(job)
    submitted = queue.submit(folder)
    _report(folder, {"submitted": submitted}, f"{submitted} chunks submitted", json)


@app.command(hidden=True)
def work(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER")], chunk: Annotated[int, typer.Argument(metavar="CHUNK")]
) -> None:
    """Run the undecided samples of a chunk; a job calls this on its node."""
    from aoi_deploy.jobs.folder import JobFolder
    from aoi_deploy.jobs.worker import run_chunk

    run_chunk(JobFolder(folder), chunk)


def _report(folder: JobFolder, found: dict[str, Any], text: str, json: bool) -> None:
    if json:
        print_json({"id": folder.plan.id} | found)
    else:
        say(f"job {folder.plan.id}: {text}")


def _fetch(folder: JobFolder, out: Path | None, json: bool) -> None:
    from aoi.workflow.jobs import fetch_results

    with progress() as advance:
        found, missing = fetch_results(folder, out, advance)
    if json:
        print_json(found.to_dict())
    else:
        print_table(f"job {folder.plan.id}, {folder.plan.on_node} on the node", ["", ""], found.rows())
    if missing:
        total = len(found.outcomes) + missing
        raise CheckFailed(
            f"job {folder.plan.id}: {missing} of {total} samples are not decided yet; "
            f"'aoi jobs status {folder.plan.id}' shows its state"
        )

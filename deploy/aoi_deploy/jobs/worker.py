"""Runs the undecided samples of a chunk on this node, for ``aoi jobs work JOB CHUNK``.

If it is stopped, in whatever way, only the sample in flight is lost; started again, it resumes after the last one.
"""

from __future__ import annotations

import threading

from aoi.cutoff.rule import Rule
from aoi.errors import AoiError
from aoi_deploy.jobs.folder import JobFolder
from aoi_deploy.targets import open_session

_HEARTBEAT_S = 5.0


def run_chunk(folder: JobFolder, chunk: int) -> None:
    """Runs the undecided samples of a chunk. Raises AoiError if it fails, and writes the reason to the chunk's note."""
    with folder.results(chunk) as file:
        stop = threading.Event()

        def heartbeat() -> None:
            while not stop.wait(_HEARTBEAT_S):
                folder.write_note(chunk, "running")

        folder.write_note(chunk, "running")
        beat = threading.Thread(target=heartbeat, daemon=True)
        try:
            plan = folder.plan
            done = folder.decided(chunk)
            todo = [index for index in range(*plan.chunks[chunk]) if index not in done]
            if todo:
                work = folder.work()
                rule: Rule | None = work.rule
                # The session forks processes while it is built, so the heartbeat thread starts only afterwards.
                with open_session(
                    plan.on_node, work.network, steps=work.steps, model=work.model, board=plan.board
                ) as session:
                    beat.start()
                    session.rule = rule
                    for result in session.run(work.sample(index) for index in todo):
                        folder.append(file, work.outcome(result, todo[result.index]))
        except BaseException as error:
            stop.set()
            reason = str(error) if isinstance(error, AoiError) else f"{type(error).__name__}: {error}"
            folder.write_note(chunk, "failed", " ".join(reason.split()))
            raise
        stop.set()
        if beat.is_alive():
            beat.join()
        folder.write_note(chunk, "done")

"""Decides what is left of a chunk, on the node that runs this: ``aoi jobs work JOB CHUNK``.

Stopped at any moment, whatever stops it, it loses the sample in flight; started again, it resumes behind the last one.
"""

from __future__ import annotations

import threading

from aoi.cutoff.rule import Rule
from aoi.errors import AoiError
from aoi_deploy.jobs.folder import JobFolder
from aoi_deploy.targets import open_session

_HEARTBEAT_S = 5.0


def run_chunk(folder: JobFolder, chunk: int) -> None:
    """Raises AoiError where the target or the disk refuses; the chunk's note then says why."""
    with folder.results(chunk) as file:
        stop = threading.Event()

        def heartbeat() -> None:
            while not stop.wait(_HEARTBEAT_S):
                folder.note(chunk, "running")

        folder.note(chunk, "running")
        beat = threading.Thread(target=heartbeat, daemon=True)
        try:
            plan = folder.plan
            done = folder.decided(chunk)
            todo = [index for index in range(*plan.chunks[chunk]) if index not in done]
            if todo:
                work = folder.work()
                rule: Rule | None = work.rule
                # Processes are forked while the session is built: no other thread may run then.
                with open_session(
                    plan.on_node, work.network, steps=work.steps, model=work.model, board=plan.board
                ) as session:
                    beat.start()
                    session.rule = rule
                    for result in session.run(work.sample(index) for index in todo):
                        folder.append(file, work.outcome(result, todo[result.index]))
        except BaseException as error:
            stop.set()
            words = str(error) if isinstance(error, AoiError) else f"{type(error).__name__}: {error}"
            folder.note(chunk, "failed", " ".join(words.split()))
            raise
        stop.set()
        if beat.is_alive():
            beat.join()
        folder.note(chunk, "done")

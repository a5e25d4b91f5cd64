"""Job folders and login hosts of others: nothing in them runs, and what is wrong is said in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aoi.errors import AoiError, DataError
from aoi_deploy.cluster import slurm
from aoi_deploy.cluster.slurm import ClusterError, Resources
from aoi_deploy.jobs.folder import JobFolder
from aoi_deploy.jobs.remote import Remote, remote_of
from aoi_deploy.jobs.state import JobStatus

JOB = {
    "version": 1, "id": "one", "created": 0.0, "network": "a.net", "split": "test", "readout": "spikes", "policy": None,
    "model": "fused", "on_node": "sim", "chunks": [[0, 3]],
}  # fmt: skip


def job(tmp_path: Path, **fields: Any) -> JobFolder:
    (tmp_path / "chunks").mkdir()
    (tmp_path / "job.json").write_text(json.dumps(JOB | fields))
    return JobFolder(tmp_path)


@pytest.mark.parametrize("field", ["board", "partition"])
@pytest.mark.parametrize("text", ["x\ntouch PWNED\n#", "x y", "$(touch PWNED)", "-x", ""])
def test_what_reaches_a_batch_script_is_a_word(field: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is damaged"):
        _ = job(tmp_path, **{field: text}).plan


@pytest.mark.parametrize(
    ("folder", "name", "resources"),
    [
        ("a\ntouch PWNED\n#", "aoi-1", Resources()),
        ("a", "aoi\n1", Resources()),
        ("a", "aoi-1", Resources(comment="x\ny")),
        ("a", "aoi-1", Resources(partition="x\x1b[2J")),
    ],
)
def test_control_characters_never_reach_a_batch_script(
    folder: str, name: str, resources: Resources, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match="holds a control character") as caught:
        slurm.submit(None, [()], tmp_path / folder, name, resources)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", ["touch OWNED; aoi", "touch OWNED", "/tmp/aoi", "$(id)", "a\nb"])
def test_a_job_folder_names_no_command_for_a_login_host(command: str, tmp_path: Path) -> None:
    (tmp_path / "remote.json").write_text(json.dumps({"login": "host", "path": "x", "aoi": command}))
    with pytest.raises(DataError, match="names a command for the login host"):
        remote_of(JobFolder(tmp_path))


def test_the_users_own_command_is_kept_in_the_users_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOI_STATE_DIR", str(tmp_path / "state"))
    sent: list[str] = []
    monkeypatch.setattr(Remote, "_ssh", lambda self, command, content=b"": sent.append(command) or b'{"submitted": 1}')
    (tmp_path / "job").mkdir()
    folder = job(tmp_path / "job")
    Remote(login="host", path="my job", aoi="env A=1 aoi").push(folder)
    assert "aoi" not in json.loads((folder.path / "remote.json").read_text())
    found = remote_of(folder)
    assert found is not None
    assert found.aoi == "env A=1 aoi"
    assert found.submit(folder) == 1
    assert sent[-1] == "env A=1 aoi jobs continue 'my job' --json"
    folder.path.rename(tmp_path / "handed over")
    elsewhere = remote_of(JobFolder(tmp_path / "handed over"))
    assert elsewhere is not None
    assert elsewhere.aoi == "aoi"


def test_damaged_files_of_a_job(tmp_path: Path) -> None:
    folder = job(tmp_path)
    for name, content, read in (
        ("submitted.json", b"[1]", folder.submitted),
        ("submitted.json", b'{"0": ["1; rm"]}', folder.submitted),
        ("chunks/000.jsonl", b'{"index": "x"}\n', lambda: folder.decided(0)),
        ("chunks/000.jsonl", b"\xff\n", lambda: folder.decided(0)),
        ("samples.npz", b"PK\x03\x04", folder.spikes),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as caught:
            read()
        assert "\n" not in str(caught.value)
        (tmp_path / name).unlink()
    for content in (b"", b"{}", b'{"state": "done", "at": "x", "host": 1, "pid": 2}', b"\xff" * 9):
        (tmp_path / "chunks/000.note").write_bytes(content)
        assert folder.read_note(0) is None


answers = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "samples", "chunks", "chunk", "decided", "state", "submitted", "logs", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(answer=answers, verb=st.sampled_from(["submit", "status", "cancel", "logs"]))
def test_whatever_a_login_host_answers(answer: Any, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Remote, "_ssh", lambda *_: json.dumps(answer).encode())
    remote, folder = Remote(login="host", path="x"), JobFolder(tmp_path)
    try:
        found = remote.logs(folder, None) if verb == "logs" else getattr(remote, verb)(folder)
    except AoiError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert isinstance(found, (int, dict, JobStatus))

"""Atomic writes: a file is the old one or the complete new one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aoi.errors import WriteError
from aoi.files import atomic_file, atomic_path, claimed, write_atomically


def test_content_and_permissions(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert path.stat().st_mode == plain.stat().st_mode


def test_failure_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def break_off() -> None:
        with atomic_file(path) as file:
            file.write(b"half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_new_file_appears_only_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"new")
        assert not path.exists()
        assert temporary.parent == tmp_path
    assert path.read_bytes() == b"new"


def test_unwritable_paths_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    for path, reason in (
        (tmp_path / "file.txt" / "x", r"file\.txt/x: cannot be written"),
        (Path("/proc/x"), "/proc/x: cannot be written"),
        (Path("/dev/full"), "/dev/full: exists and is not a regular file"),
        (tmp_path / "folder", "folder: exists and is not a regular file"),
    ):
        with pytest.raises(WriteError, match=reason):
            write_atomically(path, b"new")
    assert (tmp_path / "file.txt").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "folder"]
    assert Path("/dev/full").is_char_device()


def test_full_disk_is_a_write_error_and_other_errors_are_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(WriteError, match="No space left"), atomic_path(path), Path("/dev/full").open("w") as full:
        full.write("new")
    with pytest.raises(FileNotFoundError), atomic_path(path):
        (tmp_path / "other").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_mode_and_symbolic_link_are_kept(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_claim_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with claimed(path, "aoi train"):
        code = f"from aoi.files import claimed; from pathlib import Path\nwith claimed(Path({str(path)!r}), 'x'): pass"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert other.returncode == 1
        assert f"WriteError: {path}: aoi train (process {os.getpid()} on " in other.stderr
    assert list(tmp_path.iterdir()) == []
    with claimed(path, "aoi train"):
        pass


def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "run"
    code = (
        f"from aoi.files import claimed; from pathlib import Path; import os, signal\n"
        f"with claimed(Path({str(path)!r}), 'x'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code])
    with claimed(path, "aoi train"):
        pass

"""The wheel in environments of its own: what plain pip makes of it on each Python, and the whole way on the newest."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.conftest import Built
from tests.packaging.pythons import UV, VERSIONS, find_python, newest, run
from tests.readme import python_blocks

pytestmark = pytest.mark.slow
TINY = Path(__file__).with_name("run_tiny_network.py")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder with packages of the names that our folders have, none of which may be imported."""
    folder = tmp_path / "project"
    for name in ("models", "deploy", "toolchain", "configs", "tests"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise RuntimeError('this is the package {name} of the user')")
    return folder


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("version", VERSIONS)
def test_core_by_plain_pip_then_lava(
    version: str, built: Built, project: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    interpreter = find_python(version)
    if interpreter is None:
        pytest.skip(f"this machine has no Python {version}, or no .tools/bin/uv to find it: run 'make setup'")
    venv, cache = tmp_path / "venv", {"AOI_CACHE_DIR": str(tmp_path / "cache")}
    python, aoi = venv / "bin" / "python", venv / "bin" / "aoi"
    run(interpreter, "-m", "venv", venv, cwd=tmp_path)
    run(python, "-m", "pip", "install", "--quiet", built.wheel, cwd=tmp_path)

    packages = {each["name"] for each in json.loads(run(python, "-m", "pip", "list", "--format=json", cwd=tmp_path))}
    assert not packages & {"torch", "lava-nc", "lava-dl", "lightning", "tonic", "submitit"}
    run(python, "-c", "import aoi, aoi_models, aoi_deploy", cwd=project)
    zoo = run(python, "-c", "import aoi_models.zoo; print(aoi_models.zoo.__path__[0])", cwd=project).strip()
    net = f"{zoo}/digits.net"
    assert run(aoi, "--version", cwd=project).startswith("aoi ")
    answers = json.loads(run(aoi, "evaluate", net, "--data", "digits", "--json", cwd=project, **cache))
    assert (answers["samples"], answers["steps"]) == (438, 24)
    assert answers["full_accuracy"] == pytest.approx(0.9703, abs=0.0001)  # integers: the same on each Python

    core, with_lava = python_blocks()
    (project / "first.py").write_text(core)
    assert "mean decision step" in run(python, "first.py", cwd=project, **cache)

    for _ in range(2):  # again: nothing changes
        installed = json.loads(run(aoi, "install-lava", "--json", cwd=project))
        assert (installed["lava_nc"], installed["lava_dl"]) == ("0.10.0", "0.6.0")
        assert not installed["slayer"]
        assert "torch is not installed" in installed["slayer_lacks"]
    assert "equal" in run(python, TINY, cwd=project)
    (project / "second.py").write_text(core + with_lava)
    assert len(run(python, "second.py", cwd=project, **cache).splitlines()) > 438
    arguments = ["--data", "digits", "--samples", "20", "--json"]
    deployed = json.loads(run(aoi, "deploy", net, *arguments, cwd=project, **cache))
    assert (deployed["samples"], deployed["target"]) == (20, "sim")
    exact = run(python, "-c", "import platform; print(platform.python_version())", cwd=project)
    record_property("python", exact.strip())


@pytest.mark.timeout(1500)
def test_everything_on_the_newest(built: Built, project: Path, tmp_path: Path) -> None:
    """All extras, Lava, and the demo. By uv, whose cache holds torch already; pip would fetch its gigabytes anew."""
    version = newest()
    if version is None:
        pytest.skip("no Python, or no .tools/bin/uv to find it: run 'make setup'")
    venv = tmp_path / "venv"
    python, aoi = venv / "bin" / "python", venv / "bin" / "aoi"
    run(UV, "venv", "--quiet", "--no-config", "--python", find_python(version), venv, cwd=tmp_path)
    wheel = f"aoi-toolchain[all] @ {built.wheel.as_uri()}"
    run(UV, "pip", "install", "--quiet", "--no-config", "--python", python, wheel, cwd=tmp_path, timeout=1200)
    path = {"PATH": f"{UV.parent}{os.pathsep}{os.environ['PATH']}"}  # uv makes environments without pip
    installed = json.loads(run(aoi, "install-lava", "--json", cwd=project, **path))
    assert installed["slayer"]
    summary = json.loads(run(aoi, "demo", "--json", cwd=project, AOI_CACHE_DIR=str(tmp_path / "cache")))
    assert summary["equal"]
    assert summary["accuracy"] >= 0.95
    assert (project / "runs" / "demo" / "network.net").is_file()
    print(f"Python {version}: the demo with all extras")

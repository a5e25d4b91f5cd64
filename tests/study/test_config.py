"""Study configurations: their cells, what each changes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from aoi.errors import ConfigError
from aoi.study.cells import RESULT_KEYS, CellFolder
from aoi.study.config import expand_cells, load_study

ROOT = Path(__file__).parents[2]
STUDY = f"""
name: small
seeds: [3, 4]
set: {{training.epochs: 2, training.regulariser.strength: 0.25}}
arms:
  none: {{training.regulariser: {{name: none}}}}
  str: {{training.regulariser: {{name: str, target: 0.2}}}}
experiments:
  digits: {{config: {ROOT}/configs/digits.yaml, set: {{training.epochs: 7}}}}
  other:
    config: {ROOT}/configs/nmnist.yaml
    source: ${{AOI_STUDY_TEST}}/there
    eval_split: calibration
    set: {{data.splits: {{validation: 0.1, calibration: 0.3}}}}
    arms: {{str: {{training.regulariser: {{name: str, target: 0.4}}}}}}
"""


def written(folder: Path, text: str = STUDY) -> Path:
    path = folder / "study.yaml"
    path.write_text(text)
    return path


def test_later_values_count_and_arms_of_a_seed_are_paired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOI_STUDY_TEST", "/data")
    path = written(tmp_path)
    study = load_study(path)
    by_name = {cell.name: cell.config for cell in expand_cells(study, path)}
    assert list(by_name)[:5] == [
        "digits/none/seed3",
        "digits/str/seed3",
        "other/none/seed3",
        "other/str/seed3",
        "digits/none/seed4",
    ]
    digits, other = by_name["digits/str/seed4"], by_name["other/str/seed4"]
    assert (digits.training.epochs, other.training.epochs) == (7, 2)
    assert (digits.training.regulariser.target, other.training.regulariser.target) == (0.2, 0.4)
    assert other.training.regulariser.strength == 0.25
    assert (other.seed, other.data.splits.seed, other.data.splits.calibration) == (4, 4, 0.3)
    assert other.data.source == "/data/there"
    assert study.references == ("none",)


def test_an_experiment_may_have_its_own_seeds(tmp_path: Path) -> None:
    own = STUDY.replace("set: {training.epochs: 7}", "seeds: [4, 9], set: {training.epochs: 7}")
    path = written(tmp_path, own)
    names = [cell.name for cell in expand_cells(load_study(path), path, {"other": "/else"}) if cell.arm == "str"]
    assert names == ["other/str/seed3", "digits/str/seed4", "other/str/seed4", "digits/str/seed9"]
    with pytest.raises(ConfigError, match=r"experiments\.digits\.seeds: a seed occurs twice"):
        load_study(written(tmp_path, own.replace("[4, 9]", "[4, 4]")))


def test_invalid_studies_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AOI_STUDY_TEST", raising=False)
    path = written(tmp_path)
    with pytest.raises(ConfigError, match=r"experiments\.other\.source.*AOI_STUDY_TEST is not set"):
        expand_cells(load_study(path), path)
    assert expand_cells(load_study(path), path, {"other": "/el$e"})[2].config.data.source == "/el$e"
    assert len(expand_cells(load_study(path), path, to_run=False)) == 8  # a table needs no recordings
    for wrong, match in (
        (STUDY.replace("seeds: [3, 4]", "seeds: [3, 3]"), "a seed occurs twice"),
        (STUDY.replace("seeds: [3, 4]", "seeds: [3, true]"), "seeds"),
        (STUDY.replace("seeds:", "baselines: [tet]\nseeds:"), "tet is not an arm"),
        (STUDY.replace("seeds:", "sedes: 1\nseeds:"), "unknown key 'sedes'"),
        (STUDY.replace("target: 0.4}}", "target: 0.4}, seed: 3}"), "seed: the study's seeds set it"),
    ):
        with pytest.raises(ConfigError, match=match):
            load_study(written(tmp_path, wrong))
    path = written(tmp_path, STUDY.replace("training.epochs: 7", "training.epoch: 7"))
    with pytest.raises(ConfigError, match=r"study\.yaml: experiment digits, arm none: .*unknown key 'training\.epoch'"):
        expand_cells(load_study(path), path, {"other": "/else"})


def test_only_the_digits_are_rendered_by_several_cameras(tmp_path: Path) -> None:
    several = STUDY.replace("set: {training.epochs: 7}", "cameras: 3, set: {training.epochs: 7}")
    path = written(tmp_path, several)
    found = expand_cells(load_study(path), path, {"other": "/else"})
    assert {cell.experiment: cell.cameras for cell in found} == {"digits": 3, "other": 1}
    with pytest.raises(ConfigError, match=r"experiments\.digits\.cameras = 3: only the digits are rendered.*/else"):
        expand_cells(load_study(path), path, {"digits": "/else", "other": "/else"})
    folder = CellFolder(found[0], tmp_path / found[0].name)
    folder.finish(dict.fromkeys(RESULT_KEYS, 3) | {"cameras": 1})
    assert folder.result() is None
    assert "was not evaluated with 3 cameras" in folder.missing()
    folder.finish(dict.fromkeys(RESULT_KEYS, 3) | {"cameras": 3})
    assert folder.result() is not None


def test_a_cell_says_why_it_is_missing(tmp_path: Path) -> None:
    path = written(tmp_path)
    cell = expand_cells(load_study(path), path, {"other": "/else"})[0]
    folder = CellFolder(cell, tmp_path / cell.name)
    assert folder.missing() == "has not run"
    with folder.lock():
        assert folder.missing() == "is running"
        with pytest.raises(ConfigError, match="another process"), folder.lock():
            pass
    folder.fail("ConfigError: no such thing")
    assert folder.missing() == "ConfigError: no such thing"
    whole = dict.fromkeys(RESULT_KEYS, 3)
    folder.finish(whole)
    assert folder.result() == whole
    folder.finish({"steps": 3})
    with pytest.raises(ConfigError, match="is not the result of a cell"):
        folder.result()
    folder.result_file.write_text('{"steps')
    with pytest.raises(ConfigError, match="damaged"):
        folder.result()

"""The guarantee of calibration holds in repeated calibrations with known truth, and is not vacuous."""

from __future__ import annotations

import numpy as np
import pytest

from aoi.cutoff.validity import (
    DISTRIBUTIONS,
    Repetitions,
    Runs,
    allowance_table,
    division_table,
    measure_divisions,
    repeat_calibration,
    validity_table,
)


def world(name: str) -> Runs:
    return DISTRIBUTIONS[name](4000, np.random.default_rng(1))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(DISTRIBUTIONS))
def test_the_true_drop_exceeds_max_drop_at_most_as_often_as_guaranteed(name: str) -> None:
    """2,000 repetitions; at most what a binomial with rate ``risk`` gives in 99 of 100 such tests."""
    result = repeat_calibration(world(name), samples=1500, repetitions=2000, max_drop=0.01, risk=0.05, seed=1)
    assert result.certified.all()
    assert result.exceeded <= result.most_exceeded
    assert result.drop.std() > 0


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["entropy", "gap", "conformal", "patience", "fixed", "int-confidence", "int-gap"])
def test_the_other_rules_keep_it_too(rule: str) -> None:
    result = repeat_calibration(
        world("turning"), samples=800, repetitions=400, max_drop=0.02, risk=0.1, rule=rule, seed=3
    )
    assert result.certified.all()
    assert result.exceeded <= result.most_exceeded


@pytest.mark.slow
@pytest.mark.parametrize("name", ["steady", "turning", "late"])
def test_it_stops_nearly_as_early_as_the_oracle(name: str) -> None:
    """5,000 recordings, max-drop 0.01, risk 0.05: at least 80 % as early as the oracle threshold, in the ratio of mean
    steps and in the steps saved."""
    result = repeat_calibration(
        world(name), samples=5000, repetitions=100, max_drop=0.01, risk=0.05, oracle=True, seed=2
    )
    assert result.certified.all()
    assert result.earliness.mean() >= 0.8
    assert result.exceeded <= result.most_exceeded


def test_a_test_that_certifies_everything_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation can fail: a test that passes everything exceeds the drop nearly always."""
    from aoi.cutoff import exact

    monkeypatch.setattr(exact, "shows_drop_at_most", lambda *_: True)
    result = repeat_calibration(world("late"), samples=600, repetitions=20, max_drop=0.01, risk=0.05)
    assert result.exceeded > result.most_exceeded


def test_earliness_is_the_smaller_of_two_ratios() -> None:
    mean, oracle = np.array([4.0, 14.0, 16.0]), np.array([2.0, 12.0, 16.0])
    nothing = np.zeros(3)
    result = Repetitions(0.01, 0.05, nothing, nothing == 0, mean, oracle, 16)
    # 2 of 4 against 12 of 14 steps saved; 12 of 14 against 2 of 4; nothing to save, nothing saved.
    assert result.earliness.tolist() == pytest.approx([0.5, 0.5, 1.0])


def test_the_oracle_is_no_later_than_a_rule_that_keeps_the_drop() -> None:
    result = repeat_calibration(world("steady"), samples=600, repetitions=3, max_drop=0.02, risk=0.1, oracle=True)
    kept = result.drop <= 0.02
    assert kept.any()
    assert (result.oracle_step[kept] <= result.mean_step[kept] + 1e-9).all()


def test_divisions_calibrate_on_one_part_and_test_on_the_other() -> None:
    parts = measure_divisions(world("steady"), divisions=3, samples=2400, max_drop=0.01, risk=0.05)
    assert len({part.threshold for part in parts}) > 1
    assert all(part.certified and part.drop < 0.03 and part.mean_step < 16 for part in parts)


def test_divisions_by_object_keep_objects_apart() -> None:
    runs, object_of = world("steady"), np.arange(4000) % 1000
    seen: list[np.ndarray] = []

    class Parts(Runs):
        def take(self, indices: np.ndarray) -> Runs:
            seen.append(indices)
            return runs.take(indices)

    measure_divisions(
        Parts(runs.scores, runs.labels), divisions=2, samples=400, max_drop=0.01, risk=0.05, object_of=object_of
    )
    for mine, rest in zip(seen[::2], seen[1::2], strict=True):
        assert len(mine) == len(set(object_of[mine])) == 400
        assert not set(object_of[mine]) & set(object_of[rest])
        assert len(rest) == 600 * 4
    assert len({int(index) // 1000 for index in seen[0]}) == 4  # any of an object's recordings may be the one


@pytest.mark.slow
def test_tables() -> None:
    small = world("turning").take(np.arange(900))
    table = validity_table({"turning": small}, repetitions=2, max_drop=0.02, risk=0.1).splitlines()
    assert len(table) == 3
    assert table[2].startswith("| turning | 100.0% |")
    rows = division_table(small, rules=("confidence", "fixed"), trials=((540, 0.02),), divisions=2).splitlines()
    assert len(rows) == 4
    assert rows[2].startswith("| confidence | 540 | 0.02 | 2 of 2 |")
    assert "| 598 | 0.005 | 0 |" in allowance_table()

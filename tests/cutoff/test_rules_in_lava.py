"""Every rule in the Lava monitor decides as on the engine's scores, sample by sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aoi.cutoff.calibration import fit_rule
from aoi.cutoff.rule import RULES, decide, parse_rule, rule_of_policy
from aoi.engine import Engine
from aoi.netx import Cuba, CutoffPolicy, Dense, Metadata, NetworkDescription, read_network, write_network
from aoi_deploy.lava.session import LavaSession

STEPS, SAMPLES = 16, 100
THRESHOLDS = {
    "fixed": 5,
    "confidence": 0.8,
    "entropy": 0.6,
    "gap": 0.8,
    "conformal": 0.5,
    "patience": 4,
    "int-confidence": 0.8,
    "int-gap": 0.8,
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random network whose file holds a rule with parameters."""
    rng = np.random.default_rng(7)
    weights = [2 * rng.integers(-40, 44, shape).astype(np.int32) for shape in ((30, 48), (10, 30))]
    for weight in weights:
        weight.flat[0], weight.flat[1] = -256, 254
    fires = Cuba(150, 1024, 256)
    path = tmp_path_factory.mktemp("rules") / "small.net"
    policy = CutoffPolicy(rule="gap", threshold=1.25, scale=0.5, params={"units": [1.0, 2.0, 2.5]})
    description = NetworkDescription((48,), tuple(Dense(str(i), weight, fires) for i, weight in enumerate(weights)))
    write_network(path, description, Metadata(policy=policy))
    return path


@pytest.mark.slow
def test_decisions_equal_those_of_the_engine(network: Path) -> None:
    file = read_network(network)
    rng = np.random.default_rng(0)
    rate = rng.uniform(0.05, 0.5, (SAMPLES, 1, 1))
    samples = (rng.random((SAMPLES, 48, STEPS)) < rate).astype(np.uint8)
    scores = Engine(file.description).run(samples).scores
    labels = scores[..., -1].argmax(axis=1)
    assert set(THRESHOLDS) == set(RULES)
    rules = [fit_rule(name, scores, labels).with_threshold(threshold) for name, threshold in THRESHOLDS.items()]
    rules += [
        rule_of_policy(file.metadata.policy),  # type: ignore[union-attr, arg-type]
        fit_rule("confidence", scores, labels, "step").with_threshold(0.8),
        parse_rule("patience:2"),
        None,
    ]
    with LavaSession(file, steps=STEPS, model="stock") as session:
        for rule in rules:
            expected = decide(rule, scores)
            assert rule is None or rule.name == "fixed" or len(set(expected.step.tolist())) >= 3, "stops all alike"
            session.rule = rule
            results = list(session.run(samples))
            np.testing.assert_array_equal([r.decision_step for r in results], expected.step, str(rule))
            np.testing.assert_array_equal([r.prediction for r in results], expected.prediction, str(rule))
            np.testing.assert_array_equal([r.confidence for r in results], expected.confidence, str(rule))

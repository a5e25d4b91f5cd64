"""One rule: step by step, batched and over whole arrays it decides alike."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toolchain.cutoff.rule import ConfidenceRule, decide

RULES = st.builds(
    ConfidenceRule,
    threshold=st.floats(0.05, 1.0),
    scale=st.floats(1e-5, 10),
)
SCORES = hnp.arrays(
    np.int64,
    st.tuples(st.integers(1, 9), st.integers(2, 12), st.integers(1, 20)),
    elements=st.integers(-5, 5) | st.integers(-(2**23), 2**23),
).map(lambda increments: increments.cumsum(axis=-1))


@settings(max_examples=300, deadline=None)
@given(rule=RULES, scores=SCORES)
def test_step_by_step_batched_and_whole_arrays_decide_alike(rule: ConfidenceRule, scores: np.ndarray) -> None:
    whole = decide(rule, scores)
    samples, _, steps = scores.shape
    for sample in range(samples):
        for t in range(1, steps + 1):
            if rule.stops(scores[sample, :, t - 1]) or t == steps:
                break
        at_decision = scores[sample, :, t - 1]
        assert whole.step[sample] == t
        assert whole.prediction[sample] == at_decision.argmax()
        assert whole.confidence[sample] == rule.confidence(at_decision)  # the same bits
    running = np.arange(samples)
    for t in range(1, steps + 1):  # finished samples leave the batch
        stops = rule.stops(scores[running, :, t - 1]) | (t == steps)
        assert (whole.step[running[stops]] == t).all()
        running = running[~stops]
    assert running.size == 0


@settings(max_examples=100, deadline=None)
@given(rule=RULES, scores=SCORES)
def test_confidence_is_the_largest_softmax(rule: ConfidenceRule, scores: np.ndarray) -> None:
    from scipy.special import softmax

    expected = softmax(rule.scale * np.moveaxis(scores, 1, -1).astype(float), axis=-1).max(axis=-1)
    assert np.allclose(rule.confidence(np.moveaxis(scores, 1, -1)), expected, rtol=1e-9)


@settings(max_examples=100, deadline=None)
@given(rule=RULES, scores=SCORES, more=st.floats(0, 1))
def test_a_higher_threshold_never_stops_earlier(rule: ConfidenceRule, scores: np.ndarray, more: float) -> None:
    careful = ConfidenceRule(rule.threshold + more * (1 - rule.threshold), rule.scale)
    assert (decide(careful, scores).step >= decide(rule, scores).step).all()


def test_without_a_rule_all_steps_run() -> None:
    scores = np.array([[[0, 5], [1, 2]]])
    decisions = decide(None, scores)
    assert decisions.step.tolist() == [2]
    assert decisions.prediction.tolist() == [0]

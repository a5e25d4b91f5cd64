"""Does the guarantee hold, and what does it cost? Repeated calibration where the true drop is known.

Calibration recordings are drawn with replacement from a population of runs, so that the true drop of a rule is exactly
its drop on the whole population.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from aoi.choices import RuleName
from aoi.cutoff.calibration import calibrate
from aoi.cutoff.exact import losses_allowed
from aoi.cutoff.rule import Rule, candidates, decide, statistics, stop_steps

STEPS = 16
CLASSES = 5


@dataclass(frozen=True, eq=False)
class Runs:
    """Whole runs: scores (samples, classes, T), labels (samples,)."""

    scores: np.ndarray
    labels: np.ndarray

    def take(self, indices: np.ndarray) -> Runs:
        return Runs(self.scores[indices], self.labels[indices])


def steady(samples: int, generator: np.random.Generator) -> Runs:
    """Spike counts: the true class fires more often than the others, the more so the easier the sample."""
    labels = generator.integers(0, CLASSES, samples)
    rates = np.full((samples, CLASSES), 0.2)
    rates[np.arange(samples), labels] = generator.uniform(0.3, 1.2, samples)
    counts = generator.poisson(rates[..., None], (samples, CLASSES, STEPS))
    return Runs(counts.cumsum(axis=-1), labels)


def turning(samples: int, generator: np.random.Generator, share: float = 0.08) -> Runs:
    """Spike counts whose leading class changes in ``share`` of the runs, half of them from wrong to correct and half
    the other way: stopping early loses some answers and gains others."""
    labels = generator.integers(0, CLASSES, samples)
    other = (labels + generator.integers(1, CLASSES, samples)) % CLASSES
    kind, turn = generator.random(samples), generator.integers(2, STEPS // 2, samples)
    first = np.where(kind < share / 2, other, labels)
    then = np.where((kind >= share / 2) & (kind < share), other, labels)
    rows, before = np.arange(samples), np.arange(STEPS) < turn[:, None]
    rates = np.full((samples, CLASSES, STEPS), 0.1)
    rates[rows, first] += 1.0 * before
    rates[rows, then] += 1.6 * ~before
    return Runs(generator.poisson(rates).cumsum(axis=-1), labels)


def restless(samples: int, generator: np.random.Generator) -> Runs:
    """As ``turning``, in a quarter of the runs: losses and gains are so many that their noise hides small drops."""
    return turning(samples, generator, share=0.25)


def late(samples: int, generator: np.random.Generator) -> Runs:
    """Voltages with a drift of random onset in heavy-tailed noise of random strength: early confidence misleads."""
    labels = generator.integers(0, CLASSES, samples)
    onset = generator.geometric(0.35, samples)
    noise = generator.standard_t(3, (samples, CLASSES, STEPS)) * generator.gamma(2.0, 300, (samples, 1, 1))
    noise[np.arange(samples), labels] += 2500 * (np.arange(1, STEPS + 1) >= onset[:, None])
    return Runs(noise.cumsum(axis=-1).astype(np.int64), labels)


DISTRIBUTIONS: dict[str, Callable[[int, np.random.Generator], Runs]] = {
    "steady": steady,
    "turning": turning,
    "late": late,
    "restless": restless,
}


@dataclass(frozen=True, eq=False)
class Repetitions:
    """Outcomes of repeated calibration, arrays (repetitions,)."""

    max_drop: float
    risk: float
    drop: np.ndarray  # true drop of the chosen threshold
    certified: np.ndarray  # bool
    mean_step: np.ndarray  # true mean decision step
    oracle_step: np.ndarray  # mean step of the earliest candidate that truly keeps max_drop; NaN if not requested
    steps: int  # T

    @property
    def exceeded(self) -> int:
        """Certified repetitions whose true drop is above max_drop."""
        return int((self.certified & (self.drop > self.max_drop + 1e-12)).sum())

    @property
    def most_exceeded(self) -> int:
        """The most that chance explains if the guarantee holds: the 99 % quantile of a binomial with rate ``risk``."""
        return int(binom.ppf(0.99, len(self.drop), self.risk))

    @property
    def earliness(self) -> np.ndarray:
        """Closeness to the oracle: the smaller of its mean step over ours, and our saved steps over its saved steps."""
        saved, possible = self.steps - self.mean_step, self.steps - self.oracle_step
        saved = np.where(possible > 0, saved / np.where(possible > 0, possible, 1.0), 1.0)  # nothing to save: 1
        return np.minimum(self.oracle_step / self.mean_step, saved)


def repeat_calibration(
    population: Runs,
    *,
    samples: int,
    repetitions: int,
    max_drop: float,
    risk: float,
    rule: RuleName = "confidence",
    oracle: bool = False,
    seed: int = 0,
) -> Repetitions:
    """Draws ``samples`` runs from ``population`` with replacement, calibrates on them and measures on all of it."""
    generator = np.random.default_rng(seed)
    full = (decide(None, population.scores).prediction == population.labels).mean()
    rows = []
    for _ in range(repetitions):
        drawn = population.take(generator.integers(0, len(population.labels), samples))
        result = calibrate(
            drawn.scores,
            drawn.labels,
            max_drop=max_drop,
            risk=risk,
            rule=rule,
            seed=int(generator.integers(2**31)),
        )
        chosen = decide(result.rule, population.scores)
        drop = full - (chosen.prediction == population.labels).mean()
        best = _oracle_step(result.rule, population, max_drop) if oracle else np.nan
        rows.append((drop, result.certified, chosen.step.mean(), best))
    drop, certified, mean_step, oracle_step = np.array(rows, dtype=np.float64).T
    return Repetitions(max_drop, risk, drop, certified == 1, mean_step, oracle_step, population.scores.shape[-1])


def _oracle_step(rule: Rule, population: Runs, max_drop: float) -> float:
    """Smallest mean step among the rule's candidates whose drop on ``population`` is at most ``max_drop``."""
    table, correct = statistics(rule, population.scores), population.scores.argmax(axis=1) == population.labels[:, None]
    rows, best = np.arange(len(table)), float(table.shape[1])
    for threshold in candidates(rule, table.shape[1]):
        step = stop_steps(table, threshold)
        if correct[:, -1].mean() - correct[rows, step - 1].mean() <= max_drop + 1e-12:
            best = min(best, float(step.mean()))
    return best


@dataclass(frozen=True)
class Division:
    """The outcome of one random division of recordings into a calibration part and a test part."""

    certified: bool
    threshold: float
    drop: float  # on the test part
    mean_step: float  # on the test part


def measure_divisions(
    runs: Runs,
    *,
    divisions: int,
    samples: int,
    max_drop: float,
    risk: float,
    rule: RuleName = "confidence",
    object_of: np.ndarray | None = None,
    seed: int = 0,
) -> list[Division]:
    """Calibrates on ``samples`` recordings and tests on the others, for ``divisions`` random divisions.

    ``object_of`` (recordings,): the object in each recording. If given, one recording each of ``samples`` objects
    calibrates, and all recordings of the other objects test.
    """
    generator, results = np.random.default_rng(seed), []
    for _ in range(divisions):
        order = generator.permutation(len(runs.labels))
        fit, test = order[:samples], order[samples:]
        if object_of is not None:
            objects, first = np.unique(object_of[order], return_index=True)
            chosen_objects = generator.permutation(len(objects))[:samples]
            fit, test = order[first[chosen_objects]], np.flatnonzero(~np.isin(object_of, objects[chosen_objects]))
        known, unseen = runs.take(fit), runs.take(test)
        result = calibrate(known.scores, known.labels, max_drop=max_drop, risk=risk, rule=rule)
        chosen = decide(result.rule, unseen.scores)
        full = (decide(None, unseen.scores).prediction == unseen.labels).mean()
        drop = float(full - (chosen.prediction == unseen.labels).mean())
        results.append(Division(result.certified, result.threshold, drop, float(chosen.step.mean())))
    return results


def validity_table(
    populations: dict[str, Runs], *, repetitions: int = 2000, max_drop: float = 0.01, risk: float = 0.05
) -> str:
    """Markdown table: how often a certified drop is exceeded, with 1,500 recordings; how early it stops, with 5,000.

    ``populations``: by name, for instance from :data:`DISTRIBUTIONS`.
    """
    rows = []
    for name, population in populations.items():
        held = repeat_calibration(
            population, samples=1500, repetitions=repetitions, max_drop=max_drop, risk=risk, seed=1
        )
        early = repeat_calibration(
            population,
            samples=5000,
            repetitions=max(repetitions // 20, 2),
            max_drop=max_drop,
            risk=risk,
            oracle=True,
            seed=2,
        )
        rows.append(
            f"| {name} | {held.certified.mean():.1%} | {held.exceeded} of {repetitions} | {held.most_exceeded} "
            f"| {early.mean_step.mean():.2f} | {early.oracle_step.mean():.2f} | {early.earliness.mean():.3f} |"
        )
    head = (
        f"| population | certified (1,500) | true drop above {max_drop:g} | allowed at {risk:g}, 99 % "
        "| mean step (5,000) | oracle | as early |"
    )
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def division_table(
    runs: Runs,
    *,
    rules: tuple[RuleName, ...],
    trials: tuple[tuple[int, float], ...],
    object_of: np.ndarray | None = None,
    divisions: int = 20,
    risk: float = 0.05,
) -> str:
    """Markdown table of random divisions of recordings; ``trials``: pairs of calibration recordings and max_drop."""
    rows = []
    for rule in rules:
        for samples, max_drop in trials:
            parts = measure_divisions(
                runs, divisions=divisions, samples=samples, max_drop=max_drop, risk=risk, rule=rule, object_of=object_of
            )
            above = sum(part.certified and part.drop > max_drop + 1e-12 for part in parts)
            rows.append(
                f"| {rule} | {samples:,} | {max_drop:g} | {sum(part.certified for part in parts)} of {divisions} "
                f"| {above} of {divisions} | {np.mean([part.drop for part in parts]):.4f} "
                f"| {max(part.drop for part in parts):.4f} | {np.mean([part.mean_step for part in parts]):.2f} |"
            )
    head = "| rule | calibrate | max-drop | certified | measured drop above it | mean drop | largest | mean step |"
    return "\n".join([head, "|---|---|---|---|---|---|---|---|", *rows])


def allowance_table(risk: float = 0.05) -> str:
    """Markdown table: losses that the exact test allows for some numbers of gains (0: as the binomial test)."""
    gains = (0, 5, 10, 20, 40)
    rows = []
    for samples, max_drop in ((598, 0.005), (1200, 0.01), (4000, 0.01), (4000, 0.005), (20_000, 0.005)):
        allowed = losses_allowed(samples, max_drop, risk)
        cells = " | ".join(str(allowed[min(gained, len(allowed) - 1)]) for gained in gains)
        rows.append(f"| {samples:,} | {max_drop:g} | {cells} |")
    head = "| recordings tested | max-drop | " + " | ".join(f"{gained} gained" for gained in gains) + " |"
    return "\n".join([head, "|---" * (2 + len(gains)) + "|", *rows])

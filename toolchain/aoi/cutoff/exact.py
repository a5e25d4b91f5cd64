"""An exact test of "the cutoff loses more than max_drop of accuracy", on paired counts.

Of n recordings, L are lost (correct at T, wrong where the run stops) and G are gained (wrong at T, correct where it
stops). The drop is E[X] with X = +1, -1, 0 of probabilities a, b, 1 - a - b. The null hypothesis is a - b >= max_drop.

The test rejects if ``L <= allowed[G]``. Its level is the largest probability of rejection under the null hypothesis:

* Given G, the region is closed downwards in L, and L given G is binomial with a success rate that grows with a. So the
  probability falls with a and is largest on the line a = b + max_drop: one nuisance parameter b remains.
* With c = allowed[0], the probability on that line is h(b) + k(b): h = P(L <= c) falls with b, since L is binomial
  with rate b + max_drop; k is the rest. Between two grid points k exceeds its larger end value by at most
  ``width^2 / 8 * n * I(b)``, I the Fisher information: the second derivative of the probability of any event is
  E[1_event (l'^2 + l'')] of the log-likelihood l, its mean over all is 0, and E[l'^2] = E[-l''] = n I with l'' <= 0.
* At the ends of the line the intervals are so short that n trials hardly ever differ between their end points.
* Beyond the grid, the probability is at most h + P(G within the table), and both terms fall with b.

So the level holds for every a, b and n, without approximation and also between the grid points. ``c`` is what the
binomial test on the losses alone allows (this test at b = 0), which makes this test at least as powerful; each gain
allows about one more loss. The score statistic of paired differences (Tango, Stat. Med. 17, 1998) decides which (L, G)
to add for G > 0, and a bisection on its critical value how many.
Such unconditional tests are Barnard's; for paired non-inferiority see Hsueh, Liu and Chen, Biometrics 57, 2001.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import bdtr, gammaln

_SLACK = 2e-4  # largest error bound of the interpolation on one grid interval
_TINY = 1e-9  # probabilities that are neglected and added to the level instead
_RESERVE = 10 * _TINY  # of the risk, reserved for them


def samples_needed(max_drop: float, risk: float) -> int:
    """The fewest recordings that can show a drop of at most ``max_drop`` at this risk, if none is lost.

    ``risk`` is at least :data:`aoi.cutoff.checks.MIN_RISK`.
    """
    return math.ceil(math.log(risk - _RESERVE) / math.log1p(-max_drop))


@lru_cache(maxsize=64)
def losses_allowed(samples: int, max_drop: float, risk: float) -> np.ndarray:
    """``allowed``, int64 (gains,): with G gains, up to ``allowed[min(G, len - 1)]`` losses reject "drop >= max_drop".

    An entry is -1 if no number of losses does. The probability of a rejection is at most ``risk`` for every drop of
    ``max_drop`` or more.
    """
    n, delta = samples, max_drop
    most = _binomial_limit(n, delta, risk)
    gains = np.arange(min(n, max(math.ceil(6 * n * delta), n // 4, 40), 1200) + 1)
    z = _score(n, delta, gains, most)
    level = _Level(n, delta, most, gains, risk)

    def region(critical: float) -> np.ndarray:
        """Losses allowed for each number of gains: as long as the score is at most -critical, but at least ``most``."""
        more = np.logical_and.accumulate(z <= -critical, axis=1).sum(axis=1)
        return np.where(gains == 0, most, most + more)

    low, high = 0.5, 0.5
    while level.of(region(high), every=6) > risk:
        low, high = high, high + 1.0
        if high > 40:  # the risk is too small for more than the binomial test
            return np.array([most])
    while high - low > 2e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if level.of(region(middle), every=6) <= risk else (middle, high)
    while level.of(region(high)) > risk:  # the coarse grid underestimated the level
        high *= 1.002
        if high > 40:
            return np.array([most])
    allowed = np.minimum(region(high), n - gains)
    allowed = np.append(allowed, min(most, n - len(gains)))  # beyond the table, as without gains
    allowed.setflags(write=False)
    return allowed


def shows_drop_at_most(lost: int, gained: int, samples: int, max_drop: float, risk: float) -> bool:
    """Whether the counts reject "the drop is max_drop or more" at level ``risk``."""
    allowed = losses_allowed(samples, max_drop, risk)
    return bool(lost <= allowed[min(gained, len(allowed) - 1)])


def _binomial_limit(n: int, delta: float, risk: float) -> int:
    """Largest c with P(Binomial(n, delta) <= c) <= risk; -1 if there is none."""
    counts = np.arange(math.ceil(n * delta) + 2)
    return int((bdtr(counts, n, delta) <= risk - _RESERVE).sum()) - 1


def _score(n: int, delta: float, gains: np.ndarray, most: int) -> np.ndarray:
    """Score statistic (gains, j) of most + 1 + j losses: (L - G - n delta) over its deviation under a = b + delta."""
    losses = most + 1 + np.arange(len(gains) + math.ceil(n * delta))
    g, lost = gains[:, None].astype(float), losses[None, :].astype(float)
    middle = lost * (1 - delta) + g * (1 - 3 * delta) - 2 * (n - lost - g) * delta
    b = (middle + np.sqrt(middle**2 + 8 * n * g * delta * (1 - delta))) / (4 * n)  # maximum likelihood b on the line
    return np.where(lost + g <= n, (lost - g - n * delta) / np.sqrt(n * (2 * b + delta - delta**2)), np.inf)


class _Level:
    """Upper bound of the probability of a rejection region over the line a = b + delta."""

    def __init__(self, n: int, delta: float, most: int, gains: np.ndarray, risk: float) -> None:
        self._n, self._most, self._gains = n, most, gains
        end = (1 - delta) / 2
        b = [0.0, _TINY / n]
        while end - b[-1] > _TINY / n and self._beyond(b[-1], delta) > risk / 2:
            here, left = b[-1], end - b[-1]
            information = 1 / here + 1 / (here + delta) + 2.2 / left
            b.append(here + min(0.05 * here, 0.05 * left, math.sqrt(8 * _SLACK / (n * information))))
        whole = end - b[-1] <= _TINY / n  # the grid covers the line
        self._b = np.array([*b, end] if whole else b)
        self._a = self._b + delta
        self._h = _cdf(most, n, self._a)
        self._last = 0.0 if whole else self._beyond(b[-1], delta)
        inner = self._b[1:]
        most_information = 1 / inner[:-1] + 1 / self._a[1:-1] + 2 / np.maximum(end - inner[1:], 1e-300)
        self._slack = np.append(2 * _TINY, np.diff(inner) ** 2 / 8 * n * most_information)
        if whole:
            self._slack[-1] = 2 * _TINY
        with np.errstate(divide="ignore", invalid="ignore"):
            log_pmf = gammaln(n + 1) - gammaln(gains + 1) - gammaln(n - gains + 1)
            log_pmf = log_pmf + gains * np.log(self._b[:, None]) + (n - gains) * np.log1p(-self._b[:, None])
        self._pmf = np.exp(log_pmf)
        self._pmf[0] = gains == 0
        self._seen = self._pmf > _TINY / len(gains)

    def _beyond(self, b: float, delta: float) -> float:
        return float(bdtr(self._gains[-1], self._n, b) + _cdf(self._most, self._n, np.array(b + delta)))

    def of(self, allowed: np.ndarray, every: int = 1) -> float:
        """The bound. ``every`` > 1: an estimate from every n-th grid point only, without what lies between them."""
        rows = np.arange(0, len(self._b), every)
        mask = self._seen[rows] & (allowed > self._most)
        row, gain = np.nonzero(mask)
        at = rows[row]
        trials, rate = self._n - gain, self._a[at] / (1 - self._b[at])
        more = _cdf(np.minimum(allowed[gain], trials), trials, rate) - _cdf(self._most, trials, rate)
        k = np.bincount(row, self._pmf[at, gain] * more, minlength=len(rows)) + _TINY
        if every > 1:
            return float((self._h[rows] + k).max())
        between = self._h[:-1] + np.maximum(k[:-1], k[1:]) + self._slack
        return float(max(between.max(), self._last))


def _cdf(count: int | np.ndarray, trials: int | np.ndarray, rate: np.ndarray) -> np.ndarray:
    """P(Binomial(trials, rate) <= count), 0 for count = -1 and 1 for count >= trials."""
    count, trials = np.asarray(count), np.asarray(trials)
    inside = bdtr(np.clip(count, 0, np.maximum(trials - 1, 0)), trials, np.minimum(rate, 1.0))
    result: np.ndarray = np.where(count < 0, 0.0, np.where(count >= trials, 1.0, inside))
    return result

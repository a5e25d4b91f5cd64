"""Fits a stopping rule and writes it into the network file: ``aoi.calibrate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aoi.choices import RuleName, Temperature
from aoi.cutoff.calibration import Calibration, is_silent
from aoi.cutoff.calibration import calibrate as fit
from aoi.cutoff.checks import check_request
from aoi.cutoff.rule import Rule
from aoi.errors import DataError
from aoi.events.recording import set_fingerprint
from aoi.files import claimed
from aoi.netx.metadata import CutoffPolicy, Metadata
from aoi.netx.write import update_metadata
from aoi.workflow.evaluate import run_engine
from aoi.workflow.network import Network, refuse_zoo
from aoi.workflow.progress import Progress, log
from aoi.workflow.recordings import Recordings, refuse_trained_on
from aoi.workflow.result import Result


@dataclass(frozen=True, eq=False, repr=False)
class Calibrated(Result):
    """A calibrated rule and its evidence."""

    network: str
    """The file that now holds the rule."""
    calibration: Calibration
    skipped: int
    """Number of damaged recordings that were skipped."""

    @property
    def rule(self) -> Rule:
        return self.calibration.rule

    def to_dict(self) -> dict[str, Any]:
        found = self.calibration
        return {
            **found.evidence(),
            "temperature": found.temperature,
            "calibration_samples": found.samples,
            "skipped": self.skipped,
            "network": self.network,
        }

    def rows(self) -> Sequence[tuple[str, str]]:
        found = self.calibration
        certified = "yes" if found.certified else f"no: it takes at least {found.samples_needed} recordings"
        if not found.certified and found.samples >= found.samples_needed:
            certified = "no: even the latest stops lose too many recordings"
        single = "" if found.certified else ", for this threshold alone"
        tested = f", {found.test_samples} of them for the threshold" if found.test_samples < found.samples else ""
        return [
            ("recordings", f"{found.samples}{tested}"),
            ("rule, threshold", f"{found.rule.name}, {found.threshold:.6g}"),
            ("temperature (1 / scale)", f"{found.temperature:.4g}"),
            ("accuracy at T", f"{found.full_accuracy:.4f}"),
            ("accuracy drop, allowed", f"{found.accuracy_drop:.4f}, {found.max_drop:g}"),
            (f"upper bound of the drop at {100 * (1 - found.risk):g}%{single}", f"{found.bound:.4f}"),
            ("certified", certified),
            ("mean decision step", f"{found.mean_decision_step:.2f}"),
        ]


def check_split(split: str) -> None:
    """Raises DataError for a split that must not be used for calibration."""
    if split in ("train", "validation", "test"):
        reason = "it is kept for reporting" if split == "test" else "it was used in training"
        raise DataError(f"split {split}: {reason}; calibrate on 'calibration', report on 'test'")


def calibrate(
    network: Network,
    data: Recordings,
    *,
    max_drop: float = 0.005,
    risk: float = 0.05,
    rule: RuleName = "confidence",
    temperature: Temperature = "shared",
    progress: Progress | None = None,
) -> Calibrated:
    """Fits a rule and chooses its threshold on recordings not used in training, and writes it into the file atomically.

    A file without encoding, classes and data set, such as stock lava-dl writes, gets those of ``data``, so that later
    calls need no options.

    Args:
        network: the network, from :func:`aoi.load`; load it again to use the rule.
        data: recordings of the split ``calibration``, or an array.
        max_drop: largest accuracy drop from T, between 0 and 1.
        risk: largest probability that the drop exceeds ``max_drop`` although it is certified.
        rule: name of the rule.
        temperature: "shared", one for all steps, or "step", one per step.
        progress: called with (label, done, total).

    Raises:
        DataError: an argument is out of range, the recordings are reserved for training or reporting, or the file
            belongs to the zoo.
        WriteError: the file cannot be rewritten.

    Example:
        >>> aoi.calibrate(net, aoi.open_data("digits", net, split="calibration")).rule.name
        'confidence'
    """
    check_request(max_drop, risk, rule, temperature)
    refuse_zoo(network)
    with claimed(network.path, "aoi calibrate"):
        return _calibrate(network, data, max_drop, risk, rule, temperature, progress)


def _calibrate(
    network: Network,
    data: Recordings,
    max_drop: float,
    risk: float,
    rule: RuleName,
    temperature: Temperature,
    progress: Progress | None,
) -> Calibrated:
    if data.config is not None:
        check_split(data.split)
    refuse_trained_on(network, data.spikes, "", "calibrate on other recordings")
    skipped = len(data.spikes.skipped)
    data, copies = _without_copies(data)
    scores = run_engine(network, data, "running on the engine", progress).scores
    if is_silent(scores):
        log.warning(
            "%s: all outputs are equal at every step on all %d recordings; the network gives no answer",
            network.path,
            len(data),
        )
    found = fit(scores, data.labels, max_drop=max_drop, risk=risk, rule=rule, temperature=temperature)
    policy = CutoffPolicy(
        rule=found.rule.name,
        threshold=found.threshold,
        scale=found.scale,
        params=found.rule.params(),
        evidence={
            "source": data.source,
            "split": data.split,
            "copies": copies,
            "skipped": skipped,
            "fingerprint": set_fingerprint(data.spikes.fingerprints),
            **found.evidence(),
        },
    )
    update_metadata(network.path, _completed(network, data).model_copy(update={"policy": policy}))
    return Calibrated(str(network.path), found, skipped)


def _completed(network: Network, data: Recordings) -> Metadata:
    """The file's metadata, completed with encoding, classes and data set of the recordings where it has none."""
    metadata = network.metadata or Metadata(readout=network.readout)
    found: dict[str, Any] = {}
    if metadata.encoding is None and data.encoding is not None:
        found["encoding"] = data.encoding
    if not metadata.classes and len(data.classes) == network.description.outputs:
        found["classes"] = data.classes
    if metadata.data is None and data.config is not None:
        found["data"] = data.config
    return metadata.model_copy(update=found)


def _without_copies(data: Recordings) -> tuple[Recordings, int]:
    """The recordings without copies, because the guarantee needs independent recordings; and the number of copies."""
    first = np.sort(np.unique(data.spikes.fingerprints, return_index=True)[1])
    copies = len(data) - len(first)
    if copies:
        example = data.ids[int(np.setdiff1d(np.arange(len(data)), first)[0])]
        log.warning(
            "%d of %d recordings, such as %s, are copies of others; each recording counts once",
            copies,
            len(data),
            example,
        )
    return data.subset(first), copies

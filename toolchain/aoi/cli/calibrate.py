"""aoi calibrate"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from aoi.cli.console import JsonFlag, print_json, print_table, say
from aoi.cli.recordings import (
    BinsOption,
    DataOption,
    DownloadOption,
    NetworkArgument,
    Request,
    SkipDamagedOption,
    SplitOption,
    WindowOption,
    load_split,
    readout_of,
    scores_of,
    source_of,
)
from aoi.errors import DataError

if TYPE_CHECKING:
    from aoi.choices import RuleName, Temperature
    from aoi.cutoff.calibration import Calibration
    from aoi.events.spikes import SpikeData


def command(
    net: NetworkArgument,
    data: DataOption = None,
    split: SplitOption = "calibration",
    max_drop: Annotated[float, typer.Option(help="Largest accuracy drop wanted, between 0 and 1.")] = 0.005,
    risk: Annotated[float, typer.Option(help="A certified drop is exceeded with at most this probability.")] = 0.05,
    rule: Annotated[
        str,
        typer.Option(
            help="What decides: confidence, entropy, gap, conformal, patience, fixed, int-confidence or int-gap."
        ),
    ] = "confidence",
    temperature: Annotated[str, typer.Option(help="Of the confidence: shared by all steps, or one a step.")] = "shared",
    window_us: WindowOption = None,
    bins: BinsOption = None,
    download: DownloadOption = False,
    skip_damaged: SkipDamagedOption = False,
    json: JsonFlag = False,
) -> None:
    """Fit a stopping rule and choose its threshold; write both into the network file.

    Where the recordings suffice, the accuracy drop is certified: with probability 1 - risk it is at most max-drop.

    Example: aoi calibrate runs/demo/network.net --max-drop 0.005
    """
    request = Request(data, split, None, window_us, bins, download, skip_damaged=skip_damaged)
    result, skipped = calibrate(net, request, max_drop, risk, rule=rule, temperature=temperature)
    if json:
        print_json(
            {
                **result.evidence(),
                "temperature": result.temperature,
                "calibration_samples": result.samples,
                "skipped": skipped,
                "network": str(net),
            }
        )
        return
    certified = "yes" if result.certified else f"no: that takes at least {result.samples_needed} recordings"
    if not result.certified and result.samples >= result.samples_needed:
        certified = "no: too many recordings are lost even by the latest stops"
    alone = "" if result.certified else ", of this threshold taken alone"
    tested = f", {result.test_samples} of them chose the threshold" if result.test_samples < result.samples else ""
    print_table(
        f"calibrated {net}",
        ["", ""],
        [
            ["recordings", f"{result.samples}{tested}"],
            ["rule, threshold", f"{result.rule.name}, {result.threshold:.6g}"],
            ["temperature (1 / scale)", f"{result.temperature:.4g}"],
            ["accuracy at T", f"{result.full_accuracy:.4f}"],
            ["accuracy drop, wanted at most", f"{result.accuracy_drop:.4f}, {result.max_drop:g}"],
            [f"upper bound of the drop at {100 * (1 - result.risk):g}%{alone}", f"{result.bound:.4f}"],
            ["certified", certified],
            ["mean decision step", f"{result.mean_decision_step:.2f}"],
        ],
    )


def calibrate(
    net: Path,
    request: Request,
    max_drop: float,
    risk: float,
    *,
    rule: str = "confidence",
    temperature: str = "shared",
) -> tuple[Calibration, int]:
    """Calibrates on a split that training never saw and rewrites the file in one step. Also returns how many damaged
    recordings were left out."""
    import numpy as np

    from aoi.cutoff.calibration import calibrate as fit
    from aoi.cutoff.calibration import is_silent
    from aoi.cutoff.checks import check_request
    from aoi.events.recording import set_fingerprint
    from aoi.netx.metadata import CutoffPolicy, Metadata
    from aoi.netx.read import read_network
    from aoi.netx.write import update_metadata

    check_request(max_drop, risk, rule, temperature)
    network = read_network(net)
    if request.split in ("train", "validation", "test"):
        reason = "it is kept for reporting" if request.split == "test" else "training saw it"
        raise DataError(f"--split {request.split}: {reason}; calibrate on 'calibration', report on 'test'")
    spikes = load_split(network, request)
    seen = np.isin(spikes.fingerprints, network.trained_on)
    if seen.any():
        example = spikes.ids[int(seen.argmax())]
        raise DataError(
            f"{int(seen.sum())} of {len(spikes)} recordings, such as {example}, were seen in training; "
            "calibrate on recordings that training did not see"
        )
    spikes, copies = _without_copies(spikes)
    scores = scores_of(network, spikes, "running on the engine")
    if is_silent(scores):
        say(f"{net}: says nothing on all {len(spikes)} recordings: its outputs are equal at every step")
    result = fit(
        scores,
        spikes.labels,
        max_drop=max_drop,
        risk=risk,
        rule=cast("RuleName", rule),
        temperature=cast("Temperature", temperature),
    )
    policy = CutoffPolicy(
        rule=result.rule.name,
        threshold=result.threshold,
        scale=result.scale,
        params=result.rule.params(),
        evidence={
            "source": source_of(network, request),
            "split": request.split,
            "copies": copies,
            "skipped": len(spikes.skipped),
            "fingerprint": set_fingerprint(spikes.fingerprints),
            **result.evidence(),
        },
    )
    metadata = network.metadata or Metadata(readout=readout_of(network))
    update_metadata(net, metadata.model_copy(update={"policy": policy}))
    return result, len(spikes.skipped)


def _without_copies(spikes: SpikeData) -> tuple[SpikeData, int]:
    """Each recording once, and how many copies that leaves out: the guarantee counts independent recordings."""
    import numpy as np

    first = np.sort(np.unique(spikes.fingerprints, return_index=True)[1])
    copies = len(spikes) - len(first)
    if copies:
        example = spikes.ids[int(np.setdiff1d(np.arange(len(spikes)), first)[0])]
        say(f"{copies} of {len(spikes)} recordings, such as {example}, are copies of others; each counts once")
    return spikes.subset(first), copies

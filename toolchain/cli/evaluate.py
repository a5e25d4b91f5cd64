"""aoi evaluate"""

from __future__ import annotations

from typing import Annotated

import typer

from toolchain.cli.console import JsonFlag, print_json, print_table
from toolchain.cli.recordings import (
    BinsOption,
    DataOption,
    DownloadOption,
    NetworkArgument,
    Request,
    SamplesOption,
    SplitOption,
    WindowOption,
    load_split,
    rule_of,
    scores_of,
)


def command(
    net: NetworkArgument,
    data: DataOption = None,
    split: SplitOption = "test",
    samples: SamplesOption = None,
    rule: Annotated[str | None, typer.Option(help="confidence:THRESHOLD[:SCALE] instead of the file's rule.")] = None,
    window_us: WindowOption = None,
    bins: BinsOption = None,
    download: DownloadOption = False,
    json: JsonFlag = False,
) -> None:
    """Accuracy at every step and with the cutoff, on the bit-exact engine (no Lava).

    Example: aoi evaluate runs/demo/network.net --split test
    """
    from toolchain.cutoff.rule import decide
    from toolchain.evaluation.anytime import judge
    from toolchain.netx.read import read_network

    network = read_network(net)
    chosen = rule_of(network, rule, required=False)
    spikes = load_split(network, Request(data, split, samples, window_us, bins, download))
    scores = scores_of(network, spikes, "running on the engine")
    result = judge(scores, spikes.labels, decide(chosen, scores))
    summary = result.summary()
    summary |= {
        "split": split,
        "threshold": chosen.threshold if chosen else None,
        "scale": chosen.scale if chosen else None,
    }
    if json:
        print_json(summary)
        return
    shown = sorted({1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 100, result.steps} & set(range(1, result.steps + 1)))
    print_table(
        "accuracy when all stop at step", [str(t) for t in shown], [[f"{result.accuracy_at[t - 1]:.3f}" for t in shown]]
    )
    rows = [
        ["recordings", f"{len(spikes)} ({split})"],
        [f"accuracy at T = {result.steps}", f"{result.full_accuracy:.4f}"],
        ["accuracy at the best step", f"{result.accuracy_at.max():.4f} (step {int(result.accuracy_at.argmax()) + 1})"],
    ]
    if chosen:
        rows += [
            [f"accuracy with the cutoff at {chosen.threshold:.6g}", f"{result.accuracy:.4f}"],
            ["drop from T, from the best step", f"{summary['accuracy_drop']:.4f}, {summary['accuracy_drop_peak']:.4f}"],
            ["mean decision step", f"{result.mean_decision_step:.2f}"],
            ["fewer steps", f"{summary['speedup_steps']:.2f} times"],
        ]
    else:
        rows.append(["cutoff", "none in the file: aoi calibrate"])
    print_table(str(net), ["", ""], rows)

"""The monitor in C, compiled here, against the rule in Python: the same decision for every row of scores."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aoi.boards.embedded import TABLE_BYTES, monitor_files
from aoi.cutoff.rule import Rule, statistics, stop_steps
from aoi.cutoff.rules import ConfidenceRule, GapRule, IntegerConfidenceRule, IntegerGapRule
from aoi.errors import DataError

# Calls the monitor over arrays: streams (n, steps, outputs) → stops (n, steps), answers (n, steps).
DRIVER = """
#include "monitor.h"
#include "monitor_tables.h"
void run(const int64_t *scores, int64_t n, uint32_t steps, uint8_t *stops, uint32_t *answers);
void run(const int64_t *scores, int64_t n, uint32_t steps, uint8_t *stops, uint32_t *answers)
{
    for (int64_t i = 0; i < n; i++) {
        for (uint32_t t = 0; t < steps; t++) {
            const int64_t *row = scores + (i * steps + t) * AOI_OUTPUTS;
            stops[i * steps + t] = (uint8_t)aoi_monitor_stops(row, t + 1);
            answers[i * steps + t] = aoi_monitor_answer(row);
        }
    }
}
"""
MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "monitor.h"
#include "monitor_tables.h"
int main(void)
{
    int64_t row[AOI_OUTPUTS];
    uint32_t step = 0;
    while (fread(row, sizeof row, 1, stdin) == 1) {
        step = step % 64 + 1;
        putchar('0' + aoi_monitor_stops(row, step));
    }
    return 0;
}
"""
STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion")
Monitor = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def gcc() -> str:
    found = shutil.which("gcc")
    if found is None:
        pytest.skip("gcc is missing (Debian: apt-get install gcc): the embedded monitor is not compiled")
    return found


def written(rule: Rule, outputs: int, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    files, size = monitor_files(rule, outputs)
    assert size < TABLE_BYTES
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def compiled(gcc: str, tmp_path: Path) -> Callable[[Rule, int], Monitor]:
    """(rule, outputs) → the monitor in C: int64 (n, outputs, steps) → bool stops (n, steps), answers (n, steps)."""
    count = 0

    def build(rule: Rule, outputs: int) -> Monitor:
        nonlocal count
        count += 1
        folder = written(rule, outputs, tmp_path / str(count))
        (folder / "driver.c").write_text(DRIVER)
        library = folder / "monitor.so"
        command = [gcc, *STRICT, "-shared", "-fPIC", "-o", library, folder / "driver.c", folder / "monitor.c"]
        subprocess.run(command, check=True)
        call = ctypes.CDLL(str(library)).run

        def run(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            rows = np.ascontiguousarray(np.moveaxis(scores, 1, 2), np.int64)
            stops, answers = np.empty(rows.shape[:2], np.uint8), np.empty(rows.shape[:2], np.uint32)
            call(
                rows.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(len(rows)), ctypes.c_uint32(rows.shape[1]),
                stops.ctypes.data_as(ctypes.c_void_p), answers.ctypes.data_as(ctypes.c_void_p),
            )  # fmt: skip
            return stops.astype(bool), answers

        return run

    return build


def drawn(generator: np.random.Generator, kind: str, shape: tuple[int, int, int]) -> np.ndarray:
    """Scores (n, outputs, steps): spike counts, voltages, any 32 bits, any 64 bits, the ends of both."""
    n, outputs, _ = shape
    if kind == "spikes":
        return (generator.random(shape) < generator.uniform(0, 1, (n, outputs, 1))).cumsum(axis=-1)
    if kind == "voltage":
        return generator.integers(-(2**23), 2**23, shape)
    if kind == "ends":
        ends = [-(2**63), 2**63 - 1, -(2**31), 2**31 - 1, 2**31, -1, 0, 1]
        return generator.choice(np.array(ends, np.int64), shape)
    bits = 32 if kind == "int32" else 64
    scores = generator.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, shape, np.int64, endpoint=True)
    return scores >> generator.integers(0, bits, (n, 1, 1))  # near ones as well as far ones


SPREAD = {"spikes": 5.0, "voltage": 2.0**23, "int32": 2.0**31, "int64": 2.0**38, "ends": 2.0**31}


def rules(generator: np.random.Generator, kind: str, steps: int) -> list[Rule]:
    scale = max(float(generator.uniform(0.5, 20) / SPREAD[kind]), 2.0**-40)
    units = np.minimum(generator.uniform(0.05, 0.7, steps) * SPREAD[kind], 2.0**30)
    return [
        IntegerConfidenceRule(float(generator.uniform(0.3, 0.999)), scale),
        IntegerGapRule(float(generator.uniform(0.5, 2)), units=tuple(map(float, units))),
    ]


@pytest.mark.parametrize("kind", ["spikes", "voltage", "int32", "int64", "ends"])
def test_a_million_streams_are_decided_as_in_python(kind: str, compiled: Callable[[Rule, int], Monitor]) -> None:
    """Each kind: 10 monitors over 20,000 streams each, all steps of them; a million streams in all."""
    generator = np.random.default_rng(sum(map(ord, kind)))
    stopped = []
    for _ in range(5):
        outputs, steps = int(generator.integers(2, 11)), int(generator.integers(2, 6))
        scores = drawn(generator, kind, (20_000, outputs, steps))
        for rule in rules(generator, kind, steps):
            stops, answers = compiled(rule, outputs)(scores)
            expected = statistics(rule, scores)
            np.testing.assert_array_equal(stops, expected >= rule.threshold)
            np.testing.assert_array_equal(stop_steps(expected, rule.threshold), _first(stops))
            np.testing.assert_array_equal(answers, np.moveaxis(scores, 1, 2).argmax(axis=-1))
            stopped.append(stops.mean())
    assert 0 < np.mean(stopped) < 1  # both answers occur


def _first(stops: np.ndarray) -> np.ndarray:
    """Decision step of streams that all end at the last step."""
    ends = stops.copy()
    ends[:, -1] = True
    return ends.argmax(axis=1) + 1


def test_no_undefined_behaviour(gcc: str, tmp_path: Path) -> None:
    """Under -fsanitize=undefined,address, on the ends of 64 bits, beyond the last row of the table too."""
    generator = np.random.default_rng(3)
    for index, rule in enumerate(rules(generator, "ends", 5)):
        folder = written(rule, 10, tmp_path / str(index))
        (folder / "main.c").write_text(MAIN)
        program = folder / "monitor"
        sanitise = ("-fsanitize=undefined,address", "-fno-sanitize-recover=all")
        subprocess.run([gcc, *STRICT, *sanitise, "-o", program, folder / "main.c", folder / "monitor.c"], check=True)
        rows = np.concatenate([drawn(generator, kind, (500, 10, 1))[..., 0] for kind in SPREAD])
        done = subprocess.run([program], input=rows.tobytes(), capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        steps = np.arange(len(rows)) % 64 + 1
        expected = [
            rule.measure(row[None], int(step), None)[0][0] >= rule.threshold
            for row, step in zip(rows, steps, strict=True)
        ]
        assert done.stdout == "".join(str(int(stop)) for stop in expected).encode()


def test_no_float_and_no_library(gcc: str, tmp_path: Path) -> None:
    """The object has no undefined symbols and uses no floating-point register."""
    rule = IntegerConfidenceRule(0.9, 2.0**-22)
    folder = written(rule, 10, tmp_path)
    target = folder / "monitor.o"
    bare = ("-mgeneral-regs-only", "-ffreestanding")
    subprocess.run([gcc, *STRICT, *bare, "-c", folder / "monitor.c", "-o", target], check=True)
    symbols = subprocess.run(["nm", "--undefined-only", target], capture_output=True, text=True, check=True).stdout
    assert [line for line in symbols.splitlines() if "_GLOBAL_OFFSET_TABLE_" not in line] == []


@pytest.mark.parametrize(
    ("rule", "outputs", "words"),
    [
        (ConfidenceRule(0.9), 10, "int-confidence"),
        (GapRule(1.0), 10, "floating point"),
        (IntegerConfidenceRule(0.9), 257, "256"),
        (IntegerConfidenceRule(0.9), 1, "2 to 256"),
        (IntegerGapRule(1.0, units=tuple(float(t + 1) for t in range(1024))), 10, "4,096 bytes"),
    ],
)
def test_unsupported_rules_and_sizes_are_refused(rule: Rule, outputs: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        monitor_files(rule, outputs)

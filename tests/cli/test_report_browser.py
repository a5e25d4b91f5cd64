"""The report in a real Chromium: its numbers at any threshold are those of `aoi evaluate`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("selenium", reason="selenium drives the browser: pip install selenium")

from selenium.webdriver.common.keys import Keys

from tests.cli.conftest import Aoi
from tests.report.browser import Browser, needs_browser, open_browser

pytestmark = [needs_browser, pytest.mark.slow]

READINGS = {  # element → key of `aoi evaluate --json`, digits of its table
    "x-accuracy": ("accuracy", 4),
    "x-drop": ("accuracy_drop", 4),
    "x-peak": ("accuracy_drop_peak", 4),
    "x-step": ("mean_decision_step", 2),
    "x-speedup": ("speedup_steps", 2),
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(aoi: Aoi, calibrated_run: Path) -> Path:
    assert aoi("report", calibrated_run).returncode == 0
    return calibrated_run / "report.html"


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Browser]:
    """The report, newly opened at desktop size; afterwards, the console has to be empty."""
    browser.screen(1200, 900)
    browser.prefer()
    browser.open(report)
    yield browser
    assert browser.console() == []


def agrees(page: Browser, aoi: Aoi, run: Path) -> float:
    """Compares the numbers on the page with `aoi evaluate` at the threshold on the page; returns the threshold."""
    command = page.text("command")
    rule = command.split(" --rule ")[1]
    assert command == f"aoi evaluate {run / 'network.net'} --rule {rule}"
    assert rule.split(":")[1] == page.text("threshold-text")
    evaluated = json.loads(aoi("evaluate", run / "network.net", "--rule", rule, "--json").stdout)
    printed = aoi("evaluate", run / "network.net", "--rule", rule).stdout
    for element, (key, digits) in READINGS.items():
        assert page.text(element) == f"{evaluated[key]:.{digits}f}", (rule, key)
        assert page.text(element) in printed
        assert page.value(element) == evaluated[key], (rule, key)
    counts = np.zeros((10, 10), int)
    for title in page.js("return [...document.querySelectorAll('#confusion title')].map((t) => t.textContent)"):
        true, answer, count = re.fullmatch(r"(\d) predicted as (\d): (\d+)", title).groups()  # type: ignore[union-attr]
        counts[int(true), int(answer)] = int(count)
    assert counts.tolist() == evaluated["confusion"]
    right = steps = 0
    for title in page.js("return [...document.querySelectorAll('#histogram title')].map((t) => t.textContent)"):
        step, count, verdict = re.fullmatch(r"step (\d+): (\d+) (correct|wrong)", title).groups()  # type: ignore[union-attr]
        steps += int(step) * int(count)
        right += int(count) * (verdict == "correct")
    assert right / evaluated["samples"] == evaluated["accuracy"]
    assert steps / evaluated["samples"] == evaluated["mean_decision_step"]
    spread = evaluated["decision_step_percentiles"]
    assert page.text("histogram-note") == f"Half are decided by step {spread['50']}, 95 % by step {spread['95']}."
    return float(rule.split(":")[1])


def test_dragging_the_threshold_gives_the_numbers_of_evaluate(page: Browser, aoi: Aoi, calibrated_run: Path) -> None:
    seen = {agrees(page, aoi, calibrated_run)}
    points = {page.find("#operating-point").get_attribute("d")}
    for share in (0.1, 0.35, 0.85):
        page.drag("threshold", share)
        seen.add(agrees(page, aoi, calibrated_run))
        points.add(page.find("#operating-point").get_attribute("d"))
    assert len(seen) == len(points) == 4
    page.find("#reset").click()
    assert agrees(page, aoi, calibrated_run) in seen


@pytest.mark.parametrize("title", ["Entropy", "Gap", "Patience", "Fixed step"])
def test_other_rules_give_the_numbers_of_evaluate(page: Browser, aoi: Aoi, calibrated_run: Path, title: str) -> None:
    page.js(
        "[...document.querySelectorAll('#rules label')].find((l) => l.textContent === arguments[0])"
        ".querySelector('input').click()",
        title,
    )
    thresholds = {agrees(page, aoi, calibrated_run)}
    page.drag("threshold", 0.8)
    thresholds.add(agrees(page, aoi, calibrated_run))
    assert len(thresholds) == 2


def test_keyboard_moves_the_threshold(page: Browser, aoi: Aoi, calibrated_run: Path) -> None:
    slider = page.find("#threshold")
    before = float(page.text("threshold-text"))
    slider.send_keys(Keys.ARROW_RIGHT)
    assert float(page.text("threshold-text")) > before
    assert slider.get_attribute("aria-valuetext") == page.text("threshold-text")
    slider.send_keys(Keys.HOME)
    assert agrees(page, aoi, calibrated_run) < before
    page.find("#rules input:checked").send_keys(Keys.ARROW_RIGHT)
    assert page.text("command").split(" --rule ")[1].startswith("entropy:")


def test_numbers_are_rounded_as_in_python(page: Browser) -> None:
    generator = np.random.default_rng(0)
    values = [count / samples for samples in (8, 16, 64, 438, 1000) for count in range(0, 9 * samples, 7)]
    values += [*generator.uniform(-1, 30, 500), 5.125, 5.375, 0.00005, 0.00015, 1.005, 2.5, -0.0625, 24.0, 1e-9]
    for digits in (2, 4):
        found = page.js("return arguments[0].map((x) => fixed(x, arguments[1]))", [float(v) for v in values], digits)
        assert found == [f"{value:.{digits}f}" for value in values]


def test_page_makes_no_requests(browser: Browser, report: Path) -> None:
    browser.open(report)
    requests = browser.requests()
    assert report.as_uri() in requests
    assert [url for url in requests if url != report.as_uri() and not url.startswith("data:")] == []
    assert browser.js("return performance.getEntriesByType('resource').length") == 0
    fetched = browser.driver.execute_async_script(
        "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(() => done('sent'), (e) => done('refused'));"
    )
    assert fetched == "refused"
    assert any("Content Security Policy" in message for message in browser.console())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1200])
def test_fits_every_screen(page: Browser, width: int, scheme: str) -> None:
    page.screen(width, 800)
    page.prefer(color_scheme=scheme)
    page.driver.refresh()
    assert page.js("return document.documentElement.scrollWidth") <= width
    # No drawing is wider than the page, and text stays large enough to read.
    assert page.js("return Math.max(...[...document.querySelectorAll('svg')].map((s) => s.clientWidth))") <= width
    assert page.js(
        "return [...document.querySelectorAll('svg')].every((s) => s.viewBox.baseVal.width === s.clientWidth)"
    )
    for name in ("--ink", "--muted", "--blue", "--green", "--orange"):
        assert contrast(page, name, "--paper") >= 4.5, (scheme, name)
    dark = luminance(page, "--paper") < 0.1
    assert dark == (scheme == "dark")


def luminance(page: Browser, name: str) -> float:
    """Relative luminance of a colour of the page (WCAG 2)."""
    text = page.js("return getComputedStyle(document.documentElement).getPropertyValue(arguments[0]).trim()", name)
    digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
    channels = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(page: Browser, one: str, other: str) -> float:
    low, high = sorted((luminance(page, one), luminance(page, other)))
    return (high + 0.05) / (low + 0.05)


def test_recording_plays_until_its_decision(page: Browser) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    page.js("document.querySelectorAll('#sample-list button')[5].click()")
    stop = int(re.search(r"at step (\d+)", page.text("sample-verdict"))[1])  # type: ignore[index]
    assert page.text("step-text") == f"step {stop} of 24"
    page.find("#play").click()
    assert page.text("play") == "Pause"
    WebDriverWait(page.driver, 20).until(lambda _: page.text("play") == "Play")
    assert page.text("step-text") == f"step {stop} of 24"
    drawn = "return document.getElementById('events').toDataURL()"
    at_stop = page.js(drawn)
    page.drag("scrub", 0.0)
    assert page.text("step-text") == "step 1 of 24"
    assert page.js(drawn) != at_stop
    # The selected rule and threshold apply here too.
    page.find("#threshold").send_keys(Keys.HOME)
    assert "at step 1 of 24" in page.text("sample-verdict")


def test_with_reduced_motion_it_jumps_to_the_decision(page: Browser) -> None:
    page.prefer(reduced_motion="reduce")
    page.driver.refresh()
    page.drag("scrub", 0.0)
    stop = re.search(r"at step (\d+)", page.text("sample-verdict"))[1]  # type: ignore[index]
    assert page.text("play") == "To the decision"
    page.find("#play").click()
    assert page.text("step-text") == f"step {stop} of 24"


def test_wrong_and_slow_recordings_are_listed(page: Browser) -> None:
    names = page.js("return [...document.querySelectorAll('#sample-list h3')].map((h) => h.textContent)")
    assert names[0] == "Wrong"
    assert names[-1] == "Fastest of each class"
    listed = page.js("return [...document.querySelectorAll('#sample-list button')].map((b) => b.textContent)")
    wrong = page.js("return N - Math.round(now.accuracy * N)")
    assert sum(text.startswith("✗") for text in listed) == min(wrong, 10)


def test_names_are_not_markup_in_the_browser(browser: Browser, hostile_report: Path) -> None:
    browser.open(hostile_report)
    browser.js("document.querySelectorAll('#sample-list button').forEach((b) => b.click())")
    assert browser.js("return typeof hacked") == "undefined"
    assert browser.js("return document.images.length + document.querySelectorAll('[onload], [onerror]').length") == 0
    assert "</title><b>&" in browser.driver.title
    assert "<img src=x" in browser.text("sample-list")
    assert browser.console() == []

"""A real headless Chromium without network access."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
)

_CHROMIUM, _CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_MISSING = "Chromium or chromedriver is missing (Debian: apt-get install chromium chromium-driver)"

needs_browser = pytest.mark.skipif(
    os.environ.get("AOI_BROWSER") != "required" and not (_CHROMIUM and _CHROMEDRIVER), reason=_MISSING
)
"""Tests with this mark are skipped where Chromium is missing; with AOI_BROWSER=required they fail there."""


class Browser:
    """Actions of the tests on a page."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path) -> None:
        self.driver.get_log("browser"), self.driver.get_log("performance")  # of the page before
        self.driver.get(page.as_uri())

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def text(self, id_: str) -> str:
        return str(self.js("return document.getElementById(arguments[0]).textContent", id_))

    def value(self, id_: str) -> float:
        """The number behind a text that shows fewer digits."""
        return float(self.js("return document.getElementById(arguments[0]).dataset.value", id_))

    def find(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def drag(self, id_: str, share: float) -> None:
        """Takes a slider by its thumb and lets go at ``share`` of its way, with the mouse."""
        slider = self.find(f"#{id_}")
        self.js("arguments[0].scrollIntoView({block: 'center'})", slider)
        place, end, width = self.js(
            "const s = arguments[0]; return [Number(s.value - s.min), s.max - s.min, s.clientWidth]", slider
        )
        thumb, way = 16.0, width - 16.0

        def offset(at: float) -> int:  # from the slider's middle
            return round(thumb / 2 + at * way - width / 2)

        actions = ActionChains(self.driver, duration=50)
        actions.move_to_element_with_offset(slider, offset(place / end), 0).click_and_hold()
        actions.move_to_element_with_offset(slider, offset((place / end + share) / 2), 0)
        actions.move_to_element_with_offset(slider, offset(share), 0).release().perform()

    def screen(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, **features: str) -> None:
        """``prefer(color_scheme="dark")``; without arguments: what the browser is set to."""
        named = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})

    def console(self) -> list[str]:
        """Messages since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses asked for since the page was opened."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Starts Chromium with an empty profile in ``profile``."""
    assert _CHROMIUM, _MISSING
    assert _CHROMEDRIVER, _MISSING
    options = Options()
    options.binary_location = _CHROMIUM
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(_CHROMEDRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()

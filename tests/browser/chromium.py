"""A real browser: pages at a width and in a color scheme, what axe finds in them, and what they asked for."""

from __future__ import annotations

import base64
import importlib.util
import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa")
WIDTHS = (1280, 320)
SCHEMES = ("light", "dark")
_SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--hide-scrollbars",
)
_ASK_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: {type: 'tag', values: arguments[0]}, resultTypes: ['violations']})
  .then(found => done(found.violations.map(each => ({
    rule: each.id, impact: each.impact, help: each.help,
    places: each.nodes.map(node => ({target: node.target.flat().join(' '), why: node.failureSummary})),
  }))), error => done([{rule: 'axe failed', help: String(error), places: []}]));
"""


def missing() -> str:
    """Why there is no browser, or nothing."""
    if _chromium() is None or shutil.which("chromedriver") is None:
        return "chromium and chromium-driver are not installed"
    if _axe_file() is None:
        return "no package that holds axe-core is installed"
    return ""


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def _axe_file() -> Path | None:
    """The newest axe-core that an installed package holds, found without importing the package."""
    found: list[tuple[tuple[int, ...], Path]] = []
    for name in ("axe_playwright_python", "axe_core_python"):
        spec = importlib.util.find_spec(name)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            file = Path(folder) / "axe.min.js"
            if file.exists():
                with file.open(encoding="utf-8") as opened:
                    version = opened.readline().split(" v")[1]
                found.append((tuple(int(part) for part in version.strip().split(".")), file))
    return max(found)[1] if found else None


@cache
def axe_script() -> str:
    """axe-core's source; its first line has the version."""
    file = _axe_file()
    assert file is not None
    return file.read_text(encoding="utf-8")


@dataclass(frozen=True)
class Loaded:
    """What loading a page took: addresses asked, bytes on the wire, and what the console said."""

    addresses: tuple[str, ...]
    size: int
    console: tuple[str, ...]


class Browser:
    """One tab of a headless Chromium, for pages of one portal."""

    def __init__(self, base: str) -> None:
        self.base = base
        options = Options()
        options.binary_location = _chromium() or ""
        for switch in _SWITCHES:
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options, Service(executable_path=shutil.which("chromedriver")))
        self.driver.set_script_timeout(30)
        self.driver.set_page_load_timeout(30)

    def __enter__(self) -> Self:
        """Open already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.driver.quit()

    def _tell(self, command: str, **values: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, values)

    def look(self, width: int, scheme: str, *, forced: bool = False) -> None:
        """From now on: this many CSS pixels wide, in this color scheme, in forced colors or not, without motion."""
        self._tell("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "forced-colors", "value": "active" if forced else "none"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self._tell("Emulation.setEmulatedMedia", features=features)

    def printed(self) -> bytes:
        """The page as a PDF on letter paper, as its print style wants it."""
        return base64.b64decode(self._tell("Page.printToPDF", printBackground=True)["data"])

    def media(self, name: str) -> None:
        """Show the page as on this medium; an empty name is the screen."""
        self._tell("Emulation.setEmulatedMedia", media=name)

    def scripts(self, *, allowed: bool) -> None:
        """Whether pages may run theirs."""
        self._tell("Emulation.setScriptExecutionDisabled", value=not allowed)

    def open(self, path: str) -> Loaded:
        """Load a page of the portal, past every cache."""
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        self._tell("Network.enable")
        self._tell("Network.setCacheDisabled", cacheDisabled=True)
        self.driver.get(self.base + path)
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
        size = sum(
            each["params"]["encodedDataLength"] for each in events if each["method"] == "Network.loadingFinished"
        )
        console = [entry["message"] for entry in self.driver.get_log("browser")]
        return Loaded(tuple(asked), int(size), tuple(console))

    def run(self, script: str, *values: Any) -> Any:
        """What a script of ours returns."""
        return self.driver.execute_script(script, *values)

    def axe(self) -> list[dict[str, Any]]:
        """Each rule of WCAG 2.1 A and AA that the page as it is now breaks, and where."""
        if not self.run("return typeof axe === 'object'"):
            self.run(axe_script())
        found: list[dict[str, Any]] = self.driver.execute_async_script(_ASK_AXE, list(RULES))
        return found

    def follow(self, element: WebElement, *, submit: bool = False) -> None:
        """Click a link, or send a field's form, and wait for the page that it leads to."""
        old = self.driver.find_element(By.TAG_NAME, "html")
        element.submit() if submit else element.click()
        WebDriverWait(self.driver, 10).until(staleness_of(old))

    def press(self, key: str) -> WebElement:
        """Press a key where the focus is; gives what has the focus then."""
        self.driver.switch_to.active_element.send_keys(key)
        return self.driver.switch_to.active_element

    def picture(self, file: Path) -> None:
        """The whole page as a PNG file."""
        size = self._tell("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1}
        found = self._tell("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(found["data"]))

"""Pictures of every page for people to look at: `python tests/browser/screenshots.py FOLDER`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "portal")]

from chromium import SCHEMES, WIDTHS, Browser, missing  # noqa: E402 -- the folder above is known only now
from city import open_city  # noqa: E402
from portal_process import start, stop  # noqa: E402


def main(folder: Path) -> None:
    """Every page, in each language, width and color scheme."""
    if reason := missing():
        sys.exit(reason)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as state:
        running = start(Path(state) / "state")
        try:
            city = open_city(running)
            with Browser(city.address) as browser:
                for language in ("", "/es"):
                    for name, path in city.pages.items():
                        _page(browser, folder, language, name, path)
        finally:
            stop(running)


def _page(browser: Browser, folder: Path, language: str, name: str, path: str) -> None:
    browser.open(language + path)
    for width in WIDTHS:
        for scheme in SCHEMES:
            browser.look(width, scheme)
            parts = (name.replace(" ", "-"), language.strip("/") or "en", str(width), scheme)
            browser.picture(folder / f"{'_'.join(parts)}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

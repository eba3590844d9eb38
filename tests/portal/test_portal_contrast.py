"""Contrast as WCAG 2.1 computes it, from the colors of the style: text 4.5 to 1, what is seen without words 3."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from publisher.portal.pages.map import CLASSES
from publisher.portal.pages.rendering import TEMPLATES
from publisher.portal.pages.statics import files

STYLE = "".join(files()[name].content.decode() for name in ("portal.css", "modes.css"))
TOOLS = files()["tools.css"].content.decode()
SCHEMES = ["light", "dark", "forced, black on white", "forced, white on black"]
SYSTEM = {
    "forced, black on white": {"Canvas": "#ffffff", "CanvasText": "#000000", "Highlight": "#0000c0"},
    "forced, white on black": {"Canvas": "#000000", "CanvasText": "#ffffff", "Highlight": "#1aebff"},
}
"""The colors of two themes that people choose."""


def _colors(scheme: str) -> dict[str, str]:
    """The style's colors by name, in a scheme; those of forced colors replace the others."""
    blocks = [dict(re.findall(r"--([a-z0-9-]+):([^;}]+)", block)) for block in re.findall(r":root\{(.*?)\}", STYLE)]
    assert len(blocks) == 3, "light, dark, and forced colors"
    if scheme in ("light", "dark"):
        return blocks[0] if scheme == "light" else blocks[0] | blocks[1]
    colors = blocks[0] | blocks[2]
    return {name: _system(colors[name], colors, SYSTEM[scheme]) for name in blocks[2]}


def _system(color: str, colors: dict[str, str], system: dict[str, str]) -> str:
    if color.startswith("var("):
        return _system(colors[color[6:-1]], colors, system)
    if mixed := re.fullmatch(r"color-mix\(in srgb,CanvasText (\d+)%,Canvas\)", color):
        return _over(system["CanvasText"], system["Canvas"], int(mixed[1]) / 100)
    return system[color]


def _over(ink: str, paper: str, part: float) -> str:
    """What is seen of a color that covers so much of another one."""
    parts = zip(_parts(ink), _parts(paper), strict=True)
    return "#" + "".join(f"{round(part * over + (1 - part) * under):02x}" for over, under in parts)


def _parts(color: str) -> list[int]:
    assert re.fullmatch("#[0-9a-f]{6}", color), color
    return [int(color[at : at + 2], 16) for at in (1, 3, 5)]


def _luminance(color: str) -> float:
    parts = [part / 255 for part in _parts(color)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """From 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_what_it_should_be() -> None:
    """Black on white has 21; a gray that is known to fail on white fails here."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES[:2])
def test_text_can_be_read(scheme: str) -> None:
    """Every color of text on every ground that it stands on; forced colors are the reader's own."""
    color = _colors(scheme)
    for ink in ("ink", "quiet", "link"):
        assert contrast(color[ink], color["paper"]) >= 4.5
        assert contrast(color[ink], color["soft"]) >= 4.5
    assert contrast(color["on-strong"], color["strong"]) >= 4.5
    assert contrast(color["notice-ink"], color["notice"]) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
def test_lines_bands_and_rings_are_seen(scheme: str) -> None:
    """On paper: lines, the edge of a band, marks of what is missing, the focus. A dot on the bar of its margin, and a
    line in its band, differ from them too."""
    color = _colors(scheme)
    for line in ("line", "edge", "gap", "grain", "focus"):
        assert contrast(color[line], color["paper"]) >= 3, line
    assert contrast(color["line"], color["edge"]) >= 3
    assert contrast(color["line"], color["band"]) >= 3


@pytest.mark.parametrize("scheme", SCHEMES[:2])
def test_compared_places_are_seen(scheme: str) -> None:
    """Each of the four lines, and the edge of its margin, on paper; dashes tell them apart where colors do not."""
    others = re.findall(r"--other:(#[0-9a-f]{6})", TOOLS)
    color = _colors(scheme)
    color |= {"other": others[SCHEMES.index(scheme)], "first": color["link"]}
    part = float(re.findall(r"stroke-opacity:(\.\d+)", TOOLS)[0])
    lines = re.findall(r"\.s\d\{--line:var\(--([a-z]+)\)\}", TOOLS)
    assert len(lines) == 4
    assert all(contrast(color[line], color["paper"]) >= 3 for line in lines)
    assert all(contrast(_over(color[line], color["paper"], part), color["paper"]) >= 3 for line in lines)
    assert len(re.findall(r"\.s\d \.line\{stroke-dasharray", TOOLS)) == 3


def test_compared_places_are_in_the_reader_s_own_color() -> None:
    """Where colors are forced, no line keeps one of the page's: on another ground it might not be seen."""
    forced = dict(re.findall(r"--([a-z]+):(CanvasText)", TOOLS.partition("forced-colors")[2].partition("}}")[0]))
    own = {*forced, *(name for name, to in _colors(SCHEMES[2]).items() if to == "#000000")}
    assert set(re.findall(r"\.s\d\{--line:var\(--([a-z]+)\)\}", TOOLS)) <= own


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_classes_of_a_map_are_told_apart(scheme: str) -> None:
    """Neighbors in the legend differ by 3 to 1, and so does each place's border from it: ink around the lighter ones
    (in dark mode the darker ones), paper around the last."""
    color = _colors(scheme)
    classes = [color[f"c{number}"] for number in range(CLASSES)]
    assert all(contrast(one, other) >= 3 for one, other in pairwise(classes))
    assert all(contrast(color["ink"], each) >= 3 for each in classes[:-1])
    assert contrast(color["paper"], classes[-1]) >= 3
    assert ".places path{fill:inherit;stroke:var(--ink)" in STYLE
    assert ".places .c2 path,.places.of2 .c1 path{stroke:var(--paper)" in STYLE
    assert contrast(color["grain"], color["soft"]) >= 3


def test_pictures_have_the_colors_of_the_light_page() -> None:
    """Chart and map that leave the page: no other colors, so no other contrasts."""
    known = set(_colors("light").values())
    for file in TEMPLATES.glob("*.svg"):
        assert set(re.findall("#[0-9a-f]{6}", file.read_text())) <= known, file.name

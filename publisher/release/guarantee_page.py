"""The guarantee as a self-contained page: no script, no other host, readable in dark mode and on a small screen."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from publisher.portal.contract import markdown_reader

if TYPE_CHECKING:
    from publisher.release.guarantee_inputs import GuaranteeInputs

STYLE = """\
:root { --paper: #fdfcfa; --ink: #1c2227; --rule: #dcd9d2; --soft: #f4f2ed; --focus: #b3460b; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181b; --ink: #e4e7e8; --rule: #3a4348; --soft: #1c2226; --focus: #ffb27a; }
}
*, ::before, ::after { box-sizing: border-box; }
html { color-scheme: light dark; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: break-word;
  font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; }
main { max-width: 50rem; margin: 0 auto; padding: 1rem clamp(1rem, 4vw, 2.5rem) 4rem; }
h1, h2 { font-family: Charter, "Iowan Old Style", Cambria, Georgia, serif; line-height: 1.2; text-wrap: balance; }
h1 { font-size: clamp(1.6rem, 1.3rem + 1.6vw, 2.25rem); margin: 1.5rem 0 1rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .75rem; }
p, ul { margin: 0 0 1rem; max-width: 44rem; }
ul { padding-left: 1.25rem; }
li { margin-bottom: .35rem; }
.wide { overflow-x: auto; margin: 0 0 1rem; }
.wide:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid var(--rule); padding: .35rem .6rem; text-align: left; vertical-align: top; }
th { background: var(--soft); font-weight: 600; }
"""


def page(facts: GuaranteeInputs, words: str) -> str:
    """HTML with the same text as the Markdown, which are its `words`."""
    definition = facts.dataset.definition
    name = escape(f"How privacy is protected in {definition.title}, {facts.period}")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{name}</title>
<style>
{STYLE}</style>
</head>
<body>
<main>
{html_of(_together(words))}</main>
</body>
</html>
"""


def _together(text: str) -> str:
    """Keep numbers on one line with their =."""
    return text.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")


def html_of(text: str, below: int = 0) -> str:
    """Render the text; tables scroll by keyboard, are named by their section, and have column headers. Its headings are
    so many levels `below` those of a page of its own."""
    from markdown_it.token import Token

    reader = markdown_reader()
    tokens = reader.parse(text)
    section = ""
    for before, token in pairwise([Token("", "", 0), *tokens]):
        if before.type == "heading_open":
            section = token.content
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1]) + below}"
        if token.type == "th_open":
            token.attrSet("scope", "col")
        if token.type == "table_open":
            token.meta["section"] = section
    return str(reader.renderer.render(tokens, reader.options, {}))

"""Render pages from templates, in the language of the address, with escaped texts and caching headers."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from publisher import grades
from publisher.portal.answers.access import base_url, findable
from publisher.portal.answers.freshness import has
from publisher.portal.base.messages import message
from publisher.portal.contract import REASONS as PERIOD_REASONS
from publisher.portal.contract import STATES, markdown_reader, percent
from publisher.portal.discovery.dcat import span
from publisher.portal.discovery.titles import place_of
from publisher.portal.pages.chart import HEIGHT, WIDTH
from publisher.portal.pages.language import LANGUAGES, ORIGINAL, language_of, plain_path, translations
from publisher.portal.pages.statics import files
from publisher.portal.pages.wording import said, speaking, translated

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from starlette.requests import Request

    from publisher.portal.base.model import PortalDataset

from publisher.portal.pages.language import Language

TEMPLATES = Path(__file__).parent / "templates"
WEEK = message("the week of %(day)s")
REASONS = {
    "threshold": message("too few"),
    "customer rule": message("too few customers, or one too large"),
    "complementary": message("so that another suppressed cell does not follow from the totals"),
}
STATUSES = dict(
    zip(grades.STATUSES, (message("ok"), message("caution"), message("unreliable"), message("suppressed")), strict=True)
) | {"partial": message("partial")}


@cache
def environment(language: Language) -> jinja2.Environment:
    """The template environment for one language."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    spoken = translations(language.code)
    made.policies["ext.i18n.trimmed"] = True
    made.install_gettext_translations(spoken, newstyle=True)  # type: ignore[attr-defined]  # the extension adds it
    foreign = Markup(' lang="{}"').format(ORIGINAL) if language.code != ORIGINAL else Markup("")

    def marked(text: str) -> Markup:
        """The attribute that marks a text of the publisher which is not in the page's language."""
        return foreign if translated(text) is None else Markup("")

    made.filters |= {
        "number": language.number,
        "signed": language.signed,
        "day": language.day,
        "stamp": _stamp,
        "markdown": _markdown,
        "period": lambda text: _period(language, spoken.gettext, str(text)),
        "heading": lambda text: text[:1].upper() + text[1:],
        "brief": lambda text: _brief(language, str(text)),
        "why": lambda reason: spoken.gettext(REASONS[reason]) if reason in REASONS else reason,
        "stated": lambda state: spoken.gettext(STATES[state]),
        "because": lambda reason: spoken.gettext(PERIOD_REASONS[reason]),
        "spoken": spoken.gettext,
        "status": lambda status: spoken.gettext(STATUSES[status]) if status in STATUSES else status or "",
        "half": lambda it: half(it.low, it.high),
        "within": lambda it: grades.margin_percent(it.value, it.low, it.high) or None,  # "within 0%" says nothing
        "own": lambda text: (
            Markup("<span{}>{}</span>").format(marked(text), said(text)) if marked(text) else said(text)
        ),
        "said": said,
        "lang": marked,
        "turned": lambda text: Markup(' lang="{}"').format(language.code) if foreign and not marked(text) else "",
        "chance": lambda probability: language.number(math.floor(1 / probability)),  # never said smaller than it is
        "percent": lambda probability: language.number(percent(probability)),
        "size": lambda size: _size(language, size),
        "bounds": lambda facts: facts.words(
            lambda text: Markup(spoken.gettext(text)),  # noqa: S704 -- our own text, which marks what is put into it
            lambda text: language.number(Decimal(text)),
            made.filters["own"],
        ),
        "bounds_text": lambda facts: facts.words(spoken.gettext, lambda text: language.number(Decimal(text)), said),
        "counted": lambda share: share.words(
            spoken.gettext,
            lambda text: language.number(Decimal(text)),
            made.filters["period"],
            made.filters["day"],
        ),
        "place": place_of,
        "segment": lambda text: quote(str(text), safe=""),
    }
    made.globals |= {"width": WIDTH, "height": HEIGHT, "language": language, "home": language.prefix}
    made.globals |= {"languages": LANGUAGES, "original": foreign, "limits": grades.LIMITS, "statuses": grades.STATUSES}
    return made


def render(request: Request, template: str, status: int = 200, **context: Any) -> Response:
    """The response with a page; 304 if the visitor already has it."""
    language = language_of(request)
    path = plain_path(request)
    query = f"?{request.url.query}" if request.url.query else ""
    with in_words_of(request, context.get("dataset")):
        html = (
            environment(language)
            .get_template(template)
            .render(
                site=_site(request),
                base=base_url(request),
                path=path,
                query=query,
                link=linker(request),
                static={name: file.address for name, file in files().items()},
                **context,
            )
        )
    headers = {"Cache-Control": "no-cache", "Vary": "Authorization", "Content-Language": language.code}
    return tagged(request, HTMLResponse(html, status, headers))


def tagged(request: Request, made: Response) -> Response:
    """The response with an entity tag of its content; 304 if the visitor already has it."""
    tag = f'W/"{hashlib.sha256(bytes(made.body)).hexdigest()[:32]}"'
    made.headers["ETag"] = tag
    if made.status_code != 200 or not has(request, tag):
        return made
    kept = ("cache-control", "vary", "content-language", "etag")
    return Response(status_code=304, headers={name: made.headers[name] for name in kept if name in made.headers})


def in_words_of(request: Request, dataset: PortalDataset | None) -> AbstractContextManager[None]:
    """For the time of a page: what the publishers' own words are in its language, this dataset's before others'."""
    language = language_of(request)
    shown = [] if language.code == ORIGINAL else [*findable(request), *([dataset] if dataset is not None else [])]
    return speaking(language.code, translations(language.code).gettext, shown)


def missing(request: Request) -> Response:
    """The page for an unknown address."""
    return render(request, "missing.html", 404)


def linker(request: Request) -> Callable[..., str]:
    """A function that changes parameters in this page's query string; None removes one, a list repeats it."""

    def link(**changed: Any) -> str:
        kept = [(name, value) for name, value in request.query_params.multi_items() if name not in changed]
        added = [(name, each) for name, value in changed.items() for each in _listed(value)]
        return "?" + urlencode(kept + added)

    return link


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def in_every_language(routes: list[Route]) -> list[Route]:
    """The routes of the same pages in each language."""
    return [Route(language.address(each.path), each.endpoint) for language in LANGUAGES for each in routes]


def _site(request: Request) -> str:
    """The name of the organization, if only one publishes here."""
    organizations = {dataset.attribution for dataset in findable(request) if dataset.attribution}
    return organizations.pop() if len(organizations) == 1 else ""


def _size(language: Language, size: int) -> str:
    """Bytes for people, in powers of a thousand."""
    unit, divisor = ("MB", 1e6) if size >= 1e6 else ("kB", 1e3)
    return f"{language.number(max(0.1, round(size / divisor, 1)))} {unit}"


def _period(language: Language, gettext: Callable[[str], str], text: str) -> str:
    """A period in words (the week of January 22, 2018); unchanged if its format is not known."""
    days = span(text)
    if days is None or days[2] == "year":
        return text
    first, _, length = days
    if length == "week":
        return gettext(WEEK) % {"day": language.day(first)}
    return {"day": language.day, "month": language.month, "quarter": language.quarter}[length](first)


def _brief(language: Language, text: str) -> str:
    """A period in a short form for an axis or a list; a week is shown as its first day."""
    days = span(text)
    if days is None or days[2] == "year":
        return text
    written = {"month": language.short_month, "quarter": language.short_quarter}.get(days[2], language.short_day)
    return written(days[0])


def half(low: Decimal | None, high: Decimal | None) -> Decimal | None:
    """Half the margin, rounded up to the step of its ends; None without one."""
    if low is None or high is None:
        return None
    step = Decimal(1).scaleb(min(0, int(low.as_tuple().exponent), int(high.as_tuple().exponent)))
    return ((high - low) / 2).quantize(step, ROUND_CEILING)


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _markdown(text: str) -> Markup:
    """Markdown as HTML: raw HTML is shown as text, an image as its text, headings continue the page's levels."""
    reader = markdown_reader()
    tokens = reader.parse(text)
    headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    shift = 2 - min((int(token.tag[1]) for token in headings), default=2)
    for token in headings:
        token.tag = f"h{min(6, int(token.tag[1]) + shift)}"
    for token in tokens:
        if token.type == "th_open":
            token.attrSet("scope", "col")
    return Markup(reader.renderer.render(tokens, reader.options, {}))  # noqa: S704 -- raw HTML is disabled

"""The pages in each language: every word of theirs translated, the publisher's words left and marked as they are."""

from __future__ import annotations

import re
import string
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po
from page_reading import Page, family, loaded

from publisher.portal.pages.language import ENGLISH, LANGUAGES, TRANSLATIONS
from publisher.portal.pages.rendering import TEMPLATES, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests
    from portal_process import Running

FOREIGN = [language for language in LANGUAGES if language is not ENGLISH]
SHARED = frozenset({"Portal", "API", "provisional"})
"""Messages that are the same word in both languages."""
PATHS = [
    "/", "/?q=zzz", "/?q=calls&tag=311&sort=name", "/d/{main}", "/d/{main}?zone=*", "/d/{main}?row.zone=B",
    "/d/{city}", "/d/{main}?table=1", "/d/{main}/api",
    "/d/{main}/ask", "/d/{main}/columns", "/d/{main}/places?place=B", "/d/{main}/share/chart",
    "/d/{main}/ask?by=zone&number=requests&order=largest",
    "/d/{main}/guarantee", "/d/{main}/releases", "/d/{main}/releases/2020-W02/1",
    "/methods", "/schedule", "/d/{main}/schedule", "/inventory", "/about", "/none",
]  # fmt: skip


def messages() -> Iterator[str | tuple[str, str]]:
    """Every message of the templates and of the code, a pair where it has a plural."""
    for file in (*TEMPLATES.glob("*.html"), *TEMPLATES.glob("*.svg")):
        for _, function, text in environment(ENGLISH).extract_translations(file.read_text()):  # type: ignore[attr-defined]
            yield text[:2] if function == "ngettext" else text[0] if isinstance(text, tuple) else text
    for file in (
        *TEMPLATES.parent.glob("*.py"),
        *((TEMPLATES.parent.parent / "base" / name) for name in ("bounds.py", "schedule.py")),
    ):
        for _, text, _, _ in extract_from_file("python", file, keywords={"message": None}):
            yield text


@pytest.mark.parametrize("language", FOREIGN, ids=lambda language: language.code)
def test_every_message_is_translated(language: Any) -> None:
    """The catalog has each message, with the same placeholders, and none that is not used."""
    with (TRANSLATIONS / f"{language.code}.po").open("rb") as file:
        translated = {entry.id: entry.string for entry in read_po(file, locale=language.code) if entry.id}
    used = set(messages())
    assert set(translated) == used
    for message, translation in translated.items():
        pairs = zip(_texts(message), _texts(translation), strict=True)
        for original, text in pairs:
            assert text.strip(), message
            assert set(re.findall(r"%\(\w+\)s|%%", text)) == set(re.findall(r"%\(\w+\)s|%%", original)), message


def _texts(entry: str | tuple[str, ...]) -> tuple[str, ...]:
    return entry if isinstance(entry, tuple) else (entry,)


def test_no_word_of_a_template_is_left_untranslated() -> None:
    """Outside of messages a template has no words, but for names, units and code."""
    names = {
        "SHA",
        "CSV",
        "JSON",
        "PNG",
        "SVG",
        "data",
        "json",
        "count",
        "sum",
        "kB",
        "OpenAPI",
        "Atom",
        "Feed",
        "BibTeX",
        "SoQL",
    }
    for file in (*TEMPLATES.glob("*.html"), *TEMPLATES.glob("*.svg")):
        text = re.sub(r"{% trans.*?{% endtrans %}|{%.*?%}|{{.*?}}(#\w+)?", " ", file.read_text(), flags=re.DOTALL)
        page = Page(text)
        words = set(re.findall(r"[A-Za-z]{2,}", page.words))
        assert words <= names, (file.name, words - names)
        shown = [value for _, tag in page.tags for name, value in tag.items() if name in ("aria-label", "title", "alt")]
        assert not re.findall(r"[A-Za-z]{2,}", " ".join(value or "" for value in shown)), file.name


class Spoken(Page):
    """A page whose text in another language than its own is left out."""

    def __init__(self, text: str) -> None:
        self._open: list[bool] = []
        super().__init__(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember whether what follows is in another language, or code."""
        super().handle_starttag(tag, attrs)
        if tag not in {"meta", "link", "input", "br", "option", "path", "rect", "circle"}:
            foreign = tag in {"code", "script", "title"} or (tag != "html" and "lang" in dict(attrs))
            self._open.append(foreign or (self._open[-1] if self._open else False))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag without content changes nothing."""
        super().handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """Back to the language of what is around it."""
        super().handle_endtag(tag)
        if self._open and tag != "option":
            self._open.pop()

    def handle_data(self, data: str) -> None:
        """Keep what is in the page's own language."""
        if not (self._open and self._open[-1]):
            super().handle_data(data)


@pytest.mark.parametrize("path", PATHS)
def test_no_page_in_spanish_shows_english_words(portal: Running, path: str) -> None:
    """No message stands there in English, nor does any common English word; what does is marked as English."""
    address = f"{portal.address}/es{path.format(**family(portal))}"
    page = Spoken(_text(address))
    english = {text for message in messages() for text in _texts(message)}
    with (TRANSLATIONS / "es.po").open("rb") as file:
        changed = {text for e in read_po(file, locale="es") if e.id for text in _texts(e.id) if e.string != e.id}
    for message in english & changed:
        plain = message.replace("%%", "%")
        if len(plain.split()) > 2 and "%(" not in plain:
            assert plain not in page.words, plain
    words = {word.strip(string.punctuation + "«»·").lower() for word in page.words.split()}
    common = {"the", "and", "of", "is", "are", "with", "which", "for", "rows", "cells", "numbers", "columns", "search"}
    assert not words & common, words & common


def _text(address: str) -> str:
    import requests

    return requests.get(address, headers={"Accept": "text/html"}, timeout=60).text


@pytest.mark.parametrize("path", PATHS)
def test_every_page_leads_to_itself_in_each_language(portal: Running, web: requests.Session, path: str) -> None:
    """`lang` is right, alternates are named in the head, and a link switches, with the question kept."""
    path = path.format(**family(portal))
    plain, question, query = path.partition("?")
    for language in LANGUAGES:
        answer = web.get(f"{portal.address}{language.address(path)}", headers={"Accept": "text/html"})
        page = Page(answer.text)
        assert page.all("html")[0]["lang"] == language.code
        assert answer.headers["Content-Language"] == language.code
        alternates = {x["hreflang"]: x["href"] for x in page.all("link") if x["rel"] == "alternate" and "hreflang" in x}
        expected = {each.code: f"{portal.address}{each.address(plain)}" for each in LANGUAGES}
        assert alternates == expected | {"x-default": expected["en"]}
        other = next(each for each in LANGUAGES if each is not language)
        switch = next(link for link in page.all("a") if link.get("hreflang") == other.code)
        assert switch["lang"] == other.code
        assert switch["href"] == other.address(plain) + question + query


def test_links_stay_in_the_language(portal: Running) -> None:
    """From a Spanish page every link to a page leads to a Spanish one, but for the switch."""
    pages = re.compile(r"/(d/(?!.*\.(atom|json|bib)$)|methods|inventory$|about|$)")
    for path in ("/es/", f"/es/d/{family(portal)['main']}", "/es/inventory"):
        links = [link for link in loaded(portal, path).all("a") if "hreflang" not in link]
        assert not [link["href"] for link in links if pages.match(link.get("href") or "")]


def test_numbers_and_days_are_written_as_the_language_does(portal: Running) -> None:
    """The day first and the month in lower case; words for a release's state."""
    page = loaded(portal, f"/es/d/{family(portal)['main']}/releases")
    assert re.search(r"1 de marzo de 2020", page.words)
    assert "reemplazado por una edición posterior" in page.words
    assert "March 1, 2020" in loaded(portal, f"/d/{family(portal)['main']}/releases").words


@pytest.mark.parametrize(
    ("number", "text"), [(1234567, "1,234,567"), (-3, "\N{MINUS SIGN}3"), (0.5, "0.5"), (12.50, "12.5"), (0, "0")]
)
def test_numbers_have_no_needless_digits(number: float, text: str) -> None:
    """Grouped, with a true minus sign, and no zeros at the end."""
    assert ENGLISH.number(number) == text


def test_the_translations_come_with_the_package() -> None:
    """They lie beside the code, as the templates do."""
    assert {path.stem for path in Path(TRANSLATIONS).glob("*.po")} == {language.code for language in FOREIGN}


def test_a_prefix_that_is_no_language_leads_nowhere(portal: Running) -> None:
    """Nor does an address that only begins like one."""
    loaded(portal, "/fr/", status=404)
    loaded(portal, "/estonia", status=404)
    assert loaded(portal, "/estonia", status=404).all("html")[0]["lang"] == "en"


@pytest.mark.parametrize("number", ["1234567890123", "12345678901234567890123456789012345678"])
def test_long_numbers_keep_all_their_digits(number: str) -> None:
    """A number of as many digits as a column holds is written in full."""
    assert ENGLISH.number(Decimal(number)).replace(",", "") == number

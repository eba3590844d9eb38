"""The languages of the pages: addresses, texts, numbers, and dates in each.

English has no prefix; every other language has its own (`/es/…`). The texts of a page are gettext messages,
translated in `translations/*.po`. What a publisher wrote is not translated.
"""

from __future__ import annotations

import gettext
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Context, localcontext
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from babel import Locale
from babel.dates import format_date, format_skeleton
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

if TYPE_CHECKING:
    from decimal import Decimal

    from starlette.requests import Request

TRANSLATIONS = Path(__file__).parent / "translations"
ORIGINAL = "en"
"""The language that the publisher's own texts are assumed to be in."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language of the pages; `locale` decides how numbers and dates are written."""

    code: str
    name: str
    prefix: str
    locale: Locale

    def address(self, path: str) -> str:
        """The address in this language of the page that is at `path` in English."""
        return f"{self.prefix}{path}"

    def number(self, value: Decimal | float) -> str:
        """A number for people: grouped digits, no trailing zeros, a true minus sign."""
        digits = "#,##0.################"
        with localcontext(Context(prec=60)):  # more digits than a column holds, with those that babel adds
            written: str = format_decimal(value, digits, locale=self.locale, decimal_quantization=False)
        return written.replace("-", "\N{MINUS SIGN}")

    def signed(self, value: Decimal | float) -> str:
        """A number with its sign, unless it is zero."""
        return f"+{self.number(value)}" if value > 0 else self.number(value)

    def month(self, moment: date) -> str:
        """A month of a year for people."""
        return str(format_skeleton("yMMMM", moment, locale=self.locale))

    def quarter(self, moment: date) -> str:
        """A quarter of a year for people."""
        return str(format_skeleton("yQQQQ", moment, locale=self.locale))

    def short_day(self, moment: date) -> str:
        """A day in a short form."""
        return str(format_date(moment, "medium", locale=self.locale))

    def short_month(self, moment: date) -> str:
        """A month in a short form."""
        return str(format_skeleton("yMMM", moment, locale=self.locale))

    def short_quarter(self, moment: date) -> str:
        """A quarter in a short form."""
        return str(format_skeleton("yQQQ", moment, locale=self.locale))

    def day(self, moment: float | date | str) -> str:
        """A day for people, from epoch seconds, a date, or ISO 8601 text; text that is not a date stays as it is."""
        try:
            return str(format_date(_date(moment), "long", locale=self.locale))
        except ValueError:
            return str(moment)


def _date(moment: float | date | str) -> date:
    if isinstance(moment, date):
        return moment
    return date.fromisoformat(moment[:10]) if isinstance(moment, str) else datetime.fromtimestamp(moment, UTC).date()


ENGLISH = Language("en", "English", "", Locale("en", "US"))
LANGUAGES = (ENGLISH, Language("es", "Español", "/es", Locale("es", "US")))


def language_of(request: Request) -> Language:
    """The language that the request's address asks for."""
    return _split(request.url.path)[0]


def plain_path(request: Request) -> str:
    """The path without the language prefix."""
    return _split(request.url.path)[1]


def _split(path: str) -> tuple[Language, str]:
    for language in LANGUAGES:
        if language.prefix and f"{path}/".startswith(f"{language.prefix}/"):
            return language, path.removeprefix(language.prefix) or "/"
    return ENGLISH, path


@cache
def translations(code: str) -> gettext.NullTranslations:
    """The translations for a language; English needs none, as its texts are in the templates and the code."""
    file = TRANSLATIONS / f"{code}.po"
    if not file.is_file():
        return gettext.NullTranslations()
    with file.open("rb") as text:
        read = read_po(text, locale=code)
    compiled = BytesIO()
    write_mo(compiled, read)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)

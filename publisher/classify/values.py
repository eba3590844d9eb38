"""The second signal: the share of values that are what they look like, with checksums where there are any."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from publisher.classify.column import spread
from publisher.classify.people import GIVEN, SURNAMES
from publisher.identifiers import CARD, IBAN, IDENTIFIERS, is_card, is_iban, is_routing, is_spanish_id, is_vin

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.classify.column import SampledColumn
    from publisher.classify.kinds import Kind

TRIED = 150
"""So many different values are given to the libraries, which take their time."""
_CARD_SHAPE = re.compile(CARD)
_MASKED = re.compile(r"(?:[xX*•#]{4}[ -]?){2,3}\d{4}|[xX*•#]{6,12}\d{4}")
_IBAN_SHAPE = re.compile(IBAN)
_PHONE = re.compile(r"\+?[\d .()/-]{7,20}(?: ?(?:x|ext\.?) ?\d{1,5})?", re.IGNORECASE)
_PHONE_SIGNS = re.compile(r"^\+\d|^\(\d{3}\)|^\d{3}[-. ]\d{3}[-. ]\d{3,4}$|^1[-. ]\d{3}[-. ]")
_DECIMAL = re.compile(r"[+-]?\d+\.\d+")
_POINT = re.compile(
    r"(?:POINT ?Z? ?)?\( ?-?\d+\.\d+[, ]+-?\d+\.\d+ ?\)|-?\d{1,3}\.\d{3,} ?, ?-?\d{1,3}\.\d{3,}", re.IGNORECASE
)
_SPANISH_STREET = re.compile(
    r"(?:(?:calle|avenida|plaza|paseo|camino|carretera|ronda|travesia|callejon)\s+|(?:c/|cl\.|avda\.?|av\.|plz\.|pza\.)\s*)\w.*"
)
_NUMBERED = re.compile(r"\d{1,6}(?:-\d+)?[A-Za-z]?\s+(?:block\s+(?:of\s+)?)?[A-Za-z0-9].*[A-Za-z].*")
_BOX = re.compile(r"p\.? ?o\.? box \d+|apartado \d+", re.IGNORECASE)
_PLATE = re.compile(
    r"([A-Z]{3})[ -]?\d{3,4}|\d{3}[ -]?([A-Z]{3})|\d{4}[ -]?([BCDFGHJ-NPRSTV-Z]{3})|([A-Z]{2})[ -]?\d{3}[ -]?[A-Z]{2}"
)
_LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_COMPANY = re.compile(r"\b(llc|inc|ltd|corp|co|lp|llp|trust|estate|s\.?l\.?|s\.?a\.?)\.?$", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d_][^\W\d_'’.,&/ -]*(?:[ ,.&/'’-]+[^\W\d_]+[.']?){0,6}\.?")
_STREET_WORD = re.compile(
    r"\b(st|street|ave|avenue|blvd|rd|road|dr|ln|ct|pl|park|hill|center|district|county|calle)\b", re.IGNORECASE
)


def matched(column: SampledColumn) -> dict[Kind, float]:
    """The share of values of each kind that there are any of, by the rules of that kind."""
    found = {kind: measure(column) for kind, measure in _MEASURES.items()}
    return {kind: share for kind, share in found.items() if share}


def _candidates(values: tuple[str, ...], shape: Callable[[str], object], proof: Callable[[str], bool]) -> float:
    """The share of all values that prove what they are, if at least half of those with the shape do.

    By chance one in ten does.
    """
    shaped = [value for value in values if shape(value)]
    proven = sum(map(proof, shaped))
    return proven / len(values) if proven >= 2 and proven >= 0.5 * len(shaped) else 0.0


def _email(column: SampledColumn) -> float:
    return column.share(IDENTIFIERS["e-mail address"])


def _phone(column: SampledColumn) -> float:
    """Numbers with signs between their digits count as they are; bare ones must nearly all be valid, and not dense."""
    tried = spread(column.distinct, TRIED)
    shaped = [value for value in tried if _PHONE.fullmatch(value)]
    if not shaped:
        return 0.0
    signed = [value for value in shaped if _PHONE_SIGNS.search(value) and not _DECIMAL.fullmatch(value)]
    if signed:
        return sum(map(_valid_phone, signed)) / len(tried)
    bare = [value for value in shaped if re.fullmatch(r"\d{9}|1?\d{10}", value)]
    valid = sum(map(_valid_phone, bare))
    return valid / len(tried) if bare and valid >= 0.8 * len(tried) and not column.ordered else 0.0


@lru_cache(maxsize=4096)
def _valid_phone(text: str) -> bool:
    import phonenumbers

    for region in ("US", "ES"):
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(text, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _government(column: SampledColumn) -> float:
    pattern = re.compile(IDENTIFIERS["social security number"]).fullmatch
    dashed = sum(pattern(value) is not None for value in column.distinct) / max(1, len(column.distinct))
    return max(
        dashed, _candidates(column.distinct, lambda text: re.fullmatch(r"[XYZ\d]\d{7}-?[A-Za-z]", text), is_spanish_id)
    )


def _card(column: SampledColumn) -> float:
    proven = _candidates(column.distinct, lambda text: _CARD_SHAPE.fullmatch(re.sub(r"[ -]", "", text)), is_card)
    return max(proven, column.share(_MASKED))


def _bank(column: SampledColumn) -> float:
    iban = _candidates(column.distinct, lambda text: _IBAN_SHAPE.fullmatch(text.replace(" ", "")), is_iban)
    routing = (
        0.0 if column.ordered else _candidates(column.distinct, lambda text: re.fullmatch(r"\d{9}", text), is_routing)
    )
    return max(iban, routing if routing > 0.6 else 0.0)


def _address(column: SampledColumn) -> float:
    """By the words of streets; where these say nothing, as usaddress reads it."""
    if not column.distinct or column.numbers:
        return 0.0
    tried = spread(column.distinct, TRIED)
    return sum(map(_is_address, tried)) / len(tried)


@lru_cache(maxsize=4096)
def _is_address(text: str) -> bool:
    if len(text) > 120:
        return False
    if _SPANISH_STREET.fullmatch(_plain(text)) or _BOX.search(text) or re.match(IDENTIFIERS["street address"], text):
        return True
    if not _NUMBERED.fullmatch(text):
        return False
    import usaddress

    try:
        parts, kind = usaddress.tag(text)
    except usaddress.RepeatedLabelError:
        return False
    street = {"StreetNamePostType", "StreetNamePreType", "StreetNamePreDirectional", "StreetNamePostDirectional"}
    return kind == "Street Address" and {"AddressNumber", "StreetName"} <= parts.keys() and not street.isdisjoint(parts)


def _plate(column: SampledColumn) -> float:
    """License plates with letters of many kinds, or numbers of vehicles with their check digit."""
    vin = _candidates(column.distinct, lambda text: re.fullmatch(r"[A-Za-z0-9]{17}", text), is_vin)
    found = [match for value in column.distinct if (match := _PLATE.fullmatch(value.upper()))]
    letters = {next(filter(None, match.groups())) for match in found}
    plates = len(found) / len(column.distinct) if found and len(letters) >= 0.3 * len(found) else 0.0
    return min(1.0, plates + vin)


def _coordinates(column: SampledColumn) -> float:
    return column.share(_POINT)


def _link(column: SampledColumn) -> float:
    return column.share(_LINK) if column.unique > 0.2 else 0.0


def _name(column: SampledColumn) -> float:
    """Words that look like a name and have a common given name or surname among them."""
    found = sum(map(_is_name, column.distinct))
    return found / len(column.distinct) if column.distinct else 0.0


@lru_cache(maxsize=8192)
def _is_name(text: str) -> bool:
    if len(text) > 60 or not _NAME.fullmatch(text) or _STREET_WORD.search(text):
        return False
    parts = set(re.findall(r"[a-z]+", _plain(text).replace("'", "")))
    return bool(parts & GIVEN) or bool(parts & SURNAMES) or bool(_COMPANY.search(text))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


_MEASURES: dict[Kind, Callable[[SampledColumn], float]] = {
    "email": _email,
    "phone": _phone,
    "government-id": _government,
    "card": _card,
    "bank": _bank,
    "address": _address,
    "plate": _plate,
    "coordinates": _coordinates,
    "link": _link,
    "name": _name,
}

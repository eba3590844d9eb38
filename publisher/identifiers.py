"""What identifies people in texts: patterns, and the checksums by which numbers prove what they are."""

from __future__ import annotations

import re

IDENTIFIERS = {
    "e-mail address": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}",
    "phone number": r"(?<![\d-])(?:\+?1[ .-]?)?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}(?![\d-])"
    r"|(?<!\d)[2-9]\d{2}[2-9]\d{6}(?!\d)",
    "social security number": r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])",
    "payment card number": r"(?<![\d-])(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6(?:011|5\d{2}))(?:[ -]?\d{4}){3}(?![\d-])"
    r"|(?<![\d-])3[47]\d{2}[ -]\d{6}[ -]\d{5}(?![\d-])",
    "street address": r"(?i)(?<![\w-])(?<!ward )(?<!zone )(?<!area )(?<!tract )(?<!group )(?<!region )(?<!district )"
    r"(?<!precinct )\d{1,6}[a-z]?\s+(?:[a-z0-9'.-]+\s+){1,4}(?:street|st|avenue|ave|boulevard|blvd|road|rd|drive|dr"
    r"|lane|ln|court|ct|place|pl|terrace|parkway|pkwy|circle|cir|highway|hwy|way)(?![\w'-])",
}
"""What no published text may look like. Numbered wards and tracts, periods and place codes do not match."""

CARD = (
    r"(?:4\d{15}|4\d{18}|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:6011|65\d\d)\d{12}|35\d{14})"
)
"""A card number without blanks, by its issuer and length."""
IBAN = r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}"
"""An IBAN without blanks."""

_ABA = re.compile(r"(?:0\d|1[0-2]|2[1-9]|3[0-2]|6[1-9]|7[0-2]|80)\d{7}")
_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
_VIN_VALUES = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", (*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)), strict=True))
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_DNI = re.compile(r"[XYZ0-9]\d{7}[A-Z]")


def is_card(text: str) -> bool:
    """Whether the text is a card number with the check digit of Luhn's rule."""
    digits = re.sub(r"[ -]", "", text)
    return re.fullmatch(CARD, digits) is not None and luhn(digits)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether the text is an IBAN with its check digits."""
    plain = text.replace(" ", "").upper()
    if re.fullmatch(IBAN, plain) is None:
        return False
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def is_routing(text: str) -> bool:
    """Whether the text is a routing number of a US bank, with its check digit."""
    if _ABA.fullmatch(text) is None:
        return False
    return sum(int(digit) * weight for digit, weight in zip(text, (3, 7, 1) * 3, strict=True)) % 10 == 0


def is_vin(text: str) -> bool:
    """Whether the text is the number of a vehicle made for North America, with its check digit."""
    text = text.upper()
    if _VIN.fullmatch(text) is None:
        return False
    values = (int(each) if each.isdigit() else _VIN_VALUES[each] for each in text)
    return text[8] == "0123456789X"[sum(map(int.__mul__, values, _VIN_WEIGHTS)) % 11]


def is_spanish_id(text: str) -> bool:
    """Whether the text is a Spanish DNI or NIE with its letter."""
    text = re.sub(r"[ .-]", "", text).upper()
    if _DNI.fullmatch(text) is None:
        return False
    number = int(text[:-1].translate(str.maketrans("XYZ", "012")))
    return text[-1] == "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23]

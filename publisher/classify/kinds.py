"""The kinds of personal content."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal[
    "email",
    "phone",
    "government-id",
    "card",
    "bank",
    "birth-date",
    "plate",
    "coordinates",
    "parcel",
    "link",
    "address",
    "name",
    "account",
    "text",
]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""Of two kinds that are as likely, the first is guessed: `owner_email` is an e-mail."""

TITLES: dict[Kind, str] = {
    "name": "name",
    "email": "e-mail",
    "phone": "phone",
    "government-id": "government ID",
    "card": "card number",
    "bank": "bank account",
    "account": "account number",
    "address": "address",
    "parcel": "parcel",
    "birth-date": "birth date",
    "plate": "license plate",
    "coordinates": "coordinates",
    "link": "link",
    "text": "free text",
}
"""Each kind as people read it."""

STOPPED: tuple[Kind, ...] = ("card", "bank")
"""What must never be read: landing stops where a column that is read holds it."""

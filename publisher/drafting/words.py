"""What the name of a column says about it, in English and Spanish. A guess that a person confirms."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from publisher.classify.column_names import STRONG, named
from publisher.classify.kinds import KINDS

if TYPE_CHECKING:
    from publisher.classify.kinds import Kind

LONG = 5
SHORT = 2
"""A name of so many words is short."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

PERSON = {
    *("applicant", "requester", "requestor", "complainant", "caller", "contact", "customer", "resident", "tenant"),
    *("citizen", "client", "patient", "holder", "landlord", "occupant", "owner", "person", "reporter", "submitter"),
    *("solicitante", "cliente", "dueno", "propietario", "ciudadano", "persona", "nombre", "apellido"),
}
FIRM = {"contractor", "company", "business", "vendor", "firm", "licensee", "employer", "empresa", "contratista"}
ACCOUNT = {"account", "user", "meter", "acct", "usuario", "cuenta", "premise", "subscriber"}
PARCEL = {"parcel", "property", "pin", "apn", "bbl", "lot", "parcela", "building", "propiedad"}
ADDRESS = {"address", "addr", "street", "location", "house", "direccion", "calle", "domicilio"}
CASE = {"id", "number", "no", "num", "case", "key", "record", "code", "numero", "folio", "sr", "permit"}
KIND = {"type", "category", "kind", "reason", "problem", "subject", "class", "service", "tipo", "categoria", "motivo"}


def words(name: str) -> tuple[str, ...]:
    """The words of a column's name, in lower case and without accents: FirstName, FIRST_NAME and first.name alike."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return tuple(word.lower() for word in _WORD.findall(plain))


def says(name: str, signs: set[str]) -> bool:
    """Whether one of these words is in a name; long ones also inside a word, since PROBADDRESS has no joints."""
    said = words(name)
    return any(word in signs or any(len(sign) >= LONG and sign in word for sign in signs) for word in said)


def personal(name: str) -> Kind | None:
    """The kind of personal content that a column's name speaks of; what is in the column does not count.

    So a draft says the same whatever the records are. A weak sign counts in a short name alone: Location, not
    LocationEnergyUse.
    """
    found = named(name)
    kind = max((kind for kind in KINDS if kind in found), key=lambda kind: found[kind], default=None)
    return kind if kind is not None and (found[kind] >= STRONG or len(words(name)) <= SHORT) else None


def spoken(name: str) -> str:
    """A column's name as SQL and tables can have it: lower case, digits and underscores."""
    made = "_".join(words(name)) or "column"
    return made[:40].strip("_")

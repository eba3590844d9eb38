"""What the name of a column says about it, in English and Spanish. A guess that a person confirms."""

from __future__ import annotations

import re
import unicodedata

LONG = 5
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
_FREE = {
    *("description", "comment", "comments", "note", "notes", "remark", "remarks", "narrative", "text", "details"),
    *("memo", "resolution", "descripcion", "comentario", "comentarios", "observaciones", "closure"),
}
_NAMES = PERSON | {"first", "last", "full", "middle", "surname", "customername"}
_PERSONAL = (
    ("an e-mail address", {"email", "mail", "correo"}),
    ("a phone number", {"phone", "telephone", "tel", "cell", "fax", "telefono"}),
    ("a birth date", {"birth", "dob", "birthdate", "birthday", "nacimiento"}),
    ("an identity number", {"ssn", "passport", "plate", "license", "licence", "dni", "nif", "iban", "card"}),
    ("free text", _FREE),
)


def words(name: str) -> tuple[str, ...]:
    """The words of a column's name, in lower case and without accents: FirstName, FIRST_NAME and first.name alike."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return tuple(word.lower() for word in _WORD.findall(plain))


def says(name: str, signs: set[str]) -> bool:
    """Whether one of these words is in a name; long ones also inside a word, since PROBADDRESS has no joints."""
    said = words(name)
    return any(word in signs or any(len(sign) >= LONG and sign in word for sign in signs) for word in said)


def personal(name: str) -> str:
    """What personal matter a column seems to hold, in words; empty if its name says nothing of the kind."""
    for what, signs in _PERSONAL:
        if says(name, signs):
            return what
    said = set(words(name))
    if says(name, PERSON) or said == {"name"} or ("name" in said and said & _NAMES):
        return "a name"
    others = (("an address", ADDRESS), ("an account", ACCOUNT), ("a parcel or a building", PARCEL))
    return next((what for what, signs in others if says(name, signs)), "")


def spoken(name: str) -> str:
    """A column's name as SQL and tables can have it: lower case, digits and underscores."""
    made = "_".join(words(name)) or "column"
    return made[:40].strip("_")

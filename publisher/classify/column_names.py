"""The first signal: what the name of a column says, in English and Spanish."""

# ruff: noqa: E501 -- lists of words

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publisher.classify.kinds import Kind

STRONG, WEAK = 3, 2

_STRONG: dict[Kind, str] = {
    "email": "email e mail correo mailto",
    "phone": "phone telephone tel telefono telefonos movil celular cell cellphone mobile fax ph phonenumber callback",
    "government-id": "ssn ssn4 socsec tin itin dni nie nif passport pasaporte curp cuil",
    "card": "creditcard cardnumber ccnum pan tarjeta visa mastercard amex cvv",
    "bank": "iban aba routing bank banco bancaria bancario cuentabancaria domiciliacion checking swift bic clabe",
    "account": "account acct acctno accountno customer cliente patron member abonado contrato student alumno employee "
    "userid userkey policyholder expediente",
    "address": "address addr domicilio direccion calle premise premises street streetname residence house housenumber "
    "apartment apt streetno",
    "parcel": "parcel parcela parcels apn sbl catastral taxlot folio bbl parcelid parcelno",
    "birth-date": "dob birth birthdate birthday born nacimiento nac fnac fechanac birthyear",
    "plate": "plate plates matricula placa vin licenseplate tag patente",
    "coordinates": "lat latitude latitud lon lng longitude longitud easting northing coord coords coordinate coordinates "
    "coordenada coordenadas geom geometry geolocation geocoded latlon latlng utm srx sry xcoord ycoord",
    "link": "url photo photos foto image attachment media link picture video",
    "text": "comment comments comentario comentarios remark remarks note notes nota notas narrative observacion "
    "observaciones memo freetext",
    "name": "applicant owner owners contractor complainant tenant titular solicitante nombre nombres apellido apellidos "
    "inspector guardian payee taxpayer resident requester requestor caller citizen officer victim suspect driver "
    "patient landlord permittee licensee attorney vecino propietario denunciante arrendatario firstname lastname "
    "fullname surname forename spouse parent lessee claimant witness buyer seller grantor grantee reporter occupant "
    "contratista paciente conductor conyuge inquilino interesado firstnm lastnm fname lname",
}
_WEAK: dict[Kind, str] = {
    "name": "name nm contact contacto user usuario by agent business company technician person persona responsable",
    "phone": "daytime evening",
    "address": "location loc ubicacion where site lugar intersection place servicio",
    "account": "meter contador badge client key library usuario user",
    "government-id": "license documento document licencia taxid identificacion",
    "card": "card cc pago",
    "bank": "cuenta",
    "plate": "vehicle vehiculo car",
    "coordinates": "x y long geo point punto shape",
    "parcel": "pin property predio lot",
    "text": "description descripcion resolution reason details detail detalle detalles title asunto body closure message",
}
_PHRASES: tuple[tuple[str, Kind, int], ...] = (
    (r"soc(ial)? ?sec", "government-id", STRONG),
    (r"driver'?s? ?(license|lic)|licencia de conducir", "government-id", STRONG),
    (r"(credit|debit|payment|pmt) ?card|card ?(no|num|number)\b", "card", STRONG),
    (r"library ?card|(customer|user|client|member) ?(id|key|no|num|number)\b|numero de cliente", "account", STRONG),
    (r"bank ?acc|checking ?acc|acct? ?routing|cuenta bancaria", "bank", STRONG),
    (r"(year|date|fecha|ano|f|d) ?(of |de )?(birth|nac)", "birth-date", STRONG),
    (
        r"(first|last|full|middle|given|family|maiden|customer|applicant|owner|contact|person|business|company|legal) ?(name|nm)\b",
        "name",
        STRONG,
    ),
    (r"\b(reported|submitted|requested|filed|created|entered|opened) by\b", "name", STRONG),
    (r"razon social", "name", STRONG),
    (r"license plate|(plate|tag) ?(no|num|number)\b", "plate", STRONG),
    (r"tax ?parcel|property ?id\b|ref(erencia)? ?catastral|tax ?lot", "parcel", STRONG),
    (r"(house|street|calle) ?(no|num|number|name|nombre)\b|mail(ing)? ?addr", "address", STRONG),
    (
        r"(^| )(state ?plane|utm|sr|map|geo|point|coord) ?[xy]$|^[xy] ?(coord|coordinate|utm|pos)?$",
        "coordinates",
        STRONG,
    ),
    (r"tax ?id\b", "government-id", WEAK),
    (r"payment ?(ref|reference)", "card", WEAK),
)
_INSIDE = re.compile(
    r"addr(?!essee)|e?mail|phone|telefon|latitud|longitud|parcel|birth|nacimien|comment|propietar|applicant"
)
"""Long enough to be found inside words that are written together."""
_INSIDE_KINDS: dict[str, Kind] = {
    "addr": "address", "mail": "email", "email": "email", "phone": "phone", "telefon": "phone", "latitud": "coordinates",
    "longitud": "coordinates", "parcel": "parcel", "birth": "birth-date", "nacimien": "birth-date", "comment": "text",
    "propietar": "name", "applicant": "name",
}  # fmt: skip
_ABOUT = re.compile(
    r"\b(type|types|tipo|class|clase|count|cnt|total|method|metodo|make|model|color|opt|optin|verified|approximate|"
    r"occupied|district|status|estado|flag|has|is|zone|zona|category|categoria|code|codigo|sweeping|axis|days|date|fecha|"
    r"time|hora|year|ano|state|city|ciudad|zip|zipcode|postal|county|country|ward|suffix|prefix|direction|source|os|"
    r"lang|language|gl|fund|budget|ledger|asset|ext|extension|length|width|area|sqft|gfa|use|uses|value|amount|fee|rate|"
    r"lvl|level|rank|size|age|group|region|line|segment|material|condition|reading|lectura|consumption|consumo|precinct|section|anonymous|unit|units|"
    r"type\w*|\w*(type|status|zip|city|date|code|verified|suffix))\b"
)
"""Words that say that a column is about the thing and is not the thing itself."""
_PLACES = re.compile(
    r"\b(park|parque|facility|school|escuela|project|proyecto|route|ruta|event|evento|agency|department|neighborhood|barrio|"
    r"service|servicio|council|nc|cd|district|distrito|station|program|programa|region|ward|city|county|state|country|"
    r"file|table|layer|field|product|species|river|trail|zone|county|sheet|town|category|type|form|crew|team)\b"
)
"""What has a name and is no person."""


def words(column: str) -> str:
    """The words of a column's name: small letters without accents, split where people split them."""
    plain = unicodedata.normalize("NFKD", column).encode("ascii", "ignore").decode()
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=\d)", " ", plain)
    return " ".join(re.findall(r"[a-z]+|\d+", plain.lower()))


def named(column: str) -> dict[Kind, int]:
    """What the name says: each kind that it may mean, with how strongly; empty if it says nothing."""
    text = words(column)
    found: dict[Kind, int] = {}
    for pattern, kind, strength in _PHRASES:
        if re.search(pattern, text):
            found[kind] = max(strength, found.get(kind, 0))
    if "birth-date" not in found and _ABOUT.search(text):
        return {}
    parts = text.split()
    for kind, strength in _words_of(parts, text):
        found[kind] = max(strength, found.get(kind, 0))
    if "name" in found and _PLACES.search(text):
        del found["name"]
    return found


def _words_of(parts: list[str], text: str) -> list[tuple[Kind, int]]:
    """The kinds by single words, and by words inside words."""
    strong = [(kind, STRONG) for kind, known in _STRONG.items() if not {*parts}.isdisjoint(known.split())]
    weak = [(kind, WEAK) for kind, known in _WEAK.items() if not {*parts}.isdisjoint(known.split())]
    inside = [(_INSIDE_KINDS[each], STRONG) for each in _INSIDE.findall(text.replace(" ", ""))]
    return [*weak, *inside, *strong]

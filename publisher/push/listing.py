"""How the portal lists a dataset: its title, license and columns, and the fields that mark it as ours."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from publisher.push.client import MARKER, Fields, View

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from publisher.release.manifest import ColumnSpec, Shape

IDENTIFIER = "id"
"""The column that identifies a row."""

LICENSES = {
    "CC0 1.0": "CC0_10",
    "CC BY 4.0": "CC_40_BY",
    "CC BY-SA 4.0": "CC_40_BY_SA",
    "ODC-BY 1.0": "ODC_BY",
    "ODbL 1.0": "ODBL",
    "PDDL 1.0": "PDDL",
    "Public Domain": "PUBLIC_DOMAIN",
}
"""Socrata's codes; any other license is given only by name and link."""


_PLAIN = ("name", "description", "attribution", "category", "tags", "licenseId")
"""The metadata fields that we set, by Socrata's names."""

LISTED = "listed"
"""The custom field that says, by digests, how we last listed the dataset: what differs was changed by someone else."""

NAMES = {"name": "title", "licenseId": "license"}
"""What people call the fields of Socrata."""


@dataclass(frozen=True)
class PortalDifference:
    """One thing in which the portal differs from what it should say."""

    what: str
    """title, description, columns, field contact, file guarantee.json, rows and so on."""
    there: str
    """What the portal says; empty if nothing."""
    here: str
    """What it should say."""
    changed: str = ""
    """Where it was changed since the last push: there (by someone else) or here; empty if nobody can tell."""
    ids: tuple[str, ...] = ()
    """The first rows that differ."""


@dataclass(frozen=True)
class Attachment:
    """A file attached to the rows."""

    name: str
    content: bytes = field(repr=False)
    media_type: str

    @property
    def sha256(self) -> str:
        """The digest that tells whether the portal already has it."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Listing:
    """Everything that the portal shows about a dataset in addition to its rows."""

    name: str
    title: str
    description: str
    attribution: str
    license: str
    license_url: str | None
    contact: str
    category: str
    tags: tuple[str, ...]
    columns: tuple[ColumnSpec, ...]
    """The columns in order; `id` is one of them."""
    shape: Shape
    guarantee: str
    """Markdown."""
    stand_in: bool
    limitations: tuple[str, ...]
    companions: tuple[tuple[str, str], ...] = ()
    """Name and title of the other tables released with it."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """More of our custom fields: source, releases, odds and so on, each as JSON."""
    files: tuple[Attachment, ...] = ()
    """The attached files."""

    @property
    def shown_title(self) -> str:
        """The title, which says so if the data is not real."""
        return f"[Sample] {self.title}" if self.stand_in else self.title

    @cached_property
    def custom(self) -> dict[str, str]:
        """Our custom fields, all texts, and the digests by which a later push sees what someone else has changed."""
        columns = {column.name: [column.title, column.description] for column in self.columns}
        return {**self._custom, LISTED: json.dumps(_digests(self._plain(), columns, self._custom), sort_keys=True)}

    @cached_property
    def _custom(self) -> dict[str, str]:
        """Fields that were added later are present only if they have a value."""
        fields = {
            "dataset": self.name,
            "shape": self.shape.model_dump_json(exclude_defaults=True),
            "guarantee": self.guarantee,
            "stand_in": json.dumps(self.stand_in),
            "contact": self.contact,
            "license": self.license,
            "license_url": self.license_url or "",
            "limitations": "\n".join(self.limitations),
        }
        if self.companions:
            companions = [{"name": name, "title": title} for name, title in self.companions]
            fields["companions"] = json.dumps(companions, ensure_ascii=False)
        if self.files:
            fields["files"] = json.dumps({file.name: file.sha256 for file in self.files}, sort_keys=True)
        return {**fields, **{name: text for name, text in self.facts.items() if text}}

    def creation(self) -> Fields:
        """The metadata of a new dataset, its typed columns and its row identifier."""
        columns = [described(column) for column in self.columns]
        metadata = {"rowIdentifier": IDENTIFIER, "custom_fields": {MARKER: self.custom}}
        return {**self._plain(), "columns": columns, "metadata": metadata}

    def stale(self, view: View) -> list[Attachment]:
        """The files that the portal does not have, or has in an older version."""
        return [file for file in self.files if view.held.get(file.name) != file.sha256]

    def changes(self, view: View, attached: Mapping[str, str] | None = None) -> Fields:
        """The metadata fields in which the portal differs, each as a whole and keeping what is not ours.

        `attached` has the asset ids of the files that were just sent.
        """
        changes = {key: value for key, value in self._plain().items() if not _same(view.fields.get(key), value)}
        if self.license not in LICENSES and view.fields.get("licenseId"):
            changes["licenseId"] = None
        if view.custom != self.custom or self.stale(view):
            metadata = view.fields.get("metadata") or {}
            custom = {**(metadata.get("custom_fields") or {}), MARKER: self.custom}
            changes["metadata"] = {**metadata, "custom_fields": custom, **self._attachments(view, attached or {})}
        columns = [(view.columns[column.name], column) for column in self.columns]
        if any((held["name"], held.get("description") or "") != (c.title, c.description) for held, c in columns):
            changes["columns"] = [{**held, "name": c.title, "description": c.description} for held, c in columns]
        return changes

    def differences(self, view: View) -> list[PortalDifference]:
        """Each field, column and custom field in which the portal differs, and who has changed it since."""
        changed = _changed_there(view)

        def different(what: str, part: str, there: str, here: str) -> Iterator[PortalDifference]:
            if there != here:
                yield PortalDifference(what, there, here, changed[part])

        found: list[PortalDifference] = []
        for key, value in self._plain().items():
            if not _same(view.fields.get(key), value):
                found += different(NAMES.get(key, key), key, _text(view.fields.get(key)), _text(value))
        if self.license not in LICENSES:  # it has no code, so no other one may stand there
            found += different("license", "licenseId", _text(view.fields.get("licenseId")), "")
        for column in self.columns:
            held = view.columns.get(column.name)
            if held is not None:
                name = column.name
                found += different(f"title of {name}", "columns", str(held["name"]), column.title)
                found += different(
                    f"description of {name}", "columns", held.get("description") or "", column.description
                )
        for name in sorted({*view.custom, *self.custom} - {LISTED, "unfinished"}):
            found += different(f"field {name}", "metadata", _text(view.custom.get(name)), _text(self.custom.get(name)))
        return found

    def others(self, view: View) -> list[PortalDifference]:
        """What someone else has changed since the last push, and the next one sets back."""
        return [each for each in self.differences(view) if each.changed == "there"]

    def begun(self, view: View) -> Fields:
        """The metadata that says that rows and releases do not match for now; `changes` undoes it."""
        metadata = view.fields.get("metadata") or {}
        custom = {**(metadata.get("custom_fields") or {}), MARKER: {**view.custom, "unfinished": "true"}}
        return {"metadata": {**metadata, "custom_fields": custom}}

    def missing(self, view: View) -> list[ColumnSpec]:
        """The columns that the portal does not have."""
        return [column for column in self.columns if column.name not in view.columns]

    def misfits(self, view: View) -> list[str]:
        """The columns that the portal has in addition to ours, or has with another type."""
        wanted = {column.name: column.type for column in self.columns}
        return [name for name, held in view.columns.items() if wanted.get(name) != held["dataTypeName"]]

    def _attachments(self, view: View, attached: Mapping[str, str]) -> Fields:
        """The whole list of files, including those of others; ours that no longer exist are removed from it."""
        ours = {file.name for file in self.files} | view.held.keys()
        others = [entry for entry in view.attachments if entry.get("filename") not in ours]
        assets = {**view.assets, **attached}
        mine = [
            {"filename": file.name, "name": file.name, "assetId": assets[file.name]}
            for file in self.files
            if file.name in assets
        ]
        return {"attachments": others + mine} if view.attachments or mine else {}

    def _plain(self) -> Fields:
        fields = {
            "name": self.shown_title,
            "description": self.description,
            "attribution": self.attribution,
            "category": self.category,
            "tags": list(self.tags),
        }
        return {**fields, "licenseId": LICENSES[self.license]} if self.license in LICENSES else fields


def described(column: ColumnSpec) -> Fields:
    """The column as it is sent to the portal."""
    return {
        "fieldName": column.name,
        "name": column.title,
        "dataTypeName": column.type,
        "description": column.description,
    }


def _digests(plain: Fields, columns: Mapping[str, list[str]], custom: Mapping[str, str]) -> dict[str, str]:
    """A digest for each metadata field, for the columns' words, and for our custom fields, as portals keep them."""
    ours = {name: text for name, text in custom.items() if name not in (LISTED, "unfinished")}
    fields = {
        key: sorted(tag.lower() for tag in plain.get(key) or ()) if key == "tags" else plain.get(key) or ""
        for key in _PLAIN
    }
    parts = {**fields, "columns": columns, "metadata": ours}
    return {
        key: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16] for key, value in parts.items()
    }


def _changed_there(view: View) -> dict[str, str]:
    """By part, whether the portal still says what the last push left there (the change is here), or not (there)."""
    columns = {name: [str(held["name"]), held.get("description") or ""] for name, held in view.columns.items()}
    now = _digests(view.fields, columns, view.custom)
    try:
        left = json.loads(view.custom.get(LISTED) or "{}")
        return {
            part: ("here" if left[part] == digest else "there") if part in left else "" for part, digest in now.items()
        }
    except (ValueError, TypeError):
        return dict.fromkeys(now, "there")


def _text(value: object) -> str:
    """A metadata value for people."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _same(held: object, wanted: object) -> bool:
    """Compare metadata as portals keep it: tags in any order and in lower case, without empty fields."""
    if isinstance(wanted, list):
        return {tag.lower() for tag in held or ()} == {tag.lower() for tag in wanted}  # type: ignore[attr-defined]
    return (held or "") == (wanted or "")

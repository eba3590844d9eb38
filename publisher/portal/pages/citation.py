"""The citation of a dataset or of one of its releases, as text and as BibTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from publisher.portal.contract import about

if TYPE_CHECKING:
    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import ReleaseFacts

_SPECIAL = re.compile(r"[&%$#_{}~^\\]")
_WRITTEN = {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}


@dataclass(frozen=True, slots=True)
class Citation:
    """What a citation names: the address stays, whatever happens to the portal's pages."""

    publisher: str
    title: str
    released: str
    """The day, in ISO 8601."""
    address: str
    license: str
    key: str
    """What tells it apart in a bibliography."""

    @property
    def text(self) -> str:
        """Publisher, title, date, address, and license."""
        license = f". {self.license}" if self.license else ""
        return f"{self.publisher} ({self.released[:4]}). {self.title}. {self.released}. {self.address}{license}"

    @property
    def bibtex(self) -> str:
        """The entry for a bibliography; the braces keep a publisher's name in one piece."""
        note = f"Released {self.released}" + (f". {self.license}" if self.license else "")
        fields = {
            "author": f"{{{_written(self.publisher)}}}",
            "title": f"{{{_written(self.title)}}}",
            "year": self.released[:4],
            "note": _written(note),
            "url": self.address,
        }
        lines = [f"  {name} = {{{value}}}" for name, value in fields.items()]
        return f"@misc{{{self.key},\n" + ",\n".join(lines) + "\n}"


def citation(base: str, dataset: PortalDataset, release: ReleaseFacts | None = None) -> Citation:
    """The citation of a release, or of the dataset as of its newest one."""
    known = about(dataset)
    address, title, key = f"{base}/d/{dataset.id}", dataset.name, dataset.id
    if release:
        title += f", {release.period}, edition {release.edition}"
        address += f"/releases/{release.period}/{release.edition}"
        key += f"-{_key(release.period)}-{release.edition}"
        released = release.created[:10]
    else:
        made = [each.created[:10] for each in known.releases if each.current]
        released = max(made, default=datetime.fromtimestamp(dataset.rows_updated_at, UTC).date().isoformat())
    return Citation(dataset.publisher, title, released, address, known.license, key)


def _key(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", text)


def _written(text: str) -> str:
    """The text as TeX shows it."""
    return _SPECIAL.sub(lambda found: _WRITTEN.get(found[0], f"\\{found[0]}"), " ".join(text.split()))

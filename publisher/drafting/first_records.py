"""The first records of a server, as a private file that a sample is read from, and what the server says of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions.feed import SqlFeed, WebFeed
from publisher.drafting import words
from publisher.drafting.address import shown
from publisher.errors import DefinitionError, SourceError
from publisher.feeds.fetch import first_page

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.definitions.feed import ServerFeed
    from publisher.drafting.identity import Delivery
    from publisher.drafting.sample import Sample

MOST = 1_000
"""So many records are asked for, in one answer."""
_PATIENCE = {"attempts": 2, "timeout": 30, "longest_wait": 30}
"""A person is waiting: a server that does not answer them now is not asked all evening."""
_CHANGED = {"updated", "update", "modified", "changed", "edited", "actualizado", "actualizacion", "modificado"}


@dataclass(frozen=True)
class FirstRecords:
    """What is known of a server's records but for their values."""

    feed: ServerFeed
    path: Path
    """The records, one JSON object on each line."""
    columns: tuple[str, ...]
    record_id: tuple[str, ...]
    times: tuple[str, ...]

    @property
    def delivery(self) -> Delivery:
        """What the fetched files are."""
        return "changes" if "changes" in self.feed.deliveries else "snapshot"

    def in_order(self, sample: Sample) -> tuple[str, ...]:
        """The columns in the server's own order, each object with its values; then those that it does not list."""
        if not self.columns:
            return sample.columns
        inside = [
            [name for name in sample.columns if name == own or name.startswith(f"{own}.")] for own in self.columns
        ]
        listed = [name for own, found in zip(self.columns, inside, strict=True) for name in found or [own]]
        return tuple(dict.fromkeys(listed))


def first_records(feed: ServerFeed, folder: Path) -> FirstRecords:
    """Ask the server for one answer. Raises DefinitionError and SourceError; nothing is remembered."""
    asked = feed.model_copy(update=_PATIENCE) if isinstance(feed, WebFeed) else feed
    try:
        page = first_page(asked, MOST)
    except (DefinitionError, SourceError) as error:
        said = str(error).removesuffix(". What came before is kept").removesuffix(": nothing of them was kept")
        raise type(error)(f"{said}. Nothing was written") from None
    if not page.records:
        raise SourceError(f"--from: {shown(feed)}: there is no record to look at. Nothing was written")
    if isinstance(feed, SqlFeed) and page.record_id:
        changed = next((name for name in page.times if words.says(name, _CHANGED)), None)
        feed = feed.model_copy(update={"by": changed})
    path = folder / "first-records.json"
    with path.open("w", encoding="utf-8", errors="replace") as file:
        file.writelines(f"{json.dumps(each)}\n" for each in page.records)
    return FirstRecords(feed, path, page.columns, page.record_id, page.times)

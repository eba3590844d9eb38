"""The hash chain: an entry's bytes are those of JSON, however they are made."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from publisher.privacy.chain import entry_hash, leaf_of_hash

ANYTHING = st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.booleans())
"""What a damaged database may give for a text."""


@given(sequence=st.one_of(st.integers(), st.booleans(), st.none()), texts=st.lists(ANYTHING, min_size=4, max_size=4))
def test_entries_are_hashed_as_json(sequence: Any, texts: list[Any]) -> None:
    """Sound entries and damaged ones: the bytes of json.dumps, so that ledgers of any version are verified alike."""
    written = json.dumps([sequence, *texts], ensure_ascii=False, default=repr).encode()
    assert leaf_of_hash(sequence, *texts) == written
    assert entry_hash(sequence, *texts) == hashlib.sha256(written).hexdigest()

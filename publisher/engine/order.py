"""The keyed order that decides which cells, records and keys of a unit are kept: our own arithmetic, on any engine.

A unit's 128 bits, which are a keyed hash already, a key of the source, and the cell are mixed into 64 bits by
SplitMix64's finalizer (Steele, Lea and Flood, OOPSLA 2014). docs/privacy.md specifies every bit; a change of any is
another order with another name.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

ORDER = "splitmix64/1"
"""The name of this order. It is part of the statistical hash of what is bounded by it."""

PRIORITY_BITS = 16
"""How many bits of the mix decide about cells, its highest; ties go to the lower cell number."""

RECORD_BITS = 60
"""How many bits of the mix decide about records, its highest; ties go to the lower bin."""


def chained(state: Words | np.uint64, words: Words) -> Words:
    """Mix one more word into each state: what SplitMix64 gives for the seed state ^ word. Chunks are fastest.

    Its published outputs for the seeds 0 and 1234567:

    >>> import numpy as np
    >>> chained(np.uint64(0), np.array([0, 1234567], np.uint64)).tolist()
    [16294208416658607535, 6457827717110365317]
    """
    import numpy as np

    mixed = state ^ words
    mixed += np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def seeds(key: int, high: Words, low: Words) -> Words:
    """The state of each unit, to which cells and texts are chained; `high` and `low` are the halves of its 128 bits."""
    import numpy as np

    keyed = chained(np.uint64(0), np.array([key], np.uint64))
    return chained(chained(keyed, high), low)


def word_of(text: str, key: int) -> int:
    """The 64 bits of a text: keyed BLAKE2b of its UTF-8 bytes."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8, key=key.to_bytes(8)).digest())


def halves(identifier: str, name: str) -> str:
    """SQL for the 128 bits of a UUID column as two unsigned numbers, <name>_high and <name>_low."""
    bits = f"CAST({identifier} AS UHUGEINT)"
    low = f"CAST({bits} & {(1 << 64) - 1}::UHUGEINT AS UBIGINT)"
    return f"CAST({bits} >> 64 AS UBIGINT) AS {name}_high, {low} AS {name}_low"

"""CSV written from finished texts: the bytes of a file are one Arrow buffer."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from publisher.sample.texts import Texts


def lines(columns: Sequence[Texts], delimiter: str = ",") -> Texts:
    """Aligned columns as lines, each with its line break."""
    import pyarrow.compute as pc

    last = pc.binary_join_element_wise(columns[-1], "\n", "")
    return pc.binary_join_element_wise(*columns[:-1], last, delimiter)


def write_lines(path: Path, header: str, body: Texts) -> None:
    """Write lines below a header; a path that ends in `.gz` is compressed."""
    content = body.buffers()[2]
    # No timestamp in the archive: the same seed gives the same bytes.
    with path.open("wb") as file:
        if path.suffix == ".gz":
            file.write(gzip.compress(header.encode() + b"\n" + content.to_pybytes(), 1, mtime=0))
        else:
            file.write(header.encode() + b"\n")
            file.write(content)

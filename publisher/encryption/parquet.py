"""Encrypted Parquet, whole, footer and all, in its own standard form.

The only way to `pyarrow.parquet.encryption`.
"""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from publisher import durable
from publisher.encryption.key import SIZE
from publisher.encryption.keyring import required
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from publisher.encryption.keyring import Encryption

ROWS = 1 << 17
"""Rows that are handed over at once."""
_GROUP = 122_880
"""Rows of a group in a Parquet file, as DuckDB writes them."""
UNFILTERED = "_unfiltered"
"""A column without values that `rows_of` adds. DuckDB hands no filter on to Arrow where one has this type: Arrow knows
no order of 128 bits, and what a filter means is for one of the two to decide."""
_FEW, _LIST = 3, 1 << 14
"""A column has few texts where a value takes at most so many bytes beside a list of so many."""
_WAITING = 40_000
"""So many rows of a partition wait for a group."""
_MOST = 1 << 20
"""Partitions of one landing at most."""
PARQUET = b"PARE"
"""Begins an encrypted file."""


def is_parquet(path: Path) -> bool:
    """Whether the file is encrypted Parquet."""
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def metadata(path: Path) -> Any:
    """What a Parquet file says of itself. Raises OSError, Arrow's errors, and SourceError if its key is missing."""
    import pyarrow.parquet

    return pyarrow.parquet.read_metadata(path, decryption_properties=_opening(path))


def write_parquet(reader: pa.RecordBatchReader, path: Path) -> None:
    """Write rows to an encrypted file."""
    import pyarrow.parquet

    found = required(path)
    made = _factory(found).file_encryption_properties(_connection(), _writing(found))
    with pyarrow.parquet.ParquetWriter(
        path, reader.schema, encryption_properties=made, **_packing(reader.schema)
    ) as writer:
        for batch in reader:
            writer.write_batch(batch, row_group_size=_GROUP)


def write_partitions(reader: pa.RecordBatchReader, folder: Path, column: str, name: str) -> None:
    """Write rows to encrypted files `<column>=…/<name>-<n>.parquet`."""
    import pyarrow as pa
    import pyarrow.dataset
    import pyarrow.parquet

    found = required(folder)
    form = pa.dataset.ParquetFileFormat()
    made = pa.dataset.ParquetEncryptionConfig(_factory(found), _connection(), _writing(found))
    by = pa.schema([reader.schema.field(column)])
    pa.dataset.write_dataset(
        reader,
        folder,
        format=form,
        file_options=form.make_write_options(encryption_config=made, **_packing(reader.schema)),
        partitioning=pa.dataset.partitioning(by, flavor="hive"),
        basename_template=f"{name}-{{i}}.parquet",
        existing_data_behavior="overwrite_or_ignore",
        max_partitions=_MOST,
        min_rows_per_group=_WAITING,
        max_rows_per_group=_GROUP,
    )


def _packing(schema: pa.Schema) -> dict[str, Any]:
    """How values are packed: fast, and without looking for repeated ids, of which there are few."""
    import pyarrow as pa

    texts = [each.name for each in schema if pa.types.is_string(each.type)]
    return {"compression": "lz4", "use_dictionary": texts or False}


def rows_of(paths: Sequence[Path], path_column: str | None = None) -> Any:
    """Encrypted Parquet files of one layout as what DuckDB reads as Arrow batches, as often as it likes; if a column is
    named for it, with the path of each row's file."""
    import pyarrow as pa
    import pyarrow.dataset

    found = required(paths[0])
    reading = pa.dataset.ParquetDecryptionConfig(_factory(found), _connection(), _decrypting())
    options = pa.dataset.ParquetFragmentScanOptions(decryption_config=reading)
    columns, few = _columns(paths[0])
    form = pa.dataset.ParquetFileFormat(default_fragment_scan_options=options, dictionary_columns=few)
    schema = pa.schema([*columns, pa.field(UNFILTERED, pa.string_view())])
    rows = pa.dataset.dataset([str(path) for path in paths], schema, format=form)
    if path_column is None:
        return _scanned()(list(rows.get_fragments()), schema, form, rows.filesystem)
    named, files = pa.dataset.field(path_column), rows.filesystem
    fragments = [form.make_fragment(str(path), files, partition_expression=named == str(path)) for path in paths]
    return _scanned()(fragments, schema.append(pa.field(path_column, pa.string())), form, files)


@cache
def _scanned() -> Any:
    """Arrow's dataset, whose scans begin without holding Python.

    Arrow makes its own reader while it holds Python, and its threads wait for Python to unwrap keys: from time to time
    each waited for the other without end."""
    import pyarrow as pa
    import pyarrow.dataset

    @dataclass(frozen=True)
    class SealedScan:
        scanner: pa.dataset.Scanner

        def to_reader(self) -> pa.RecordBatchReader:
            return pa.RecordBatchReader.from_batches(self.scanner.projected_schema, self.scanner.to_batches())

    class SealedRows(pa.dataset.FileSystemDataset):  # type: ignore[misc]
        def scanner(self, **options: Any) -> SealedScan:
            return SealedScan(super().scanner(**options))

    return SealedRows


def _columns(path: Path) -> tuple[list[pa.Field], list[str]]:
    """The columns of a file, and those of few texts, which come as numbers with the texts beside them: DuckDB works on
    each text once."""
    import pyarrow as pa
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, decryption_properties=_opening(path)) as file:
        groups = range(file.metadata.num_row_groups)
        chunks = [file.metadata.row_group(n).column(at) for n in groups for at in range(file.metadata.num_columns)]
        long = {each.path_in_schema for each in chunks if each.total_uncompressed_size > _FEW * each.num_values + _LIST}
        numbered = pa.dictionary(pa.int32(), pa.string())
        few = [each.name for each in file.schema_arrow if pa.types.is_string(each.type) and each.name not in long]
        return [pa.field(each.name, numbered) if each.name in few else each for each in file.schema_arrow], few


def rewrite_parquet(path: Path) -> None:
    """Write a file again in one step, with a new data key under the workspace's key."""
    import pyarrow as pa
    import pyarrow.parquet

    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with durable.writing(path), durable.private_files():
        try:
            with pyarrow.parquet.ParquetFile(path, decryption_properties=_opening(path)) as file:
                groups = file.metadata.num_row_groups
                batches = (b for n in range(groups) for b in file.read_row_group(n, use_threads=False).to_batches())
                write_parquet(pa.RecordBatchReader.from_batches(file.schema_arrow, batches), beside)
            durable.sync(beside)
            beside.replace(path)
            durable.sync(path.parent)
        finally:
            beside.unlink(missing_ok=True)


def _opening(path: Path) -> Any:
    """Arrow's properties to read a file with; None if it is not encrypted."""
    if not is_parquet(path):
        return None
    return _factory(required(path)).file_decryption_properties(_connection(), _decrypting())


def name_in(path: Path) -> str:
    """The name of the key in an encrypted Parquet file, which says it in the clear before its footer's content."""
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, os.SEEK_END)
        found = re.search(rb'"masterKeyID":"([0-9a-f]{16})"', file.read(4096))
    if found is None:
        raise SourceError(f"{path}: is damaged: restore it from a backup")
    return found[1].decode()


@lru_cache(maxsize=8)
def _factory(encryption: Encryption) -> Any:
    """What gives Arrow the data keys of files."""
    from pyarrow.parquet.encryption import CryptoFactory, KmsClient

    class Client(KmsClient):  # type: ignore[misc]
        """Wraps and unwraps data keys here."""

        def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
            return base64.b64encode(encryption.named(master_key_identifier).wrap(key_bytes)).decode()

        def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
            return encryption.named(_text(master_key_identifier)).unwrap(base64.b64decode(wrapped_key))

    return CryptoFactory(lambda _: Client())


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _connection() -> Any:
    from pyarrow.parquet.encryption import KmsConnectionConfig

    return KmsConnectionConfig()


def _decrypting() -> Any:
    from pyarrow.parquet.encryption import DecryptionConfiguration

    return DecryptionConfiguration()


def _writing(encryption: Encryption) -> Any:
    from pyarrow.parquet.encryption import EncryptionConfiguration

    return EncryptionConfiguration(
        footer_key=encryption.key.name,
        uniform_encryption=True,
        encryption_algorithm="AES_GCM_V1",
        double_wrapping=False,
        data_key_length_bits=8 * SIZE,
    )

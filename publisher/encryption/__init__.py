"""Encryption at rest: the workspace's key, and files that only it opens.

Every file has a data key of its own, which is wrapped by the workspace's key (AES-256-GCM) and lies in the file.
Parquet is encrypted whole, footer and all, in its own standard form; other files are one message. Who writes landed
records, first receipts and private reports into a folder with a key encrypts them; what was there before is read as it
is.

Everyone comes in here. Inside: a `key`, the `keyring` of private folders, `parquet` and other `files`, and what is
temporary, in `memory`.
"""

from publisher.encryption.files import OVERHEAD, key_name, read_file, rewrite, size_of, write_file
from publisher.encryption.key import WorkspaceKey
from publisher.encryption.keyring import (
    MARKER,
    Encryption,
    anywhere,
    check,
    declare,
    give,
    of,
    refuse_other_key,
    remember,
    renewed,
    taken,
)
from publisher.encryption.memory import empty_scratch, in_memory, may_spill, memory_of, scratch
from publisher.encryption.parquet import (
    ROWS,
    UNFILTERED,
    is_parquet,
    metadata,
    rows_of,
    write_parquet,
    write_partitions,
)

__all__ = [
    "MARKER",
    "OVERHEAD",
    "ROWS",
    "UNFILTERED",
    "Encryption",
    "WorkspaceKey",
    "anywhere",
    "check",
    "declare",
    "empty_scratch",
    "give",
    "in_memory",
    "is_parquet",
    "key_name",
    "may_spill",
    "memory_of",
    "metadata",
    "of",
    "read_file",
    "refuse_other_key",
    "remember",
    "renewed",
    "rewrite",
    "rows_of",
    "scratch",
    "size_of",
    "taken",
    "write_file",
    "write_parquet",
    "write_partitions",
]

"""Encryption at rest: the workspace's key, and files that only it opens.

Every file has a data key of its own, which is wrapped by the workspace's key (AES-256-GCM) and lies in the file.
Parquet is encrypted whole, footer and all, in its own standard form; other files are one message. Who writes landed
records, first receipts and private reports into a folder with a key encrypts them; what was there before is read as it
is.

The only way to `pyarrow.parquet.encryption`, and, for keys of files, to `cryptography`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import shutil
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from publisher import durable
from publisher.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow as pa

    from publisher.definitions.settings import EncryptionSettings, KeySource

MARKER = "encryption.json"
"""The file in the private folder that says which keys its files have been written with."""
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
_MEMORY = Path("/dev/shm")  # noqa: S108 -- the folder there is checked to be of this user alone
"""A file system in memory."""
_SIZE = 32
_SEALED = b"PUBENC1\n"
_PARQUET = b"PARE"
_NONCE = 12
_NAME = 8
_WRAPPED = _NONCE + _SIZE + 16
OVERHEAD = len(_SEALED) + _NAME + _WRAPPED + _NONCE + 16
"""By so many bytes a sealed file is longer than its content."""
_SECONDS = 60
"""So long a command that gives the key may take."""


@dataclass(frozen=True)
class WorkspaceKey:
    """A key that wraps the data keys of files."""

    secret: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """What tells it from other keys and says nothing about it."""
        return hmac.digest(self.secret, b"publisher/1/name", hashlib.sha256)[:_NAME].hex()

    def wrap(self, data_key: bytes) -> bytes:
        """A data key, readable with this key alone."""
        nonce = os.urandom(_NONCE)
        return nonce + bytes(_cipher(self.secret).encrypt(nonce, data_key, self.name.encode()))

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data key. Raises SourceError if it was changed."""
        from cryptography.exceptions import InvalidTag

        try:
            return bytes(_cipher(self.secret).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], self.name.encode()))
        except InvalidTag:
            raise SourceError("an encrypted file is damaged: restore it from a backup") from None


@dataclass(frozen=True)
class Encryption:
    """The keys of one private folder: the first one writes, all of them read."""

    private: Path
    keys: tuple[WorkspaceKey, ...]
    spills: bool
    """Whether the folder is on an encrypted volume, so that what is temporary may be written there as it is."""

    @property
    def key(self) -> WorkspaceKey:
        """The key that new files are written with."""
        return self.keys[0]

    def named(self, name: str) -> WorkspaceKey:
        """The key of that name. Raises SourceError if it is another one's."""
        for key in self.keys:
            if key.name == name:
                return key
        raise _wrong_key(self.private, name)


_declared: dict[Path, EncryptionSettings | Encryption] = {}
_reading = Lock()


def declare(private: Path, settings: EncryptionSettings | None) -> None:
    """Say how a private folder is encrypted; the key is read when it is first needed."""
    with _reading:
        if settings is None:
            _declared.pop(private, None)
        else:
            _declared[private] = settings


def taken() -> tuple[Encryption, ...]:
    """The keys that this process has, for a worker of its own on this machine."""
    return tuple(found for private in list(_declared) if (found := of(private)) is not None)


def give(keys: Iterable[Encryption]) -> None:
    """Take the keys of the process that has started this one."""
    with _reading:
        _declared.update({each.private: each for each in keys})


def of(path: Path) -> Encryption | None:
    """How a file in a private folder is encrypted; None if it is not. Raises SourceError without the key."""
    if not _declared:
        return None
    with _reading:
        private = next((each for each in _declared if path.is_relative_to(each)), None)
        return _read(private, _declared[private]) if private is not None else None


def _read(private: Path, settings: EncryptionSettings | Encryption) -> Encryption:
    if isinstance(settings, Encryption):
        return settings
    sources = (settings.key, *([settings.previous] if settings.previous is not None else ()))
    keys = tuple(WorkspaceKey(_secret(each, private)) for each in sources)
    found = _declared[private] = Encryption(private, keys, settings.spill == "encrypted-volume")
    return found


def anywhere() -> bool:
    """Whether this process works with an encrypted folder."""
    return bool(_declared)


def refuse_other_key(private: Path) -> None:
    """Raise SourceError, before anything is read or charged, unless the keys are those that the files of a private
    folder were written with."""
    known, _ = _marked(private)
    found = of(private) if private in _declared else None
    if found is None and known:
        raise SourceError(
            f"{private} is encrypted, and publisher.toml does not say where its key is: put [encryption] back. "
            "Nothing was read or charged"
        )
    names = [each.name for each in found.keys] if found is not None else known
    for name in known:
        if name not in names:
            raise _wrong_key(private, name)


def check(private: Path) -> None:
    """The same, and remember the key that new files get."""
    refuse_other_key(private)
    found = of(private) if private in _declared else None
    known, _ = _marked(private)
    if found is not None and found.key.name not in known:
        remember(private, keys=[*known, found.key.name])


def remember(private: Path, *, keys: Sequence[str] | None = None, renewed: Mapping[str, str] | None = None) -> None:
    """Write down, durably, with which keys the files of a private folder may have been written, or of which sources all
    files have which key."""
    known, before = _marked(private)
    content = {"keys": known if keys is None else list(keys), "renewed": {**before, **(renewed or {})}}
    durable.write_file(private / MARKER, json.dumps(content, indent=2).encode() + b"\n", mode=0o600)


def renewed(private: Path) -> dict[str, str]:
    """The key of sources whose files all have the same."""
    return _marked(private)[1]


def _secret(source: KeySource, private: Path) -> bytes:
    """The key that a source gives. Raises SourceError, which never shows it."""
    text, place = _given(source, private)
    for decode in (_of_digits, base64.standard_b64decode):
        with suppress(binascii.Error, ValueError):
            secret = decode(text)
            if len(secret) == _SIZE:
                return secret
    raise SourceError(
        f"{place} gives no key: it is 32 bytes in base64 or hexadecimal, such as `openssl rand -base64 32` prints. "
        "Nothing was read or charged"
    )


def _of_digits(text: str) -> bytes:
    return bytes.fromhex(text) if len(text) == 2 * _SIZE else b""


def _given(source: KeySource, private: Path) -> tuple[str, str]:
    """What is where the key should be, and the name of the place."""
    where = "publisher.toml: encryption: "
    if source.env is not None:
        text = os.environ.get(source.env, "")
        if not text.strip():
            raise SourceError(f"{where}{source.env} is not set: set it in the environment. Nothing was read or charged")
        return text.strip(), f"{where}{source.env}"
    if source.file is not None:
        return _of_file(Path(source.file), private, where), f"{where}{source.file}"
    command = list(source.command or ())
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if done is None or done.returncode != 0:
        how = "cannot be run, or takes too long" if done is None else f"ended with code {done.returncode}"
        raise SourceError(f"{where}the command {command[0]} {how}: run it by hand. Nothing was read or charged")
    return done.stdout.decode("utf-8", errors="replace").strip(), f"{where}the command {command[0]}"


def _of_file(path: Path, private: Path, where: str) -> str:
    if path.resolve().is_relative_to(private.parent.resolve()):
        raise SourceError(f"{where}{path} is in the state folder, whose files it opens: move it elsewhere")
    try:
        with path.open("rb") as file:
            mode, text = os.fstat(file.fileno()).st_mode, file.read(4096)
    except OSError as error:
        raise SourceError(f"{where}{path} cannot be read: {error.strerror}. Nothing was read or charged") from None
    if mode & 0o077:
        raise SourceError(f"{where}{path}: others can read the key: run chmod 600 on it. Nothing was read or charged")
    return text.decode("utf-8", errors="replace").strip()


def _marked(private: Path) -> tuple[list[str], dict[str, str]]:
    path = private / MARKER
    try:
        says = json.loads(path.read_bytes())
        return [str(name) for name in says["keys"]], {str(k): str(v) for k, v in says["renewed"].items()}
    except FileNotFoundError:
        return [], {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise SourceError(f"{path}: is damaged: restore it from a backup") from None


def _wrong_key(private: Path, name: str) -> SourceError:
    return SourceError(
        f"{private}: files were encrypted with the key {name}, which is neither the key of [encryption] in "
        "publisher.toml nor its previous one: give that key. Nothing was read or charged"
    )


def in_memory(private: Path) -> Path | None:
    """A folder in memory for what is temporary, of this user alone; None if the private folder is the place for it.
    Raises SourceError where there is no such memory."""
    found = of(private)
    if found is None or found.spills:
        return None
    if not _MEMORY.is_dir():
        raise SourceError(
            "publisher.toml: encryption: this machine has no file system in memory (/dev/shm) for temporary files: "
            'put the state folder on an encrypted volume and set spill = "encrypted-volume"'
        )
    folder = _MEMORY / f"publisher-{os.geteuid()}-{_mark(found.private)}"
    with durable.writing(folder), suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise SourceError(f"{folder}: is not a folder of this user alone: find out who made it, and remove it")
    if private != found.private:  # a state of its own inside, such as an audit's
        folder = folder / private.relative_to(found.private)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _mark(private: Path) -> str:
    return hashlib.sha256(os.fsencode(private)).hexdigest()[:16]


def scratch(private: Path) -> Path:
    """The folder for temporary files: in the private one or, if nothing may lie there as it is, in memory. Raises
    SourceError where there is no such memory."""
    return (in_memory(private) or private) / "tmp"


def empty_scratch(private: Path, apart: Callable[[Path], Iterable[Path]] = lambda _: ()) -> None:
    """Remove what is temporary and was left in memory, but for what is `apart` in that folder: others are at work."""
    folder = in_memory(private)
    if folder is not None:
        for path in {*folder.iterdir()} - {*apart(folder)}:
            shutil.rmtree(path, ignore_errors=True)
        (folder / "tmp").mkdir(mode=0o700, exist_ok=True)


def may_spill(folder: Path) -> bool:
    """Whether DuckDB may write there what does not fit into memory."""
    if not _declared:
        return True
    found = of(folder)
    return found.spills if found is not None else not folder.is_relative_to(_MEMORY)


def write_file(path: Path, content: bytes) -> None:
    """Write or replace a private file (0600) in one step, encrypted if its folder is."""
    found = of(path)
    durable.write_file(path, content if found is None else _sealed(content, found.key), mode=0o600)


def read_file(path: Path) -> bytes:
    """The content of a private file. Raises OSError, and SourceError if it is damaged or its key is missing."""
    content = path.read_bytes()
    return _unsealed(content, path) if content.startswith(_SEALED) else content


def size_of(path: Path) -> int:
    """How long the content of a private file is."""
    with path.open("rb") as file:
        sealed = file.read(len(_SEALED)) == _SEALED
    return path.stat().st_size - (OVERHEAD if sealed else 0)


def key_name(path: Path) -> str | None:
    """The name of the key that a file was written with; None if it is not encrypted. Raises SourceError."""
    with path.open("rb") as file:
        begin = file.read(len(_SEALED) + _NAME)
    if begin.startswith(_SEALED):
        return begin[len(_SEALED) :].hex()
    return _name_in(path) if begin.startswith(_PARQUET) else None


def is_parquet(path: Path) -> bool:
    """Whether the file is encrypted Parquet."""
    with path.open("rb") as file:
        return file.read(len(_PARQUET)) == _PARQUET


def metadata(path: Path) -> Any:
    """What a Parquet file says of itself. Raises OSError, Arrow's errors, and SourceError if its key is missing."""
    import pyarrow.parquet

    return pyarrow.parquet.read_metadata(path, decryption_properties=_opening(path))


def write_parquet(reader: pa.RecordBatchReader, path: Path) -> None:
    """Write rows to an encrypted file."""
    import pyarrow.parquet

    found = _required(path)
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

    found = _required(folder)
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

    found = _required(paths[0])
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
    class Scan:
        scanner: pa.dataset.Scanner

        def to_reader(self) -> pa.RecordBatchReader:
            return pa.RecordBatchReader.from_batches(self.scanner.projected_schema, self.scanner.to_batches())

    class Rows(pa.dataset.FileSystemDataset):  # type: ignore[misc]
        def scanner(self, **options: Any) -> Scan:
            return Scan(super().scanner(**options))

    return Rows


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


def rewrite(path: Path) -> None:
    """Write a file again in one step, with a new data key under the workspace's key."""
    if path.suffix != ".parquet":
        write_file(path, read_file(path))
        return
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


def _required(path: Path) -> Encryption:
    found = of(path)
    if found is None:
        raise SourceError(
            f"{path}: is encrypted, and publisher.toml does not say where its key is: put [encryption] back"
        )
    return found


def _opening(path: Path) -> Any:
    """Arrow's properties to read a file with; None if it is not encrypted."""
    if not is_parquet(path):
        return None
    return _factory(_required(path)).file_decryption_properties(_connection(), _decrypting())


def _name_in(path: Path) -> str:
    """The name of the key in an encrypted Parquet file, which says it in the clear before its footer's content."""
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, os.SEEK_END)
        found = re.search(rb'"masterKeyID":"([0-9a-f]{16})"', file.read(4096))
    if found is None:
        raise SourceError(f"{path}: is damaged: restore it from a backup")
    return found[1].decode()


def _sealed(content: bytes, key: WorkspaceKey) -> bytes:
    data_key, nonce = os.urandom(_SIZE), os.urandom(_NONCE)
    head = _SEALED + bytes.fromhex(key.name) + key.wrap(data_key) + nonce
    return head + bytes(_cipher(data_key).encrypt(nonce, content, head))


def _unsealed(content: bytes, path: Path) -> bytes:
    from cryptography.exceptions import InvalidTag

    at = len(_SEALED) + _NAME
    head = content[: at + _WRAPPED + _NONCE]
    key = _required(path).named(content[len(_SEALED) : at].hex())
    try:
        data_key = key.unwrap(content[at : at + _WRAPPED])
        return bytes(_cipher(data_key).decrypt(head[-_NONCE:], content[len(head) :], head))
    except (InvalidTag, ValueError, SourceError):
        raise SourceError(f"{path}: is damaged: restore it from a backup") from None


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


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
        data_key_length_bits=8 * _SIZE,
    )

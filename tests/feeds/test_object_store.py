"""Objects of a real S3 server: each is landed once, whatever happens between two fetches or during one."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from certificates import write_certificate
from object_stores import AZURE_KEY, AZURITE, KEY, WITHOUT_AZURITE, WORD, Line, Store, azurite, between, serving
from stored_town import documented, example, holds, shown_by, town

from publisher import buckets
from publisher.definitions.feed import ObjectsFeed
from publisher.errors import DefinitionError, RefusedAtLandingError, SourceError
from publisher.feeds import fetch, object_store
from publisher.pipeline.session import locked
from publisher.reference.files import check_source_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fetched_town import FetchedTown

HEADER = "id,day,what,owner\n"


@pytest.fixture(scope="module")
def store(processes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One server for the tests of this module; each has a bucket of its own."""
    with serving(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def line(store: Store) -> Iterator[Line]:
    with between(store) as made:
        yield made


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The keys of the environment, and none of who runs the tests."""
    for name in ("AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WORD)


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    return f"city-{abs(hash(request.node.nodeid))}"


def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """One try, and no long wait for a store that says nothing."""
    monkeypatch.setattr(buckets, "ATTEMPTS", 1)
    monkeypatch.setattr(buckets, "SILENCE", 2)


def made(root: Path, line: Line, bucket: str, delivery: str = "append", more: str = "") -> FetchedTown:
    feed = f'kind = "objects"\nurl = "s3://{bucket}/permits/*.csv"\nendpoint = "{line.address}"\n{more}'
    return town(root / "town", feed, delivery=delivery)


def rows(first: int, last: int, what: str = "w") -> str:
    return HEADER + "".join(f"{n},2026-01-05,{what}{n},Ann Example\n" for n in range(first, last + 1))


def expected(last: int, **changed: str) -> list[tuple[str, str]]:
    return sorted((str(n), changed.get(f"n{n}", f"w{n}")) for n in range(1, last + 1))


def test_each_object_is_landed_once(store: Store, line: Line, bucket: str, tmp_path: Path) -> None:
    """Objects that match the pattern are landed, their private copies deleted; a second fetch reads none again."""
    store.put(bucket, permits__a=rows(1, 3), permits__b=rows(4, 5), permits__old__c=rows(6, 6), other__d=rows(7, 7))
    place = made(tmp_path, line, bucket)
    assert (place.land().new, place.rows("id, what"), place.raw_files()) == (2, expected(5), [])
    line.asked.clear()
    assert place.land().new == 0
    assert [method for method, path in line.asked if ".csv" in path] == ["HEAD", "HEAD"]
    store.put(bucket, permits__c=rows(6, 7))
    assert (place.land().new, place.rows("id, what")) == (1, expected(7))
    assert b"Ann Example" not in place.held()


def test_a_hidden_object_is_not_taken(
    store: Store, line: Line, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of one that another program still writes, which the next run would have tidied away with its records
    before they were landed, while the cursor knew it as read."""
    store.put(bucket, permits__a=rows(1, 3))
    store.client.put_object(Bucket=bucket, Key="permits/.b.csv.1", Body=rows(4, 5).encode())
    place = made(tmp_path, line, bucket)
    place.edit("permits/*.csv", "permits/*")
    with monkeypatch.context() as patched:
        patched.setattr("publisher.pipeline.landed.land", lambda *_, **__: (_ for _ in ()).throw(SourceError("killed")))
        with pytest.raises(SourceError, match="killed"):
            place.land()
    with locked(place.workspace):
        assert [path.name for path in place.raw_files()] == ["a.csv"]
    assert (place.land().new, place.rows("id, what")) == (1, expected(3))


def test_what_was_read_long_after_it_was_written_is_known_by_the_list(
    store: Store, line: Line, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object whose time and size are those of one that could not be replaced unseen is not asked for again."""
    monkeypatch.setattr(object_store, "SKEW", object_store.SKEW * -1)
    store.put(bucket, permits__a=rows(1, 3))
    place = made(tmp_path, line, bucket, "changes")
    place.land()
    line.asked.clear()
    place.land()
    assert [path for _, path in line.asked if ".csv" in path] == []
    time.sleep(1.1)
    store.put(bucket, permits__a=rows(1, 3, "v"))
    line.asked.clear()
    place.land()
    assert [method for method, path in line.asked if ".csv" in path] == ["HEAD", "HEAD", "GET", "HEAD"]


@pytest.mark.parametrize("delivery", ["append", "snapshot", "changes"])
def test_an_object_that_was_replaced_is_a_new_file(
    delivery: str, store: Store, line: Line, bucket: str, tmp_path: Path
) -> None:
    """Even at the same size in the same second. As with files in a folder, it adds records, replaces all, or changes
    those that it has."""
    accept = 'accept = { repeated = 1, reason = "exports are written again" }'
    store.put(bucket, permits__a=rows(1, 20))
    place = made(tmp_path, line, bucket, delivery, accept)
    place.land()
    store.put(bucket, permits__a=rows(1, 20).replace("20,2026-01-05,w20", "21,2026-01-05,w21").replace(",w1,", ",x1,"))
    assert place.land().new == 1
    there = {
        "append": expected(21),
        "snapshot": sorted({*expected(21, n1="x1")} - {("20", "w20")}),
        "changes": expected(21, n1="x1"),
    }
    holds(place, there[delivery], "an object is replaced by another of its size in the same second")


def test_an_object_that_was_refused_can_be_replaced(store: Store, line: Line, bucket: str, tmp_path: Path) -> None:
    """The object that no one could land does not stand in the way of the one that took its name."""
    store.put(bucket, permits__a=rows(1, 20).replace("2026", "in 2026"), permits__b=rows(21, 22))
    place = made(tmp_path, line, bucket)
    with pytest.raises(RefusedAtLandingError):
        place.land()
    store.put(bucket, permits__a=rows(1, 20))
    place.land()
    holds(place, expected(22), "an object is refused at landing and replaced")


def test_a_changed_definition_needs_the_objects_again(store: Store, line: Line, bucket: str, tmp_path: Path) -> None:
    """A column that is read now is landed for all objects; one that is gone is not silently forgotten."""
    store.put(bucket, permits__a=rows(1, 3), permits__b=rows(4, 5))
    place = made(tmp_path, line, bucket)
    place.land()
    place.edit(
        'owner = { class = "public", statute = "s. 1", read = false }', 'owner = { class = "public", statute = "s. 1" }'
    )
    place.land()
    assert place.rows("id, what, owner") == [(*each, "Ann Example") for each in expected(5)]
    store.remove(bucket, "permits/a.csv")
    place.edit(
        'owner = { class = "public", statute = "s. 1" }', 'owner = { class = "public", statute = "s. 1", read = false }'
    )
    with pytest.raises(SourceError, match=rf"permits/a\.csv: put them back into s3://{bucket}/permits"):
        place.land()
    store.put(bucket, permits__a=rows(1, 3))
    place.land()
    assert place.rows("id, what") == expected(5)


def test_a_look_at_a_source_copies_its_last_object(store: Store, line: Line, bucket: str, tmp_path: Path) -> None:
    """A preview reads one object and remembers nothing."""
    store.put(bucket, permits__a=rows(1, 3), permits__b=rows(4, 5))
    place = made(tmp_path, line, bucket)
    (file,) = fetch.sample(place.source, tmp_path / "look", 10)
    assert (file.name, file.read_text()) == ("b.csv", rows(4, 5))
    assert not place.fetched.exists()


def test_an_object_that_is_replaced_while_it_is_read_is_read_again(
    store: Store, line: Line, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parts would be of two files: it is thrown away, and the whole of the new one is landed."""
    monkeypatch.setattr(object_store, "PIECE", 100)
    store.put(bucket, permits__a=rows(1, 20))
    place, done = made(tmp_path, line, bucket), []

    def replace(method: str, path: str) -> None:
        if method == "GET" and ".csv" in path and len(done) < 2:
            done.append(path)
            if len(done) == 2:
                store.put(bucket, permits__a=rows(1, 20, "v"))

    line.fault = replace
    place.land()
    holds(place, sorted((str(n), f"v{n}") for n in range(1, 21)), "an object is replaced while it is read")


def test_an_object_that_is_always_replaced_is_given_up(store: Store, line: Line, bucket: str, tmp_path: Path) -> None:
    """After three times there is one message and no file; the next fetch has it."""
    store.put(bucket, permits__a=rows(1, 20))
    place, number = made(tmp_path, line, bucket), iter(range(100))

    def replace(method: str, path: str) -> None:
        if method == "GET" and ".csv" in path:
            store.put(bucket, permits__a=rows(1, 20, f"v{next(number)}-"))

    line.fault = replace
    with pytest.raises(SourceError, match=r"permits/a\.csv was replaced each time that it was read"):
        place.land()
    assert place.raw_files() == []
    line.fault = lambda _method, _path: None
    place.land()
    there = sorted((str(n), f"v2-{n}") for n in range(1, 21))
    holds(place, there, "an object is replaced each time that it is read")


def test_an_object_that_is_deleted_while_it_is_read_is_no_file(
    store: Store, line: Line, bucket: str, tmp_path: Path
) -> None:
    """It was listed and is gone: the others are landed. What was landed before stays when its object is deleted."""
    store.put(bucket, permits__a=rows(1, 3), permits__b=rows(4, 5))
    place = made(tmp_path, line, bucket)

    def remove(method: str, path: str) -> None:
        if "b.csv" in path:
            store.remove(bucket, "permits/b.csv")

    line.fault = remove
    place.land()
    holds(place, expected(3), "an object is deleted while it is read")
    store.remove(bucket, "permits/a.csv")
    assert place.land().new == 0
    assert place.rows("id, what") == expected(3)


@pytest.mark.parametrize(
    ("fault", "says", "told"),
    [
        ("500", "the store failed (500): try again", "it fails (500) in the middle"),
        ("cut", "the store stopped answering: try again", "the connection is cut in the middle of an object"),
        ("silent", "the store stopped answering: try again", "it stops answering in the middle"),
    ],
)
def test_a_line_that_fails_in_the_middle_loses_nothing(
    fault: str,
    says: str,
    told: str,
    store: Store,
    line: Line,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whole objects stay, the torn one is not there; the next fetch goes on after them and lands all, once."""
    store.put(bucket, permits__a=rows(1, 3), permits__b=rows(4, 5), permits__c=rows(6, 7))
    hurried(monkeypatch)
    place = made(tmp_path, line, bucket)
    line.fault = lambda method, path: fault if method == "GET" and "b.csv" in path else None
    with pytest.raises(SourceError) as failed:
        place.land()
    assert says in str(failed.value)
    assert [path.name for path in place.raw_files()] == ["a.csv"]
    line.fault = lambda _method, _path: None
    line.asked.clear()
    assert place.land().new == 3
    holds(place, expected(7), told)
    assert not [path for method, path in line.asked if method == "GET" and "a.csv" in path]


@pytest.mark.parametrize(
    ("fault", "says"),
    [("500", r"store failed \(500\)"), ("301", "bucket is in another region"), ("silent", "store stopped answering")],
)
def test_a_store_that_cannot_list_is_one_message(
    fault: str, says: str, store: Store, line: Line, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that answers with errors, or never, is left after a few tries."""
    hurried(monkeypatch)
    store.put(bucket, permits__a=rows(1, 3))
    place = made(tmp_path, line, bucket)
    line.fault = lambda _method, _path: fault
    with pytest.raises(SourceError, match=rf"the bucket {bucket} of .*: listing the objects: the {says}"):
        place.land()


def test_a_kill_while_an_object_is_read_loses_nothing(
    store: Store, line: Line, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stops in the middle leaves nothing half there, and the next fetch has every record once."""

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    store.put(bucket, permits__a=rows(1, 3), permits__b=rows(4, 5))
    place = made(tmp_path, line, bucket)
    with monkeypatch.context() as patch:
        patch.setattr(object_store._Store, "tag", kill)
        with pytest.raises(Killed):
            place.land()
    assert place.raw_files() == []
    place.land()
    holds(place, expected(5), "the fetch is killed while an object is read")


@contextmanager
def asking(store: Store) -> Iterator[None]:
    """The server asks for keys, as Amazon's does."""
    store.ask_for_keys("0")
    try:
        yield
    finally:
        store.ask_for_keys("inf")


def test_wrong_keys_are_shown_nowhere(
    store: Store, line: Line, bucket: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The message says what to set; the keys of the environment are in no message, output or file."""
    store.put(bucket, permits__a=rows(1, 3))
    place = made(tmp_path, line, bucket)
    with asking(store), pytest.raises(SourceError, match=r"the store refused .*AWS_ACCESS_KEY_ID") as refused:
        place.land()
    place.land()
    holds(place, expected(3), "the keys are wrong at first")
    said = "".join([str(refused.value), *capfd.readouterr()])
    assert WORD not in said
    assert KEY not in said
    held = place.held()
    assert WORD.encode() not in held
    assert KEY.encode() not in held


def test_keys_come_from_a_file_too(
    store: Store, line: Line, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of credentials and the profile that every tool of S3 reads."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_PROFILE", "city")
    text = "[city]\naws_access_key_id = KEYOFTHEFILE\naws_secret_access_key = word\n"
    (tmp_path / "credentials").write_text(text)
    store.put(bucket, permits__a=rows(1, 3))
    made(tmp_path, line, bucket).land()
    assert any("Credential=KEYOFTHEFILE/" in word for word in line.authorized)


def test_a_public_bucket_is_read_without_keys(store: Store, line: Line, bucket: str, tmp_path: Path) -> None:
    """The keys of the environment are not sent."""
    store.put(bucket, permits__a=rows(1, 3))
    store.client.put_object_acl(Bucket=bucket, Key="permits/a.csv", ACL="public-read")
    place = made(tmp_path, line, bucket, more="anonymous = true")
    place.land()
    assert (place.rows("id, what"), set(line.authorized)) == (expected(3), {""})


def test_what_is_not_there_is_said(store: Store, line: Line, bucket: str, tmp_path: Path) -> None:
    """A bucket that is not there, and a pattern that nothing matches, in a landing and when the store is only asked."""
    place = made(tmp_path, line, bucket)
    with pytest.raises(SourceError, match="there is no such bucket"):
        place.land()
    store.put(bucket, elsewhere__a=rows(1, 3))
    for pattern in ("permits/*.csv", "elsewhere/b.csv", "*/a.json"):
        place.edit("/permits/*.csv", f"/{pattern}")
        with pytest.raises(SourceError, match=r"requests\.toml: feed\.url: the bucket .* has no object"):
            place.land()
        with pytest.raises(SourceError) as asked:
            fetch.check(place.source)
        assert str(asked.value).endswith(f"has no object {pattern}")
        place.edit(f"/{pattern}", "/permits/*.csv")
    place.edit("/permits/*.csv", "/elsewhere/a.csv")
    assert fetch.check(place.source) == ()
    place.land()
    assert place.rows("id, what") == expected(3)


def test_a_long_list_is_read_to_its_end(store: Store, line: Line, bucket: str, tmp_path: Path) -> None:
    """A store answers with a thousand names at a time."""
    store.put(bucket, **{f"permits__{n:04}": HEADER for n in range(1_005)})
    feed = made(tmp_path, line, bucket).source.definition.feed
    assert isinstance(feed, ObjectsFeed)
    assert len(object_store._Store.opened(feed).objects()) == 1_005


def test_check_looks_at_the_header_of_the_last_object(store: Store, line: Line, bucket: str, tmp_path: Path) -> None:
    """`publisher check --data` finds columns that do not fit, in the bucket too."""
    store.put(bucket, permits__a=rows(1, 3))
    place = made(tmp_path, line, bucket)
    found = list(check_source_files(place.workspace, place.source, tmp_path))
    assert [(each.finding, each.status) for each in found] == [
        ("objects: answers; its last object has the 4 declared columns", "ok")
    ]
    store.put(bucket, permits__b="id,day,owner\n1,2026-01-05,Ann Example\n")
    (wrong,) = check_source_files(place.workspace, place.source, tmp_path)
    assert "b.csv: columns that are declared and not in the file: 'what'" in wrong.finding
    assert "Ann Example" not in wrong.finding


def test_a_store_that_is_not_there_is_said(store: Store, line: Line, bucket: str, tmp_path: Path) -> None:
    """An address at which nothing listens is one message."""
    place = made(tmp_path, line, bucket)
    place.edit(line.address, "http://127.0.0.1:9")
    with pytest.raises(SourceError, match="the store cannot be reached: check the address"):
        place.land()


def test_a_store_must_prove_who_it_is(
    store: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that no one vouches for is refused, until the environment names the file that does."""
    store.put(bucket, permits__a=rows(1, 3))
    with between(store, write_certificate(tmp_path)) as line:
        place = made(tmp_path, line, bucket)
        with pytest.raises(SourceError, match="certificate is not trusted: set AWS_CA_BUNDLE"):
            place.land()
        assert line.asked == []
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "site.pem"))
        place.land()
    assert place.rows("id, what") == expected(3)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("gs://city/permits/*.csv", "gs:// is not a store that publisher was tried with: it knows s3://"),
        ("file:///srv/*.csv", "file:// is not a store that publisher was tried with"),
        *(
            (url, "must be s3://bucket/ or abfs://container@account/ and a pattern of names")
            for url in (
                "s3://key:canary@city/permits/*.csv",
                "s3://city",
                "s3://city/",
                "s3://city/permits/",
                "s3://city/../other/*.csv",
                "s3://city/**/*.csv",
                "abfs://city/permits/*.csv",
                "abfs://city@account",
                "abfs://city@account.dfs.core.windows.net/permits/*.csv",
            )
        ),
    ],
)
def test_other_addresses_are_refused(url: str, says: str, line: Line, tmp_path: Path) -> None:
    """Kinds of stores that were never tried are not claimed, and keys have no place in an address."""
    place = made(tmp_path, line, "city")
    place.edit("s3://city/permits/*.csv", url)
    with pytest.raises(DefinitionError) as refused:
        place.land()
    assert says in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("address", ["http://objects.example.gov", "https://key:canary@objects.example.gov", "objects"])
def test_other_endpoints_are_refused(address: str, line: Line, tmp_path: Path) -> None:
    """Records do not travel where strangers read along."""
    place = made(tmp_path, line, "city")
    place.edit(line.address, address)
    with pytest.raises(DefinitionError, match=r"feed\.endpoint") as refused:
        place.land()
    assert "canary" not in str(refused.value)


def test_a_name_that_leads_out_of_the_folder_is_refused(store: Store, line: Line, bucket: str, tmp_path: Path) -> None:
    """Names of objects are free texts: one that no file can have is refused before anything is written."""
    store.put(bucket, permits__a=rows(1, 3))
    store.client.put_object(Bucket=bucket, Key="permits/../../escaped.csv", Body=b"id\n")
    place = made(tmp_path, line, bucket)
    place.edit("/permits/*.csv", "/permits/*/*/*.csv")
    with pytest.raises(SourceError, match="cannot be that of a file: rename it"):
        place.land()
    assert list(tmp_path.rglob("escaped.csv")) == []


@pytest.mark.skipif(AZURITE not in os.environ, reason=WITHOUT_AZURITE)
def test_blobs_of_azure_are_landed_once(processes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As objects of S3: what matches is landed, what was replaced at the same size is landed again, a wrong key is one
    message without it, and a container that is not there is said."""
    monkeypatch.setenv("AZURE_STORAGE_KEY", AZURE_KEY)
    with azurite(tmp_path) as port:
        feed = f'kind = "objects"\nurl = "abfs://exports@devstoreaccount1/permits/*.csv"\nendpoint = "http://127.0.0.1:{port}"\n'
        place = town(tmp_path / "town", feed, delivery="changes")
        with pytest.raises(SourceError, match="there is no such container"):
            place.land()
        bucket = buckets.Bucket(buckets.BucketAddress("abfs://exports@devstoreaccount1", f"http://127.0.0.1:{port}"))
        bucket.system.create_dir("exports")
        for name, content in {"permits/a": rows(1, 3), "permits/b": rows(4, 5), "other/c": rows(6, 7)}.items():
            bucket.write(f"exports/{name}.csv", content.encode())
        assert (place.land().new, place.rows("id, what")) == (2, expected(5))
        assert place.land().new == 0
        bucket.write("exports/permits/a.csv", rows(1, 3, "v").encode())
        assert (place.land().new, place.rows("id, what")) == (1, expected(5, n1="v1", n2="v2", n3="v3"))
        monkeypatch.setenv("AZURE_STORAGE_KEY", wrong := AZURE_KEY.replace("E", "F"))
        with pytest.raises(SourceError, match=r"the store refused .*: set AZURE_STORAGE_KEY") as refused:
            place.land()
        assert wrong not in str(refused.value)


def test_anonymous_is_for_s3(line: Line, tmp_path: Path) -> None:
    """Azure's library has no way to ask without a key."""
    place = made(tmp_path, line, "city", more="anonymous = true")
    place.edit("s3://city/", "abfs://exports@account/")
    with pytest.raises(DefinitionError, match=r"feed\.anonymous: is for s3:// alone"):
        place.land()


def test_the_page_has_every_fault() -> None:
    """The table of stores has the faults that these tests show, and no others."""
    middle = ["it fails (500) in the middle", "the connection is cut in the middle of an object"]
    shown = [*shown_by("test_object_store.py"), *middle, "it stops answering in the middle"]
    assert sorted(documented("the store")) == sorted(shown)


def test_the_example_of_the_page_works(store: Store, line: Line, tmp_path: Path) -> None:
    """The complete source of docs/feeds.md lands the files of a bucket, without their private column."""
    store.put("city-exports", permits__2026="permit_number,issued_on,type,owner\nB-1,2026-03-01,garage,Ann Example\n")
    place = example("objects", tmp_path / "town", endpoint=f'"{line.address}"')
    place.land()
    assert place.rows("permit_number, issued_on, type") == [("B-1", "2026-03-01", "garage")]
    assert b"Ann Example" not in place.held()

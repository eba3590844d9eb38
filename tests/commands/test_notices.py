"""Notices over a real mail server: each thing is told once, in fixed words, and addresses are shown nowhere."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread, Timer
from typing import TYPE_CHECKING, Any

import pytest
from mail_server import Mailbox, mail_server
from reviewed import Reviewers
from sessions import free_port
from test_status import serving

from publisher.commands.notices import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from township import Answer, Town

PASSWORD = "hunter2secret"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A mail server on a port of its own, for as long as the test."""
    with mail_server() as box:
        yield box


@pytest.fixture
def mailing(town: Town, mailbox: Mailbox) -> Town:
    """A town whose notices go to that server; a portal that a push starts has a port of its own."""
    town.edit("publisher.toml", "http://127.0.0.1:9", f"http://127.0.0.1:{free_port()}")
    return with_address(town, mailbox.address)


def with_address(town: Town, *addresses: str) -> Town:
    file = town.root / "addresses"
    file.write_text("# who is told\n" + "\n".join(addresses) + "\n")
    file.chmod(0o600)
    settings = town.root / "publisher.toml"
    settings.write_text(settings.read_text() + f'\n[notices]\naddresses = {{ file = "{file}" }}\n')
    return town


def told(answer: Answer) -> str:
    return " ".join((answer.out + answer.err).split())


def test_a_held_release_is_told_once(mailing: Town, mailbox: Mailbox) -> None:
    """A run sends one mail with every release that waits for a person, and the next run none; what is over and comes
    again is told again. No number is in it."""
    mailing.expect("requests", 0)
    mailing.run("requests")
    ((subject, lines),) = mailbox.new()
    assert subject == "Town of Ordeal: 3 things need you"
    held = [f"requests {month}: a release waits for a person's decision" for month in ("2024-01", "2024-02", "2024-03")]
    assert lines == [*held, "`publisher status` says more, and what to do."]
    mailing.run("requests")
    assert mailbox.new() == []
    for month in ("2024-01", "2024-02", "2024-03"):
        answer = mailing.publisher("accept", "requests", month, "--reason", "it is right", "--yes")
        assert answer.code == 0, answer.err
    mailing.run("requests")
    assert mailbox.new() == []
    assert json.loads((mailing.state / "private" / "notices.json").read_text()) == []


def test_the_next_edition_that_is_held_is_told_as_well(mailing: Town, mailbox: Mailbox) -> None:
    """Where a person decided on one edition and the next one waits before anyone looks again, that is something new."""
    mailing.expect("requests", 0)
    mailing.run("requests", "--period", "2024-01")
    assert len(mailbox.new()) == 1
    accepted = mailing.publisher("accept", "requests", "2024-01", "--reason", "it is right", "--yes")
    assert accepted.code == 0, accepted.err
    mailing.edit("datasets/requests.toml", "threshold = 5", "threshold = 8")
    for mails in (1, 0):
        mailing.run("requests", "--period", "2024-01")
        told_now = [lines[0] for _, lines in mailbox.new()]
        assert told_now == ["requests 2024-01: a release waits for a person's decision"] * mails


def test_an_answer_that_is_overdue_is_told_once(mailing: Town, mailbox: Mailbox) -> None:
    """With the number of the case alone; once it is answered, nothing is remembered of it."""
    settings = mailing.root / "publisher.toml"
    settings.write_text(settings.read_text() + "\n[cases]\n")
    assert mailing.publisher("notify", "--offline").code == 0
    mailbox.new()
    came = (datetime.now(UTC).date() - timedelta(days=40)).isoformat()
    opened = mailing.publisher("cases", "open", "summary", "--received", came, "--to", "A. Person")
    assert opened.code == 0, opened.err
    number = f"{came[:4]}-001"
    assert mailing.publisher("notify", "--offline").code == 0
    ((_, lines),) = mailbox.new()
    assert f"case {number}: an answer to a person was due and is not given" in lines
    assert "Person" not in " ".join(lines)
    assert mailing.publisher("notify", "--offline").code == 0
    assert mailbox.new() == []
    assert mailing.publisher("cases", "close", number, "--reason", "Withdrawn").code == 0
    assert mailing.publisher("notify", "--offline").code == 0
    assert "case" not in (mailing.state / "private" / "notices.json").read_text()


def test_a_refused_file_is_told_in_fixed_words(mailing: Town, mailbox: Mailbox) -> None:
    """Which file, how much and why stay private; the release that it keeps away is told in the same mail."""
    file = mailing.data / "requests" / "first.csv"
    first = file.read_text().splitlines()
    file.write_text("\n".join([first[0], *(line.replace("2024-", "2024/") for line in first[1:])]))
    mailing.run("requests")
    ((_, lines),) = mailbox.new()
    assert "requests: a file was refused at landing" in lines
    assert {line.split(": ", 1)[1] for line in lines[:-1]} <= set(REASONS.values())
    mailing.run("requests")
    assert mailbox.new() == []
    file.write_text("\n".join(first))
    mailing.run("requests")
    assert mailbox.new() == []
    assert len(mailing.charges()) == 3


def test_what_no_run_notices_is_told_by_notify(mailing: Town, mailbox: Mailbox) -> None:
    """Where nothing runs, a release is late; the command tells it once and prints what it told."""
    answer = mailing.publisher("notify", "--offline")
    assert answer.code == 0
    ((subject, lines),) = mailbox.new()
    assert subject == "Town of Ordeal: 2 things need you"
    assert lines[0] == "requests: a release was due and is not made"
    assert "requests: a release was due" in told(answer)
    again = mailing.publisher("notify", "--offline")
    assert (again.code, mailbox.new()) == (0, [])
    assert "nothing to tell" in told(again)


def test_a_line_in_cron_mails(mailing: Town, mailbox: Mailbox) -> None:
    """The exported line as it stands sends the mail: nobody has to read a log."""
    mailing.expect("water", 0)
    (line,) = [each for each in mailing.publisher("schedule", "export", "cron").out.splitlines() if each[0] != "#"]
    command = line.split(maxsplit=5)[5].replace("\\%", "%")
    done = subprocess.run(["/bin/sh", "-c", command], env=mailing.environment(), check=False)
    assert done.returncode == 3
    ((_, lines),) = mailbox.new()
    assert [line for line in lines if line.startswith("water 2024-0")] != []
    assert "portal: the portal does not answer, or does not show what was released" in lines


def test_what_reached_no_one_is_told_by_the_next_run(mailing: Town, mailbox: Mailbox) -> None:
    """A mail server that refuses changes nothing about the release; the error says which address, not what it is."""
    mailing.expect("requests", 0)
    mailbox.refuses = True
    answer = mailing.run("requests")
    assert answer.code == 3
    assert "no notice could be sent to address 1 of 1" in told(answer)
    assert "127.0.0.1" not in told(answer)
    mailbox.refuses = False
    mailing.run("requests")
    assert len(mailbox.new()) == 1


def test_one_dead_address_does_not_silence_the_others(town: Town, mailbox: Mailbox) -> None:
    """The one that works is told once; the dead one is named by its place, without its password."""
    with_address(town, f"mailto://user:{PASSWORD}@127.0.0.1:9?from=a@example.org&to=b@example.org", mailbox.address)
    town.expect("requests", 0)
    answer = town.run("requests")
    assert len(mailbox.new()) == 1
    assert "address 1 of 2" in told(answer)
    trial = town.publisher("notify", "--test")
    assert (trial.code, len(mailbox.new())) == (6, 1)
    for said in (told(answer), told(trial)):
        assert PASSWORD not in said
        assert "Traceback" not in said
    assert town.run("requests").code == 3
    assert mailbox.new() == []


def test_a_portal_that_is_busy_is_no_alarm(released: Town, mailbox: Mailbox) -> None:
    """One that answers after more time than `publisher status` has is not told; one that is gone is, once."""
    town = with_address(released, mailbox.address)
    with serving(town) as portal:
        assert town.publisher("push").code == 0
        portal.send_signal(signal.SIGSTOP)
        goes_on = Timer(8, portal.send_signal, [signal.SIGCONT])
        goes_on.start()
        try:
            answer = town.publisher("notify")
        finally:
            goes_on.join()
        assert (answer.code, mailbox.new()) == (0, []), answer.err
    for expected in (["portal: the portal does not answer, or does not show what was released"], None):
        assert town.publisher("notify").code == 0
        assert [lines[:1] for _, lines in mailbox.new()] == ([expected] if expected else [])


def test_a_webhook_gets_the_same(town: Town) -> None:
    """Any address that Apprise knows will do: here a JSON webhook, as Slack and Teams have theirs."""
    bodies: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Hook)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        with_address(town, f"json://127.0.0.1:{server.server_port}/")
        assert town.publisher("notify", "--test").code == 0
    finally:
        server.shutdown()
        server.server_close()
    assert bodies[0]["title"] == "Town of Ordeal: a trial of notices"


def test_addresses_must_be_there(town: Town) -> None:
    """Without [notices], without a file, with an empty one, and with one that Apprise does not know, the error says
    what to do, and never shows an address."""
    assert "add [notices]" in told(town.publisher("notify"))
    with_address(town)
    assert town.publisher("notify", "--test").code == 5
    (town.root / "addresses").write_text(f"nothing://{PASSWORD}\n")
    answer = town.publisher("notify", "--test")
    assert answer.code == 6
    assert PASSWORD not in told(answer)
    (town.root / "addresses").unlink()
    assert town.publisher("notify", "--test").code == 5


def test_a_run_that_is_stopped_is_told(mailing: Town, mailbox: Mailbox) -> None:
    """What stops a run altogether, such as a ledger that cannot be opened, is told as a failure, once."""
    mailing.run("requests", "--period", "2024-01")
    mailbox.new()
    ledger = mailing.state / "private" / "ledger.sqlite"
    ledger.write_bytes(b"not a database at all" * 100)
    for expected in (["run: a run failed"], None):
        assert mailing.run("requests").code == 5
        mails = mailbox.new()
        assert [lines[:1] for _, lines in mails] == ([expected] if expected else [])


def test_doctor_says_who_is_told(mailing: Town) -> None:
    """No one, or whoever is behind the addresses; a file of addresses that others can read is told."""
    assert "`publisher notify --test` tries them" in told(mailing.publisher("doctor"))
    (mailing.root / "addresses").chmod(0o644)
    assert "addresses is open to others, and may hold passwords: chmod 600" in told(mailing.publisher("doctor"))
    (mailing.root / "addresses").unlink()
    assert "cannot be read" in told(mailing.publisher("doctor"))


def test_a_run_that_hangs_is_told(mailing: Town, mailbox: Mailbox) -> None:
    """It holds the lock, so it tells nothing itself: after a day someone else does, once; before, nothing is told."""
    mailing.run("requests")
    mailbox.new()
    lock = mailing.state / "private" / "lock"
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert mailing.publisher("notify", "--offline").code == 0
        assert mailbox.new() == []
        os.utime(lock, (lock.stat().st_mtime - 25 * 3600,) * 2)
        for expected in (["run: a run has been at work for more than a day"], None):
            assert mailing.publisher("notify", "--offline").code == 0
            assert [lines[:1] for _, lines in mailbox.new()] == ([expected] if expected else [])


def test_what_waits_for_approval_is_told(mailing: Town, mailbox: Mailbox, tmp_path: Path) -> None:
    """A definition that no one has approved is told once, in fixed words."""
    Reviewers.made(tmp_path / "keys").ask(mailing, "ana")
    for expected in (["requests", "water"], []):
        assert mailing.run().code == 3
        lines = [line for _, lines in mailbox.new() for line in lines if "approval" in line]
        assert lines == [f"{name}: a release or a definition waits for approval" for name in expected]

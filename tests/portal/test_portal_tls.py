"""HTTPS: the certificate, what is wrong with one, and its renewal."""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import requests
from certificates import write_certificate
from cryptography.hazmat.primitives import serialization
from portal_process import start, stop

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Secure

pytestmark = pytest.mark.xdist_group("secure")


def test_it_answers_over_https(secure: Secure, sample: str) -> None:
    """Addresses that it hands out are https, and browsers are told to stay with it."""
    answer = requests.get(f"https://{secure.host}/data.json", verify=str(secure.certificate), timeout=30)
    pages = {entry["landingPage"] for entry in answer.json()["dataset"]}
    assert f"https://{secure.host}/d/{sample}" in pages
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_old_protocols_are_refused(secure: Secure) -> None:
    """TLS 1.2 is the oldest that is spoken."""
    host, port = secure.host.split(":")
    assert ssl.get_server_certificate((host, int(port)), ca_certs=str(secure.certificate))
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    import socket

    with socket.create_connection((host, int(port)), timeout=10) as plain, pytest.raises(ssl.SSLError):
        old.wrap_socket(plain)


def failing(folder: Path, chain: Path, key: Path) -> subprocess.CompletedProcess[str]:
    """What a portal says that cannot start."""
    command = [sys.executable, "-m", "publisher.portal", str(folder / "state"), "--port", "0"]
    command += ["--tls-certificate", str(chain), "--tls-key", str(key)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("broken", ["missing", "other", "garbage", "encrypted", "swapped"])
def test_a_certificate_that_cannot_be_used_is_one_clear_message(tmp_path: Path, broken: str) -> None:
    """A missing file, another's key, no PEM, an encrypted key, the two mixed up: exit code 6, one line, no question."""
    chain, key = write_certificate(tmp_path)
    expected = "must be a certificate and its key"
    if broken == "missing":
        key, expected = tmp_path / "nowhere.key", "No such file"
    elif broken == "other":
        (_, key), expected = write_certificate(tmp_path, "other"), "does not belong to the certificate"
    elif broken == "garbage":
        chain.write_text("hello")
    elif broken == "encrypted":
        plain = serialization.load_pem_private_key(key.read_bytes(), None)
        cipher = serialization.BestAvailableEncryption(b"secret")
        key.write_bytes(plain.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher))
    else:
        chain, key = key, chain
    ended = failing(tmp_path, chain, key)
    assert (ended.returncode, ended.stderr.count("\n")) == (6, 1), ended.stderr
    assert expected in ended.stderr


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_renewed_certificate_is_used_after_a_hangup_signal(tmp_path: Path, workers: str) -> None:
    """SIGHUP reads the files again; files that do not fit together leave the old certificate in use."""
    chain, key = write_certificate(tmp_path)
    options = ("--tls-certificate", str(chain), "--tls-key", str(key), "--workers", workers)
    running = start(tmp_path / "state", *options)
    host, port = running.address.removeprefix("https://").split(":")

    def shown() -> str:
        return ssl.get_server_certificate((host, int(port)), timeout=10)

    try:
        first = shown()
        renewed, other = write_certificate(tmp_path, "renewed")
        chain.write_bytes(renewed.read_bytes())
        running.process.send_signal(signal.SIGHUP)
        until_logged(running.log, "was not renewed", int(workers))
        assert {shown() for _ in range(4)} == {first}
        key.write_bytes(other.read_bytes())
        running.process.send_signal(signal.SIGHUP)
        until_logged(running.log, "certificate was renewed", int(workers))
        assert {shown() for _ in range(4)} == {chain.read_text()}
    finally:
        assert stop(running) == 0


def until_logged(log: Path, words: str, times: int) -> None:
    """Wait for every worker's line."""
    for _ in range(100):
        if log.read_text().count(words) == times:
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())

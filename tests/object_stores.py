"""Real servers of S3 and of Azure on this machine, and a line to them that fails as lines do."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY, WORD = "AKIAEXAMPLE", "canary-of-an-object-store"
"""The keys in the environment of a test; without its rules for keys, the server takes any."""


@dataclass
class Store:
    """A server, and a client that owns it."""

    port: int
    client: Any

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, bucket: str, **objects: str | bytes) -> None:
        """Objects of a bucket, made if it is not there; `__` in a name is a slash, and each name gets .csv."""
        with suppress(self.client.exceptions.BucketAlreadyOwnedByYou):
            self.client.create_bucket(Bucket=bucket)
        for name, content in objects.items():
            body = content.encode() if isinstance(content, str) else content
            self.client.put_object(Bucket=bucket, Key=f"{name.replace('__', '/')}.csv", Body=body)

    def remove(self, bucket: str, name: str) -> None:
        self.client.delete_object(Bucket=bucket, Key=name)

    def ask_for_keys(self, after: str) -> None:
        """Whether the server asks who is there: after so many requests that it does not ask."""
        line = http.client.HTTPConnection("127.0.0.1", self.port)
        line.request("POST", "/moto-api/reset-auth", body=after)
        assert line.getresponse().status == 200
        line.close()


@contextmanager
def serving(folder: Path) -> Iterator[Store]:
    """A running server, empty."""
    import boto3

    port = _free_port()
    command = [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, port, folder, env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true"}):
        keys = {"aws_access_key_id": "maker", "aws_secret_access_key": "maker", "region_name": "us-east-1"}
        yield Store(port, boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", **keys))


@contextmanager
def _running(command: list[Any], port: int, folder: Path, **options: Any) -> Iterator[None]:
    """A server that answers at the port."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **options)
    try:
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


@dataclass
class Line:
    """What lies between a reader and the store: it forwards every request but those on which its fault falls."""

    port: int = 0
    scheme: str = "http"
    fault: Callable[[str, str], str | None] = field(default=lambda _method, _path: None)
    """By method and path: a status such as 500, silent (no answer), cut (half of the answer), or None."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    private: bool = False
    """Whether only requests with keys get an answer, as at Amazon; the server itself answers anyone."""
    authorized: list[str] = field(default_factory=list)
    """What each request said of who asks."""

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


AZURITE = "PUBLISHER_AZURITE"
"""The variable with the folder in which `npm install azurite` was run."""
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key that every Azurite has, as its documentation says."""


WITHOUT_AZURITE = f"Azurite is not installed: npm install azurite in a folder, and {AZURITE}=FOLDER"


@contextmanager
def azurite(folder: Path) -> Iterator[int]:
    """The port of a running server of Azure's blobs, empty."""
    command = [
        Path(os.environ[AZURITE]) / "node_modules" / ".bin" / "azurite-blob",
        *("--blobHost", "127.0.0.1", "--blobPort", str(port := _free_port())),
        *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"),
    ]
    with _running(command, port, folder, cwd=folder):
        yield port


class _Forwarding(BaseHTTPRequestHandler):
    """Forwards a request to the store, or fails as the line's fault says."""

    protocol_version = "HTTP/1.1"
    line: Line
    store: Store
    done: threading.Event

    def do_GET(self) -> None:
        self.line.asked.append((self.command, self.path))
        self.line.authorized.append(self.headers.get("Authorization", ""))
        body, fault = self._read(), self.line.fault(self.command, self.path)
        if self.line.private and not self.line.authorized[-1]:
            fault = "403"
        if fault is not None and fault.isdigit():
            self.send_response(int(fault))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif fault == "silent":
            self.done.wait(60)
            self.close_connection = True
        else:
            self._forward(body, cut=fault == "cut")

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - the base class calls them so

    def _read(self) -> bytes:
        """The whole body, of one piece or of several."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().strip(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _forward(self, body: bytes, *, cut: bool) -> None:
        there = http.client.HTTPConnection("127.0.0.1", self.store.port)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
        if self.command not in {"GET", "HEAD"}:
            headers["Content-Length"] = str(len(body))
        there.request(self.command, self.path, body=body, headers=headers)
        answer = there.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut
        there.close()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def between(store: Store, certificate: tuple[Path, Path] | None = None) -> Iterator[Line]:
    """A line to the store, on a port of its own; encrypted with a certificate and its key."""
    line, done = Line(), threading.Event()

    handler = type("Handler", (_Forwarding,), {"line": line, "store": store, "done": done})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        line.scheme = "https"
    line.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield line
    finally:
        done.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port

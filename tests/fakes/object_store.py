"""An object store in memory that speaks enough of S3's REST protocol for PyArrow, and fails on demand.

https://docs.aws.amazon.com/AmazonS3/latest/API/
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Fault = str
"""``503``, ``500``, ``403``: that status; ``hang up``: no answer; ``cut``: half of a body; ``late``: no end of it."""


@dataclass
class ObjectStore:
    """A store of one bucket.

    Attributes:
        objects: bytes and time of writing by key.
        fault: called with the method and the key of each request; returns the fault that it is to have, or None.
        requests: method and key of every request.
        url: where it listens.
    """

    objects: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    fault: Callable[[str, str], Fault | None] = lambda method, key: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def environment(self) -> dict[str, str]:
        """Variables that lead PyArrow here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def served(store: ObjectStore) -> Iterator[ObjectStore]:
    """Serve a store on this machine."""

    class Handler(_Handler):
        of = store

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        store.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield store
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    of: ObjectStore
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def _begin(self) -> tuple[str, dict[str, list[str]], bytes, Fault | None]:
        address = urlsplit(self.path)
        key = unquote(address.path).lstrip("/").partition("/")[2]
        query = parse_qs(address.query, keep_blank_values=True)
        body = self._body()
        with self.of.lock:
            self.of.requests.append((self.command, key))
            fault = self.of.fault(self.command, key)
        return key, query, body, fault

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            made, rest = b"", body
            while rest:
                size, _, rest = rest.partition(b"\r\n")
                length = int(size.split(b";")[0] or b"0", 16)
                if not length:
                    break
                made, rest = made + rest[:length], rest[length + 2 :]
            body = made
        return body

    def _chunk(self) -> bytes:
        length = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(length)
        self.rfile.readline()
        return data

    def _answer(self, status: int, body: bytes = b"", *, fault: Fault | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault in ("cut", "late"):
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            if fault == "late":
                time.sleep(0.05)
            return
        self.wfile.write(body)

    def _failed(self, fault: Fault | None) -> bool:
        if fault is None or fault in ("cut", "late"):
            return False
        if fault == "hang up":
            self.close_connection = True
            self.connection.close()
            return True
        code = {"503": "SlowDown", "500": "InternalError", "403": "AccessDenied"}[fault]
        self._answer(int(fault), f"<Error><Code>{code}</Code><Message>on demand</Message></Error>".encode())
        return True

    def do_HEAD(self) -> None:
        key, _, _, fault = self._begin()
        if self._failed(fault):
            return
        found = self.of.objects.get(key)
        if not key:
            self._answer(200, x_amz_bucket_region="us-east-1")
        elif found is None:
            self._answer(404)
        else:
            self._answer(200, found[0], **_facts(*found))

    def do_GET(self) -> None:
        key, query, _, fault = self._begin()
        if self._failed(fault):
            return
        if not key:
            self._answer(200, self._listed(query), fault=fault, Content_Type="application/xml")
            return
        found = self.of.objects.get(key)
        if found is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        data, status = found[0], 200
        facts = _facts(*found)
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes="):
            first, _, last = asked[6:].partition("-")
            begin, end = int(first), min(len(data) - 1, int(last or len(data)))
            facts["Content_Range"] = f"bytes {begin}-{end}/{len(data)}"
            data, status = data[begin : end + 1], 206
        self._answer(status, data, fault=fault, **facts)

    def _listed(self, query: dict[str, list[str]]) -> bytes:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        keys, folders = [], set()
        for key in sorted(self.of.objects):
            if not key.startswith(prefix):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                keys.append(key)
        rows = "".join(_row(key, *self.of.objects[key]) for key in keys)
        rows += "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders))
        count = len(keys) + len(folders)
        return (
            f'<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><Prefix>{escape(prefix)}</Prefix>'
            f"<KeyCount>{count}</KeyCount><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
        ).encode()

    def do_PUT(self) -> None:
        key, query, body, fault = self._begin()
        if self._failed(fault):
            return
        if "partNumber" in query:
            self.of.parts.setdefault(query["uploadId"][0], {})[int(query["partNumber"][0])] = body
        elif key:
            self.of.objects[key] = body, time.time()
        self._answer(200, ETag=_tag(body))

    def do_POST(self) -> None:
        key, query, _, fault = self._begin()
        if self._failed(fault):
            return
        if "uploads" in query:
            name = f"upload-{len(self.of.requests)}"
            body = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
        else:
            parts = self.of.parts.pop(query["uploadId"][0], {})
            self.of.objects[key] = b"".join(parts[number] for number in sorted(parts)), time.time()
            body = f"<CompleteMultipartUploadResult><Key>{escape(key)}</Key></CompleteMultipartUploadResult>"
        self._answer(200, body.encode(), Content_Type="application/xml")

    def do_DELETE(self) -> None:
        key, query, _, fault = self._begin()
        if self._failed(fault):
            return
        if "uploadId" in query:
            self.of.parts.pop(query["uploadId"][0], None)
        else:
            self.of.objects.pop(key, None)
        self._answer(204)


def _tag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def _facts(data: bytes, written: float) -> dict[str, str]:
    return {"Last_Modified": formatdate(written, usegmt=True), "ETag": _tag(data), "Accept_Ranges": "bytes"}


def _row(key: str, data: bytes, written: float) -> str:
    shown = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(written))
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{shown}</LastModified><ETag>{_tag(data)}</ETag>"
        f"<Size>{len(data)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )

"""A tiny S3: what the database asks of an object store, in this process's memory."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

_DATE = "2026-11-25T00:00:00.000Z"
_HTTP_DATE = "Wed, 25 Nov 2026 00:00:00 GMT"


class ObjectStore:
    """Objects by "bucket/key".

    Attributes:
        environment: variables that lead the database here.
        objects: what is kept.
        refusal: the status and code that every request is answered with, None to do what it asks.
        every: one request in so many is answered with the refusal; the others are done.
        refused: how many were.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.lock = threading.Lock()
        self.refusal: tuple[int, str] | None = None
        self.every = 1
        self.refused = 0
        self._asked = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.store = self  # type: ignore[attr-defined]
        self.environment = {
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ENDPOINT": f"http://127.0.0.1:{self._server.server_address[1]}",
        }
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def refuses(self) -> bool:
        """Tell whether to refuse the request that comes now."""
        with self.lock:
            self._asked += 1
            refuses = self.refusal is not None and self._asked % self.every == 0
            self.refused += refuses
            return refuses

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def store(self) -> ObjectStore:
        return self.server.store  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        where = urlsplit(self.path)
        self.name = unquote(where.path).lstrip("/")
        self.asked = {
            key: values[0] for key, values in parse_qs(where.query, keep_blank_values=True).items()
        }
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.store.refuses():
            status, code = self.store.refusal
            self.answer(status, _error(code))
            return False
        return True

    def do_GET(self) -> None:
        if "list-type" in self.asked:
            self.answer(200, self.list_few())
        else:
            self.send_object(with_body=True)

    def do_HEAD(self) -> None:
        self.send_object(with_body=False)

    def do_PUT(self) -> None:
        with self.store.lock:
            if "uploadId" in self.asked:
                self.store.parts[self.asked["uploadId"]][int(self.asked["partNumber"])] = self.body
            elif self.headers.get("If-None-Match") == "*" and self.name in self.store.objects:
                self.answer(412, _error("PreconditionFailed"))
                return
            elif source := self.headers.get("x-amz-copy-source"):
                self.store.objects[self.name] = self.store.objects[unquote(source).lstrip("/")]
            else:
                self.store.objects[self.name] = self.body
        self.answer(200, b"", {"ETag": _tag(self.body)})

    def do_POST(self) -> None:
        with self.store.lock:
            if "uploads" in self.asked:
                number = f"upload{len(self.store.parts)}"
                self.store.parts[number] = {}
                content = _xml("InitiateMultipartUploadResult", f"<UploadId>{number}</UploadId>")
            elif "uploadId" in self.asked:
                parts = self.store.parts[self.asked["uploadId"]]
                self.store.objects[self.name] = b"".join(parts[n] for n in sorted(parts))
                content = _xml("CompleteMultipartUploadResult", "<ETag>whole</ETag>")
            else:
                bucket = self.name.rstrip("/")
                keys = [
                    node.text or ""
                    for node in ElementTree.fromstring(self.body).iter()
                    if node.tag.endswith("Key")
                ]
                for key in keys:
                    self.store.objects.pop(f"{bucket}/{key}", None)
                content = _xml("DeleteResult", "".join(map(_deleted, keys)))
        self.answer(200, content)

    def do_DELETE(self) -> None:
        with self.store.lock:
            self.store.objects.pop(self.name, None)
        self.answer(204, b"")

    def list_few(self) -> bytes:
        bucket, prefix = self.name.rstrip("/"), self.asked.get("prefix", "")
        delimiter = self.asked.get("delimiter")
        with self.store.lock:
            sizes = {name: len(content) for name, content in self.store.objects.items()}
        files, folders = [], set()
        for name in sorted(sizes):
            key = name.removeprefix(f"{bucket}/")
            if (
                key == name
                or not key.startswith(prefix)
                or key <= self.asked.get("start-after", "")
            ):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest[: rest.index(delimiter) + 1])
                continue
            files.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>{_DATE}</LastModified>"
                f"<ETag>x</ETag><Size>{sizes[name]}</Size></Contents>"
            )
        inside = [
            f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>"
            for f in sorted(folders)
        ]
        return _xml(
            "ListBucketResult",
            f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{len(files) + len(inside)}</KeyCount><IsTruncated>false</IsTruncated>"
            + "".join(files + inside),
        )

    def send_object(self, with_body: bool) -> None:
        content = self.store.objects.get(self.name)
        if content is None:
            self.answer(404, _error("NoSuchKey") if with_body else b"")
            return
        headers = {"ETag": _tag(content), "Last-Modified": _HTTP_DATE}
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        status = 200
        if asked and with_body:
            first, last = asked.groups()
            start = int(first) if first else len(content) - int(last)
            stop = min(len(content), int(last) + 1) if first and last else len(content)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
            content, status = content[start:stop], 206
        self.answer(status, content, headers, with_body)

    def answer(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str] | None = None,
        with_body: bool = True,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)


def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def _deleted(key: str) -> str:
    return f"<Deleted><Key>{escape(key)}</Key></Deleted>"


def _error(code: str) -> bytes:
    return _xml("Error", f"<Code>{code}</Code><Message>{code}</Message>")


def _xml(tag: str, content: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><{tag}>{content}</{tag}>'.encode()

"""Google Cloud Storage's XML API over real HTTP, as far as this program uses it, with signatures that are checked.

Requests carry a token that the service account signed itself, or a V4 signature in the query; both are verified with
the public half of a key made here. Played: objects with generations, ranges and conditions, copies, multipart uploads,
lists, deletes, and CORS by the rules of a file as ``gcloud storage buckets update --cors-file`` takes it. Not played:
permissions of single objects, retention, transcoding, other regions. obstore signs ``storage.googleapis.com`` as the
host, wherever it sends requests.
"""

from __future__ import annotations

import hashlib
import http.server
import itertools
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from loopback import LoopbackServer

SIGNED_HOST = "storage.googleapis.com"
EMAIL = "reelpress@demo-project.iam.gserviceaccount.com"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_LONGEST_S = 7 * 24 * 3600
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Object:
    content: bytes
    content_type: str
    generation: int
    at: float = field(default_factory=time.time)

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.content).hexdigest()}-{self.generation}"'


class Refused(Exception):  # noqa: N818 - what a request is
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


def service_account_key() -> str:
    """The key of the service account that is known here, as Google hands it out."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return json.dumps({
        "type": "service_account", "project_id": "demo-project", "private_key_id": "k1", "client_email": EMAIL,
        "private_key": _KEY.private_bytes(*form).decode(), "client_id": "1",
    })  # fmt: skip


class FakeGcs(LoopbackServer):
    """A context manager; ``fail(method, key)`` may return a status that a request is to meet."""

    def __init__(self, *buckets: str, cors: list[dict[str, Any]] | None = None) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.buckets = set(buckets)
        self.cors = cors or []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.signed: list[tuple[str, str]] = []
        self.fail = lambda _method, _key: 0
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.types: dict[str, str] = {}
        self._count = itertools.count(1_700_000_000_000_001)
        self._key = _KEY
        super().__init__(_handler(self))

    def other_key(self) -> None:
        """Trust another key from now on: all that was signed before is forged."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    # --- who asks ---

    def check(self, method: str, target: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if "X-Goog-Signature" in query:
            self._check_signature(method, parts.path, query)
            self.signed.append((method, unquote(parts.path)))
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        try:
            claims = jwt.decode(
                token, self._key.public_key(), algorithms=["RS256"], options={"verify_aud": False, "require": ["exp"]}
            )  # fmt: skip
        except jwt.InvalidTokenError:
            raise Refused(401, "AuthenticationRequired") from None
        scopes = {f"https://www.googleapis.com/auth/{name}" for name in ("devstorage.read_write", "cloud-platform")}
        if scheme != "Bearer" or claims["iss"] != EMAIL or not scopes & set(claims["scope"].split()):
            raise Refused(403, "AccessDenied")

    def _check_signature(self, method: str, path: str, query: dict[str, str]) -> None:
        signature = query.pop("X-Goog-Signature")
        date, lasts = query["X-Goog-Date"], int(query["X-Goog-Expires"])
        email, _, scope = query["X-Goog-Credential"].partition("/")
        right = (EMAIL, f"{date[:8]}/auto/storage/goog4_request", "GOOG4-RSA-SHA256", "host")
        if (email, scope, query["X-Goog-Algorithm"], query["X-Goog-SignedHeaders"]) != right or lasts > _LONGEST_S:
            raise Refused(403, "SignatureDoesNotMatch")
        asked = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(query.items()))
        path = quote(unquote(path), safe="/-_.~")  # as Google's documentation has it
        request = "\n".join([method, path, asked, f"host:{SIGNED_HOST}", "", "host", "UNSIGNED-PAYLOAD"])
        signed = "\n".join(["GOOG4-RSA-SHA256", date, scope, hashlib.sha256(request.encode()).hexdigest()])
        try:
            self._key.public_key().verify(
                bytes.fromhex(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )  # fmt: skip
        except (InvalidSignature, ValueError):
            raise Refused(403, "SignatureDoesNotMatch") from None
        begins = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        if not begins - 900 <= time.time() <= begins + lasts:
            raise Refused(400, "ExpiredToken")

    # --- what is there ---

    def put(self, bucket: str, key: str, content: bytes, content_type: str, match: str | None = None) -> Object:
        if match == "0" and (bucket, key) in self.objects:
            raise Refused(412, "PreconditionFailed")
        made = self.objects[bucket, key] = Object(content, content_type, next(self._count))
        return made

    def find(self, bucket: str, key: str) -> Object:
        if bucket not in self.buckets:
            raise Refused(404, "NoSuchBucket")
        try:
            return self.objects[bucket, key]
        except KeyError:
            raise Refused(404, "NoSuchKey") from None

    def keys(self, bucket: str) -> list[str]:
        return sorted(key for one, key in self.objects if one == bucket)

    def list_xml(self, bucket: str, prefix: str) -> bytes:
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key><Generation>{one.generation}</Generation><Size>{len(one.content)}</Size>"
            f"<LastModified>{datetime.fromtimestamp(one.at, UTC).isoformat().replace('+00:00', 'Z')}</LastModified>"
            f"<ETag>{escape(one.etag)}</ETag></Contents>"
            for (at, key), one in sorted(self.objects.items())
            if at == bucket and key.startswith(prefix)
        )
        inner = f"<Name>{bucket}</Name><IsTruncated>false</IsTruncated>{found}"
        return f"<ListBucketResult>{inner}</ListBucketResult>".encode()

    def cors_of(self, origin: str, method: str) -> dict[str, str]:
        for rule in self.cors:
            if origin in rule["origin"] and method in rule["method"]:
                named = ", ".join(rule["responseHeader"])
                return {
                    "Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": ", ".join(rule["method"]),
                    "Access-Control-Allow-Headers": named, "Access-Control-Expose-Headers": named,
                    "Access-Control-Max-Age": str(rule.get("maxAgeSeconds", 0)), "Vary": "Origin",
                }  # fmt: skip
        return {}


def _handler(gcs: FakeGcs) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_OPTIONS(self) -> None:
            asked = self.headers.get("Access-Control-Request-Method", "")
            self._say(200, headers=gcs.cors_of(self.headers.get("Origin", ""), asked))

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            parts = urlsplit(self.path)
            bucket, _, key = unquote(parts.path.lstrip("/")).partition("/")
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            gcs.seen.append((self.command, key, headers))
            try:
                self._refuse(bucket, key, headers)
                self._serve(bucket, key, query, headers, body)
            except Refused as refused:
                text = f"<?xml version='1.0'?><Error><Code>{refused.code}</Code></Error>".encode()
                self._say(refused.status, text, {"Content-Type": "application/xml"})

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815 - names of http.server

        def _refuse(self, bucket: str, key: str, headers: dict[str, str]) -> None:
            if status := gcs.fail(self.command, key):
                raise Refused(status, "Injected")
            gcs.check(self.command, self.path, headers)
            if bucket not in gcs.buckets:
                raise Refused(404, "NoSuchBucket")

        def _serve(self, bucket: str, key: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> None:
            if not key:
                self._say(200, gcs.list_xml(bucket, query.get("prefix", "")), {"Content-Type": "application/xml"})
            elif "uploads" in query:
                upload = f"u{next(gcs._count)}"
                gcs.uploads[upload], gcs.types[upload] = {}, headers.get("content-type", "")
                self._xml(f"<UploadId>{upload}</UploadId>", "InitiateMultipartUploadResult")
            elif "uploadId" in query:
                self._part(bucket, key, query, headers, body)
            elif self.command == "PUT":
                self._put(bucket, key, headers, body)
            elif self.command == "DELETE":
                gcs.find(bucket, key)
                del gcs.objects[bucket, key]
                self._say(204)
            else:
                self._get(gcs.find(bucket, key), headers)

        def _put(self, bucket: str, key: str, headers: dict[str, str], body: bytes) -> None:
            match = headers.get("x-goog-if-generation-match")
            if source := headers.get("x-goog-copy-source"):
                at, _, of = unquote(source).partition("/")
                copied = gcs.find(at, of)
                made = gcs.put(bucket, key, copied.content, copied.content_type, match)
                self._xml(f"<ETag>{escape(made.etag)}</ETag>", "CopyObjectResult")
                return
            made = gcs.put(bucket, key, body, headers.get("content-type", "application/octet-stream"), match)
            self._say(200, headers={"ETag": made.etag, "x-goog-generation": str(made.generation)})

        def _part(self, bucket: str, key: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> None:
            upload = query["uploadId"]
            if upload not in gcs.uploads:
                raise Refused(404, "NoSuchUpload")
            if self.command == "PUT":
                gcs.uploads[upload][int(query["partNumber"])] = body
                self._say(200, headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
            elif self.command == "DELETE":
                del gcs.uploads[upload]
                self._say(204)
            else:
                named = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
                parts = gcs.uploads.pop(upload)
                match = headers.get("x-goog-if-generation-match")
                made = gcs.put(bucket, key, b"".join(parts[n] for n in named), gcs.types[upload], match)
                self._xml(f"<ETag>{escape(made.etag)}</ETag>", "CompleteMultipartUploadResult", made.generation)

        def _get(self, found: Object, headers: dict[str, str]) -> None:
            if headers.get("if-match", found.etag) != found.etag:
                raise Refused(412, "PreconditionFailed")
            about = {
                "ETag": found.etag, "Content-Type": found.content_type, "Accept-Ranges": "bytes",
                "Last-Modified": formatdate(found.at, usegmt=True), "x-goog-generation": str(found.generation),
            }  # fmt: skip
            if (match := _RANGE.fullmatch(headers.get("range", ""))) is None:
                self._say(200, found.content, about)
                return
            start, size = int(match[1]), len(found.content)
            end = min(int(match[2]) + 1, size) if match[2] else size
            if start >= size:
                raise Refused(416, "InvalidRange")
            about["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
            self._say(206, found.content[start:end], about)

        def _xml(self, inner: str, kind: str, generation: int = 0) -> None:
            headers = {"Content-Type": "application/xml", "x-goog-generation": str(generation)}
            self._say(200, f"<{kind}>{inner}</{kind}>".encode(), headers)

        def _say(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
            self.send_response(status)
            allowed = gcs.cors_of(self.headers.get("Origin", ""), self.command)
            for name, value in {**headers, **allowed}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    return Handler

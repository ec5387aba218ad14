"""ID tokens as Firebase Authentication issues them, signed by keys made here, and the addresses of those keys."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

PROJECT = "demo-project"
KEYS = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("k1", "stranger")}


def jwks(*names: str) -> bytes:
    keys = [
        {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEYS[name].public_key())), "kid": name, "alg": "RS256"}
        for name in names or ("k1",)
    ]
    return json.dumps({"keys": keys}).encode()


def id_token(uid: object = "Ab3", *, key: str = "k1", without: str = "", kid: str = "k1", **claims: object) -> str:
    """A token of a user who signed in a minute ago, with other claims if asked for."""
    now = int(time.time())
    whole = {
        "iss": f"https://securetoken.google.com/{PROJECT}", "aud": PROJECT, "sub": uid, "user_id": uid,
        "auth_time": now - 60, "iat": now - 60, "exp": now + 3540, "email": "ann@example.com", "email_verified": True,
        "firebase": {"identities": {}, "sign_in_provider": "password"}, **claims,
    }  # fmt: skip
    whole.pop(without, None)
    headers = {"kid": kid}
    # not by jwt.encode's own checks, which refuse some of what is to be refused by us
    return jwt.PyJWS().encode(json.dumps(whole).encode(), KEYS[key], "RS256", headers=headers)


def bearer(uid: str = "Ab3", **more: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {id_token(uid, **more)}"}


@contextmanager
def key_server() -> Iterator[str]:
    """Serve the keys and yield their address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = jwks()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/jwk"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

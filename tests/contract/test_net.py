"""The client for strangers' URLs, against servers and names that mean harm."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from reelpress.errors import AddressError, Cancelled, NetError
from reelpress.net import client as client_module
from reelpress.net.answers import get, retry_after_s
from reelpress.net.client import public_client, read_at_most
from reelpress.net.wire import Patience

from peer import RESET, Internet, Pause, Peer, said, wait_until

PUBLIC = "93.184.216.34"
OTHER = "8.8.8.8"


def ask(url: str, **options) -> bytes:
    allow = options.setdefault("allow_private", True)
    with public_client(**options) as client, get(client, url, allow_private=allow) as response:
        return b"".join(response.iter_raw())


class Names:
    """A resolver with an answer for each time it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0)


def test_a_public_name_is_called_at_the_address_that_was_checked():
    names = Names([PUBLIC], ["127.0.0.1"])
    with Peer(lambda _: said(b"hello")) as peer:
        network = Internet(peer)
        got = ask("http://video.example:8080/a?b=c", allow_private=False, resolve=names, network=network)
    assert got == b"hello"
    assert network.called == [(PUBLIC, 8080)]
    assert names.asked == ["video.example"]
    assert peer.asked[0].target == "/a?b=c"
    assert peer.asked[0].headers["host"] == "video.example:8080"
    assert peer.asked[0].headers["accept-encoding"] == "identity"


def test_a_name_that_turns_private_is_refused_the_second_time():
    names = Names([PUBLIC], ["127.0.0.1"])
    with Peer(lambda _: said(b"hello")) as peer:
        network = Internet(peer)
        with public_client(resolve=names, network=network) as client:
            assert client.get("http://rebind.example/").status_code == 200
            with pytest.raises(AddressError):
                client.get("http://rebind.example/")
    assert len(peer.asked) == 1


@pytest.mark.parametrize("others", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["::ffff:127.0.0.1"], ["fe80::1%eth0"], []])
def test_a_name_with_any_address_that_is_not_public_is_refused(others):
    with Peer(lambda _: said(b"secret")) as peer:
        network = Internet(peer)
        with pytest.raises(AddressError):
            ask("http://mixed.example/", allow_private=False, resolve=Names(others), network=network)
        assert network.called == []


def test_loopback_is_refused_for_real_and_called_when_allowed():
    with Peer(lambda _: said(b"hello")) as peer:
        for url in (f"http://localhost:{peer.port}/", peer.url):
            with pytest.raises(AddressError):
                ask(url, allow_private=False)
        assert peer.asked == []
        assert ask(peer.url) == b"hello"


@pytest.mark.parametrize(
    "url", ["http://user:secret@video.example/", "http://2130706433/", "ftp://video.example/", "http://[::1]/"]
)
def test_the_client_itself_refuses_what_the_rules_refuse(url):
    def never(host: str, port: int) -> list[str]:
        raise AssertionError("looked up")

    with public_client(resolve=never) as client, pytest.raises((AddressError, httpcore.UnsupportedProtocol)):
        client.get(url)


def test_proxies_and_credentials_of_the_environment_are_not_used(monkeypatch, tmp_path):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with Peer(lambda _: said(b"hello")) as peer:
        assert ask(peer.url) == b"hello"
    assert "authorization" not in peer.asked[0].headers


# Redirects


@pytest.mark.parametrize(
    ("there", "addresses"),
    [
        ("http://127.0.0.1/", [PUBLIC]),
        ("http://169.254.169.254/latest/meta-data/", [PUBLIC]),
        ("http://[::ffff:169.254.169.254]/", [PUBLIC]),
        ("http://0x7f.1/", [PUBLIC]),
        ("//inside.example/", ["10.0.0.1"]),
        ("http://user:pass@video.example/", [PUBLIC]),
        ("file:///etc/passwd", [PUBLIC]),
        ("http://[", [PUBLIC]),
    ],
)
def test_redirects_to_what_may_not_be_called_are_refused(there, addresses):
    with Peer(lambda _: said(status="302 Found", Location=there)) as peer:
        network = Internet(peer)
        with pytest.raises(AddressError):
            ask("http://video.example/", allow_private=False, resolve=Names([PUBLIC], addresses), network=network)
        assert len(network.called) == 1


@pytest.mark.parametrize("status", ["301 x", "302 x", "303 x", "307 x", "308 x"])
def test_five_redirects_are_followed_and_no_more(status):
    def answer(asked):
        number = int(asked.target[1:])
        return said(b"there") if number == 5 else said(status=status, Location=f"/{number + 1}")

    with Peer(answer) as peer:
        assert ask(f"{peer.url}/0") == b"there"
        with pytest.raises(NetError, match="leads nowhere"):
            ask(f"{peer.url}/-1")
        with pytest.raises(NetError, match="leads to itself"), Peer(lambda _: said(status=status)) as loop:
            ask(loop.url)


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A server's context for ``video.example``, and a client's that trusts it."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "video.example")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("video.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=str(folder / "cert.pem"))


def test_tls_asks_for_the_name_though_an_address_is_called(certificates):
    server, client = certificates
    with Peer(lambda _: said(b"hello"), tls=server) as peer:
        network = Internet(peer)
        options = {"allow_private": False, "network": network}
        assert ask("https://video.example/", resolve=Names([PUBLIC]), tls=client, **options) == b"hello"
        for url, tls in (("https://other.example/", client), ("https://video.example/", None)):
            with pytest.raises(NetError) as caught:
                ask(url, resolve=Names([PUBLIC]), tls=tls, **options)
            assert (caught.value.reason, caught.value.retryable) == ("untrusted", False)
    assert network.called == [(PUBLIC, 443)] * 3
    assert len(peer.asked) == 1


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_said_so_and_needed_for_https_alone(tmp_path, monkeypatch, content):
    path = tmp_path / "roots.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    client_module._usual_tls.cache_clear()
    with Peer(lambda _: said(b"hello")) as peer:
        options = {"allow_private": False, "network": Internet(peer), "resolve": Names([PUBLIC])}
        assert ask("http://video.example/", **options) == b"hello"
        with pytest.raises(NetError) as caught:
            ask("https://video.example/", **options)
    assert (caught.value.reason, caught.value.retryable) == ("untrusted", False)
    assert "SSL_CERT_FILE" in caught.value.hint


def test_no_redirect_leads_from_https_to_http(certificates):
    server, client = certificates
    with Peer(lambda _: said(status="302 x", Location="http://video.example/"), tls=server) as peer:
        network = Internet(peer)
        with pytest.raises(AddressError, match="from https to http"):
            ask("https://video.example/", allow_private=False, network=network, resolve=Names([PUBLIC]), tls=client)
        assert len(network.called) == 1


# Time and size

HASTY = Patience(connect_s=2, silence_s=0.3, answer_s=0.6, total_s=20, least_bytes_per_s=1000, window_s=0.5)


def drip(piece: bytes):
    while True:
        yield piece
        yield Pause(0.05)


def first(*parts, then):
    yield from parts
    yield from then


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: [Pause(60)], "nothing for 0.3 s"),
        (lambda _: [*said(b"", Content_Length="9"), Pause(60)], "nothing for 0.3 s"),
        (lambda _: drip(b"X"), "longer than allowed"),
        (lambda _: first(b"HTTP/1.1 200 OK\r\n", then=drip(b"X-A: b\r\n")), "longer than allowed"),
        (lambda _: first(*said(Content_Length="99999"), then=drip(b"x")), "fewer than 1000 bytes"),
        (lambda _: first(*said(Content_Length="", Transfer_Encoding="chunked"), then=drip(b"1\r\nx\r\n")),
         "fewer than 1000 bytes"),
    ],
    ids=["silence", "silence in the body", "drip of a status", "drip of headers", "drip of a body", "drip of chunks"],
)  # fmt: skip
def test_a_server_that_does_not_get_on_is_given_up(answer, words):
    with Peer(answer) as peer, pytest.raises(NetError, match="in time") as caught:
        ask(peer.url, patience=HASTY)
    assert (caught.value.reason, caught.value.retryable) == ("timed_out", True)
    assert words in caught.value.evidence


def test_the_whole_is_bounded_too():
    patience = Patience(total_s=0.5, least_bytes_per_s=0)
    with (
        Peer(lambda _: first(*said(Content_Length="99999"), then=drip(b"x"))) as peer,
        pytest.raises(NetError) as caught,
    ):
        ask(peer.url, patience=patience)
    assert caught.value.evidence == "it took longer than allowed in all"


def test_a_resolver_that_hangs_is_given_up():
    stop = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        stop.wait(60)
        return []

    with pytest.raises(NetError) as caught:
        ask("http://video.example/", resolve=hang, patience=Patience(connect_s=0.3))
    stop.set()
    assert caught.value.reason == "timed_out"


def test_a_wish_to_stop_ends_a_silent_request():
    stop = threading.Event()
    with Peer(lambda _: [Pause(60)]) as peer:
        threading.Thread(target=lambda: wait_until(lambda: bool(peer.asked)) and stop.set()).start()
        with pytest.raises(Cancelled):
            ask(peer.url, is_cancelled=stop.is_set)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: [RESET], "unreachable"),
        (lambda _: [], "unreachable"),
        (lambda _: [b"SSH-2.0-OpenSSH_9\r\n"], "unreachable"),
        (lambda _: [b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000], "unreachable"),
        (lambda _: said(b"abc", Content_Length="9"), "truncated"),
        (lambda _: [*said(Content_Length="", Transfer_Encoding="chunked"), b"5\r\nab"], "truncated"),
        (lambda _: [*said(Content_Length="9"), b"abc", RESET], "unreachable"),
    ],
)
def test_broken_answers_are_errors_that_may_pass(answer, reason):
    with Peer(answer) as peer, pytest.raises(NetError) as caught:
        ask(f"{peer.url}/T0K3N?signature=S1GN")
    assert (caught.value.reason, caught.value.retryable) == (reason, True)
    assert "T0K3N" not in str(caught.value.lines())
    assert "S1GN" not in str(caught.value.lines())


@pytest.mark.parametrize(("number", "reason"), [(socket.EAI_NONAME, "missing"), (socket.EAI_AGAIN, "unreachable")])
def test_names_that_are_not_found(number, reason):
    def fail(host: str, port: int) -> list[str]:
        raise socket.gaierror(number, "not found")

    with pytest.raises(NetError) as caught:
        ask("http://video.example/", resolve=fail)
    assert (caught.value.reason, caught.value.retryable) == (reason, reason == "unreachable")


def test_the_next_address_is_tried_when_one_is_not_reached():
    class Half(Internet):
        def connect_tcp(self, host, *rest, **options):
            if host == PUBLIC:
                self.called.append((host, 0))
                raise httpcore.ConnectError
            return super().connect_tcp(host, *rest, **options)

    with Peer(lambda _: said(b"hello")) as peer:
        network = Half(peer)
        assert ask("http://a.example/", allow_private=False, resolve=Names([PUBLIC, OTHER]), network=network)
    assert network.called == [(PUBLIC, 0), (OTHER, 80)]


def test_a_body_is_read_no_further_than_asked():
    def endless(_):
        yield from said(Content_Length="", Transfer_Encoding="chunked")
        while True:
            yield b"1000\r\n" + b"x" * 4096 + b"\r\n"

    with (
        Peer(endless) as peer,
        public_client(allow_private=True) as client,
        get(client, peer.url, allow_private=True) as response,
    ):
        assert read_at_most(response, 5000) == b"x" * 5000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5), ("0", 0), ("-5", None), ("", None), ("soon", None), ("9" * 20, 86_400), ("\u0665", None),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 20), ("Thu, 01 Jan 1970 00:00:05 GMT", 0), ("Thu, 01 Jan 99999 00:00", None),
    ],
)  # fmt: skip
def test_retry_after_is_understood(text, seconds):
    with Peer(lambda _: said(status="503 x", Retry_After=text)) as peer, public_client(allow_private=True) as client:
        assert retry_after_s(client.get(peer.url) if text.isascii() else Header(text), now=10.0) == seconds


class Header:
    def __init__(self, text: str) -> None:
        self.headers = {"Retry-After": text}

"""Which URLs and addresses may be called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.errors import AddressError, ExitCode
from reelpress.net.addresses import check_address, check_url, is_public, shown

NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1", "2001:db8::1", "3fff::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "5f00::1", "4000::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "93.184.216.34", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "2606:4700::1111",
          "2a00:1450:4001:830::200e", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"]  # fmt: skip


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_addresses_that_are_not_public_are_refused_bare_and_in_a_url(text):
    with pytest.raises(AddressError) as caught:
        check_address(text, allow_private=False)
    assert caught.value.exit_code == ExitCode.INPUT_UNUSABLE
    assert not caught.value.retryable
    url = f"https://[{text}]:8443/a" if ":" in text else f"https://{text}:8443/a"
    with pytest.raises(AddressError):
        check_url(url, allow_private=False)
    assert str(check_url(url, allow_private=True)) == url


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_accepted(text):
    assert check_address(text, allow_private=False) == text
    url = f"http://[{text}]/a" if ":" in text else f"http://{text}/a"
    assert check_url(url, allow_private=False).host


@given(st.ip_addresses())
def test_nothing_passes_that_the_standard_library_calls_private(address):
    if is_public(address) and getattr(address, "ipv4_mapped", None) is None:
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/",
        "http://017700000001/", "http://127.0.0.1./", "http://127.0.0.01/", "http://0/", "http://1.2.3/", "http://a.0x/",
        "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1", "http://[v1.x]/", "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
        "ftp://example.com/a", "file:///etc/passwd", "gopher://example.com/", "//example.com/a", "example.com/a", "",
        "http://", "http:///a", "http:example.com", "http://user@example.com/", "http://user:secret@example.com/",
        "http://@example.com/", "http://:@example.com/", "http://exa mple.com/", "http://example.com/a b",
        "http://example.com\\@127.0.0.1/", "http://example.com/\r\nHost: x", "http://example.com/\x00",
        "http://example.com:0/", "http://example.com:65536/", "http://example.com:-1/", "http://example.com:x/",
        "http://ex%61mple.com/", "http://a%40b/", "http://exa_mple.com\u2028/", "http://" + "a" * 254 + "/",
        "http://example.com/" + "a" * 8000,
    ],
)  # fmt: skip
def test_odd_forms_are_refused_whoever_may_be_called(url, allow_private):
    with pytest.raises(AddressError) as caught:
        check_url(url, allow_private=allow_private)
    assert "secret" not in str(caught.value.lines())


def test_dots_of_other_scripts_do_not_hide_an_address():
    with pytest.raises(AddressError):
        check_url("http://127。0。0。1/", allow_private=False)


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("HTTP://Example.COM:80/a?b=c#d", "http://example.com/a?b=c#d"),
        ("https://example.com?to=a@b.c", "https://example.com?to=a@b.c"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
        ("https://example.com./a", "https://example.com./a"),
    ],
)
def test_usual_forms_are_accepted(url, called):
    assert str(check_url(url, allow_private=False).copy_with(fragment=None)) == called.partition("#")[0]


def test_only_scheme_host_and_port_are_shown():
    url = check_url("https://example.com:8443/hooks/T0K3N?signature=abc", allow_private=False)
    assert shown(url) == "https://example.com:8443"

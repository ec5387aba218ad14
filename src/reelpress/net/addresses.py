"""Which URLs and which addresses may be called; pure, nothing is looked up here.

A URL is read once, by httpx, and what httpx read is what is called: two readers that disagree about where the host
ends are how filters are walked around. A host is a name or an address in its one usual form. ``0x7f.1``, ``2130706433``
and ``0177.0.0.1`` are all 127.0.0.1 to a resolver, and nobody who means well writes them.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TypeAlias

import httpx

from reelpress.errors import AddressError, PrivateAddressError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
MAX_URL_CHARS = 8000

# IANA's registries of special-purpose addresses, written out: what the standard library calls global differs between
# Python's patch releases. 168.63.129.16 is public by its number and the host's own agent in Azure.
_NOT_PUBLIC_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "168.63.129.16/32",
        ),
    )
)  # fmt: skip
# Of IPv6 only the part that is given out to networks is public, less what tunnels and documents took of it.
_GIVEN_OUT_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_HOST = re.compile(r"[A-Za-z0-9_.-]+")
_END_OF_HOST = re.compile(r"[/?#]")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f\\]")


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the public Internet.

    An IPv4 address inside an IPv6 one (mapped, or of NAT64) counts as itself. Tunnels (6to4, Teredo) are refused.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id is not None:
        return False
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GIVEN_OUT_6 and not any(address in network for network in _NOT_PUBLIC_6)


def check_address(text: str, *, allow_private: bool) -> str:
    """Return an address that may be called, as a resolver wrote it.

    Raises :class:`PrivateAddressError` when it is not public and ``allow_private`` is not set.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise AddressError("A name leads to something that is no address.") from None
    if not allow_private and not is_public(address):
        raise PrivateAddressError(
            "This address is not a public one.", evidence=str(address), hint="name a server that the Internet can reach"
        )
    return text


def check_url(url: str, *, allow_private: bool) -> httpx.URL:
    """Return a URL as it will be called: http or https, a host in its usual form, no credentials.

    An address in place of a name is checked here; a name only when it is called. Raises :class:`AddressError`.
    """
    if len(url) > MAX_URL_CHARS or not url.isprintable() or _NOT_IN_URLS.search(url):
        raise _malformed(f"longer than {MAX_URL_CHARS} characters, or with spaces, backslashes or controls")
    try:
        read = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        raise _malformed("not a URL") from None
    if read.scheme not in {"http", "https"}:
        raise AddressError("Only http and https addresses are called.", evidence=ascii(read.scheme[:20]))
    if read.userinfo or "@" in _END_OF_HOST.split(url.partition("//")[2])[0]:
        raise AddressError("A URL with credentials is not accepted.", hint="use a signed URL instead")
    if read.port is not None and not 0 < read.port < 2**16:
        raise _malformed("its port is not from 1 to 65535")
    _check_host(read.raw_host.decode("ascii", "replace"), allow_private=allow_private)
    return read


def shown(url: httpx.URL) -> str:
    """Return what of a URL may be told: scheme, host and port. Path and query may hold secrets."""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _check_host(host: str, *, allow_private: bool) -> None:
    if ":" in host:
        if "%" in host:
            raise AddressError("An address with a zone is not accepted.")
        check_address(host, allow_private=allow_private)
    elif not _HOST.fullmatch(host) or len(host) > 253:
        raise _malformed("its host is neither a name nor an address")
    elif _NUMBER.fullmatch(host.rstrip(".").rsplit(".", 1)[-1]):  # so no name: top-level domains are not numbers
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise AddressError(
                "This form of an IPv4 address is not accepted.", hint="write four numbers from 0 to 255"
            ) from None
        check_address(host, allow_private=allow_private)


def _malformed(why: str) -> AddressError:
    return AddressError("This URL is not accepted.", evidence=why)

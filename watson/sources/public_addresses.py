"""Which network addresses a picture may be fetched from: public ones, and those of networks that the settings name.

Lists come from other people. An address in one may name the cloud's metadata service (169.254.169.254), a database
without a password on the workers' own network, or the worker itself, in many spellings, by a name that resolves to it,
or by a name that resolves to something harmless when it is looked at and to something else when it is connected to. So
what is checked is what is connected to: the numbers, at each connection.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

import aiohttp

from watson.errors import ReasonCode, Refused

__all__ = ["Address", "Network", "PublicConnector", "is_public", "networks_of"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NOBODYS = (
    # "Global" for the module ipaddress, and yet no server's on the internet, or a way into a provider's inside.
    # Source: learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    # Azure's WireServer, which gives a virtual machine its settings and certificates.
    ipaddress.IPv4Network("168.63.129.16/32"),
    # Source: RFC 6890, section 2.2.2: IETF protocol assignments. Of these 192.0.0.192 is Oracle Cloud's former metadata
    # service; Python 3.11 takes only a part of the network for private.
    ipaddress.IPv4Network("192.0.0.0/24"),
    # Source: RFC 7526, section 5: relays of 6to4, no longer to be used.
    ipaddress.IPv4Network("192.88.99.0/24"),
)
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))  # RFC 6052, RFC 8215


def networks_of(text: str) -> tuple[Network, ...]:
    """Networks, separated by commas: ``10.1.0.0/16, fd00::/8``.

    Raises:
        ValueError: one is none; says which.
    """
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_public(address: Address) -> bool:
    """Whether anybody on the internet has it, rather than this host, its network or nobody.

    An IPv6 address that stands for an IPv4 address is as public as that.
    """
    return all(
        one.is_global and not (one.is_multicast or one.is_reserved or one.is_unspecified)
        and not (isinstance(one, ipaddress.IPv6Address) and one.is_site_local)
        and not any(one in network for network in _NOBODYS)
        for one in _meanings(address)
    )  # fmt: skip


def _meanings(address: Address) -> Iterator[Address]:
    """The address, and the IPv4 addresses that it may lead to."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:  # only another way to write it
        yield address.ipv4_mapped
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in _NAT64) or int(address) < 2**32:
        yield ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)


class PublicConnector(aiohttp.TCPConnector):
    """Connects to public addresses, and to those of ``allowed``; refuses names that resolve to any other."""

    def __init__(self, allowed: Iterable[Network], **options: Any) -> None:
        super().__init__(**options)
        self._allowed = tuple(allowed)

    async def _resolve_host(self, host: str, port: int, traces: Any = None) -> list[Any]:
        """What aiohttp is about to connect to: it asks here for names and for numbers alike, and connects to these."""
        found = await super()._resolve_host(host, port, traces)
        for one in found:
            address = ipaddress.ip_address(str(one["host"]))
            if not self._may_be_reached(address):
                raise Refused(
                    ReasonCode.ACCESS_DENIED,
                    f"host {host} is at {address}, which is not a public address; WATSON_HTTP_NETWORKS names networks "
                    "that may be reached all the same",
                )
        return found

    def _may_be_reached(self, address: Address) -> bool:
        meant = getattr(address, "ipv4_mapped", None) or address
        return is_public(address) or any(meant in network for network in self._allowed)

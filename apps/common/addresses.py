"""Which network addresses the hub may dial when somebody else chose where to call (OWASP API7:2023, SSRF).

A subscriber names the address the hub posts to. Left alone, that address could name the hub's own database, a cloud's
metadata service or a printer in the office. So only addresses of the public internet are dialled, and what an
installation adds by `SUBSCRIBER_NETWORKS`. A name is checked by what it resolves to *at the moment of dialling*
(`common/http.py`): what it resolved to earlier proves nothing.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")  # RFC 8215: where they lead, only the local network knows
IPV4_COMPATIBLE = IPv6Network("::/96")  # deprecated (RFC 4291 §2.5.5.1), still understood by some stacks
# Not routed, or routed to no single host, and not all known to `is_global` of every Python the hub runs on.
NEVER_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "100.64.0.0/10", "168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15"),
        *("224.0.0.0/4", "240.0.0.0/4"),
        *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16"),
    )
)


def may_dial(text: str, also: Iterable[Network] = ()) -> bool:
    """Tell whether an address that a stranger's name resolved to may be dialled.

    text: the address as getaddrinfo gives it, e.g. `93.184.215.14` or `fe80::1%eth0`.
    also: networks this installation allows besides the public internet.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    inner = embedded(address)
    return _is_allowed(address, also) and (inner is None or _is_allowed(inner, also))


def embedded(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to (mapped, compatible, 6to4, NAT64); None without one."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address in NAT64 or (address in IPV4_COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _is_allowed(address: Address, also: Iterable[Network]) -> bool:
    if any(address in network for network in also if network.version == address.version):
        return True
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped or address in NAT64:
            return True  # what counts is the address inside, and that is asked as well
        if address in IPV4_COMPATIBLE or address in NAT64_LOCAL or address.scope_id:
            return False
    is_special = any(address in network for network in NEVER_PUBLIC if network.version == address.version)
    return address.is_global and not is_special

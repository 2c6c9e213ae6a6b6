"""Which addresses a stranger may send the hub to."""

from ipaddress import ip_network

import pytest

from apps.common.addresses import may_dial

PUBLIC = ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]

NOT_PUBLIC = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd00:ec2::254"],
    "link-local and metadata": ["169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fec0::1"],
    "metadata of other clouds": ["100.100.100.200", "168.63.129.16", "192.0.0.192"],
    "carrier-grade NAT, benchmarks": ["100.64.0.1", "100.127.255.255", "198.18.0.1"],
    "multicast, broadcast, reserved": ["224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1", "ff02::1"],
    "documentation": [
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "2001:db8::1",
        "3fff::1",
    ],
    "IPv4 mapped": ["::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::ffff:0.0.0.0"],
    "IPv4 compatible": ["::7f00:1", "::127.0.0.1", "::8.8.8.8"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"],
    "6to4": ["2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:a00:1::"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "no address": ["localhost", "127.1", "0x7f.1", "2130706433", "", "1.2.3.4.5"],
}


@pytest.mark.parametrize("text", PUBLIC)
def test_the_public_internet_may_be_dialled(text: str) -> None:
    assert may_dial(text)


@pytest.mark.parametrize(("why", "text"), [(why, text) for why, texts in NOT_PUBLIC.items() for text in texts])
def test_what_is_not_public_may_not(why: str, text: str) -> None:
    assert not may_dial(text)


def test_an_installation_may_add_networks_of_its_own() -> None:
    own = [ip_network("10.1.0.0/16"), ip_network("::1/128")]
    assert may_dial("10.1.2.3", own)
    assert may_dial("::ffff:10.1.2.3", own)
    assert may_dial("::1", own)
    assert not may_dial("10.2.0.1", own)
    assert not may_dial("::ffff:10.2.0.1", own)

"""Which addresses a subscriber may have, in production and in development."""

import pytest
from django.core.exceptions import ValidationError
from pytest_django import Settings

from apps.subscribers import targets

GOOD = [
    "https://erp.example.com/hooks/saldo?tenant=7",
    "https://erp.example.com:8443/",
    "https://93.184.215.14/hook",
    "https://[2606:4700:4700::1111]/hook",
    "https://xn--caf-dma.example/hook",
    "https://a_b.example.com./",
]

BAD = {
    "http://erp.example.com/": "invalid_scheme",
    "ftp://erp.example.com/": "invalid_scheme",
    "file:///etc/passwd": "invalid_scheme",
    "gopher://erp.example.com/": "invalid_scheme",
    "javascript:alert(1)": "invalid_scheme",
    "//erp.example.com/": "invalid_scheme",
    "https:///path": "invalid_scheme",
    "": "invalid_scheme",
    "https://user:pass@erp.example.com/": "invalid_url",
    "https://user@erp.example.com/": "invalid_url",
    "https://good.example.com@127.0.0.1/": "invalid_url",
    "https://erp.example.com/#x": "invalid_url",
    "https://erp.example.com\\@127.0.0.1/": "invalid_url",
    "https://erp.example.com/ x": "invalid_url",
    "https://erp.example.com/\r\nHost: x": "invalid_url",
    "https://café.example/": "invalid_url",
    "https://-x.example/": "invalid_url",
    "https://a..example/": "invalid_url",
    "https://erp.example.com:port/": "invalid_url",
    "https://erp.example.com:99999/": "invalid_url",
    "https://[::1/": "invalid_url",
    "https://erp.example.com:22/": "forbidden_port",
    "https://erp.example.com:6379/": "forbidden_port",
    "https://erp.example.com:80/": "forbidden_port",
    "https://127.0.0.1/": "forbidden_address",
    "https://127.1/": "forbidden_address",
    "https://0/": "forbidden_address",
    "https://0.0.0.0/": "forbidden_address",
    "https://2130706433/": "forbidden_address",
    "https://017700000001/": "forbidden_address",
    "https://0x7f000001/": "forbidden_address",
    "https://0x7f.1/": "forbidden_address",
    "https://169.254.169.254/latest/meta-data/": "forbidden_address",
    "https://10.0.0.1/": "forbidden_address",
    "https://192.168.0.1/": "forbidden_address",
    "https://100.64.0.1/": "forbidden_address",
    "https://224.0.0.1/": "forbidden_address",
    "https://[::1]/": "forbidden_address",
    "https://[::]/": "forbidden_address",
    "https://[fe80::1]/": "forbidden_address",
    "https://[fd00:ec2::254]/": "forbidden_address",
    "https://[::ffff:127.0.0.1]/": "forbidden_address",
    "https://[::ffff:a9fe:a9fe]/": "forbidden_address",
    "https://[64:ff9b::7f00:1]/": "forbidden_address",
    "https://[2002:7f00:1::]/": "forbidden_address",
}


@pytest.fixture
def _production(settings: Settings) -> None:
    settings.SUBSCRIBER_HTTPS_ONLY = True
    settings.SUBSCRIBER_PORTS = frozenset({443, 8443})
    settings.SUBSCRIBER_NETWORKS = []


@pytest.mark.usefixtures("_production")
@pytest.mark.parametrize("url", GOOD)
def test_a_public_https_address_may_be_posted_to(url: str) -> None:
    targets.check(url)


@pytest.mark.usefixtures("_production")
@pytest.mark.parametrize("url", BAD)
def test_any_other_is_refused_with_a_code(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        targets.check(url)
    assert refused.value.code == BAD[url]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/hook", "http://localhost:9000/", "https://erp.example.com/"])
def test_development_may_post_to_itself(url: str) -> None:
    targets.check(url)


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://169.254.169.254/"])
def test_development_does_not_post_to_its_neighbours(url: str) -> None:
    with pytest.raises(ValidationError):
        targets.check(url)

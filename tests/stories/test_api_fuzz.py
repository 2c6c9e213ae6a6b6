"""The whole API, called over HTTP as its own document allows and forbids: no defect, no answer it does not name.

Schemathesis reads /v1/openapi.json, so an address that a room adds is called too, without a word here. The web server
is the real one on the test's database, whose invariants are proven afterwards.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from drf_spectacular.generators import SchemaGenerator
from pytest_django.live_server_helper import LiveServer

from apps.tenants.models import ApiKey
from apps.tenants.scopes import SCOPES
from scripts.launcher import commands
from scripts.launcher.processes import Child
from tests.factories import LocationFactory, ProductFactory, TenantFactory, stocked
from tests.stack import free_port

pytestmark = pytest.mark.slow

CHECKS = [
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "unsupported_method", "allow_header_conformance", "ignored_auth"),
]
CASES_PER_OPERATION = int(os.environ.get("API_FUZZ_CASES", "20"))
CASES_TO_NOTICE = 15
"""Where one case shows what is wrong."""


@pytest.fixture
def key(transactional_db: None) -> str:
    """A key that may do everything, in a shop that has what the document's examples name."""
    tenant = TenantFactory(slug="alice")
    location = LocationFactory(tenant=tenant, code="S1")
    stocked(ProductFactory(tenant=tenant, sku="SKU-001"), location, 1000)
    return ApiKey.issue(tenant, name="fuzz", scopes=list(SCOPES))[1]


@pytest.fixture
def web(key: str, tmp_path: Path) -> Iterator[str]:
    """The web server as `scripts/up` runs it, on this test's database; its address."""
    port = free_port()
    test_database = re.sub(r"//([^/]*)/[^?]*", rf"//\1/{connection.settings_dict['NAME']}", os.environ["DATABASE_URL"])
    environment = {
        **os.environ,
        "DATABASE_URL": test_database,
        "GRANIAN_HOST": "127.0.0.1",
        "GRANIAN_PORT": str(port),
    }
    server = Child("web", [sys.executable, *commands.WEB], environment=environment, log=tmp_path / "web.log")
    server.start()
    try:
        _wait_for(f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()


def _wait_for(url: str) -> None:
    ends_at = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            assert time.monotonic() < ends_at, f"not within 60 s: {url}"
            time.sleep(0.2)


def _fuzz(
    document: str, url: str, key: str, folder: Path, *options: str, cases: int = CASES_PER_OPERATION
) -> subprocess.CompletedProcess[str]:
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", document, "--url", url),
        *("--header", f"Authorization: Bearer {key}", "--checks", ",".join(CHECKS), "--seed", "1"),
        *("--max-examples", str(cases), "--no-color", "--continue-on-failure", "--warnings", "off"),
        *("--suppress-health-check", "all", *options),
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.timeout(1800)
def test_nothing_a_caller_sends_breaks_the_api_or_its_document(web: str, key: str, tmp_path: Path) -> None:
    result = _fuzz(f"{web}/v1/openapi.json", web, key, tmp_path)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
    assert "generated" in result.stdout
    log = (tmp_path / "web.log").read_text()
    assert "api.failed" not in log
    assert "Traceback" not in log


@pytest.mark.timeout(600)
@pytest.mark.urls("tests.tenants.echo_api")
def test_the_fuzz_passes_what_is_right_and_notices_what_is_wrong(
    key: str, live_server: LiveServer, tmp_path: Path
) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(SchemaGenerator().get_schema(request=None, public=True)))
    right = ["--include-path-regex", "^/v1/(echo|who|drf)$"]
    result = _fuzz(str(document), live_server.url, key, tmp_path, *right, cases=CASES_TO_NOTICE)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
    broken = _fuzz(str(document), live_server.url, key, tmp_path, "--include-path", "/v1/broken", cases=CASES_TO_NOTICE)
    assert broken.returncode == 1
    assert "Server error" in broken.stdout
    undocumented = _fuzz(
        str(document), live_server.url, key, tmp_path, "--include-path", "/v1/refused", cases=CASES_TO_NOTICE
    )
    assert undocumented.returncode == 1
    assert "Undocumented status code" in undocumented.stdout

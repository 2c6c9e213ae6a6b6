"""How many calls a second the sandbox answers with 50,000 listings: it must never be what a benchmark measures.

`.venv/bin/python -m benchmarks.sandbox [--limit 500]`: one client alternates writes and searches; prints the rate,
exits 1 below the limit.
"""

import argparse
import http.client
import json
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from apps.sandbox.server import Sandbox

LISTINGS = 50_000
CALLS = 2_000


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=500.0, help="calls a second, at least")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Sandbox(data=Path(folder)) as box:
        application = box.control.application()
        account = box.control.account(client_id=application["client_id"])
        ids = box.control.create_many(account["user_id"], LISTINGS, "P-", 5)
        connection = http.client.HTTPConnection(box.url.removeprefix("http://"))
        form = {
            "grant_type": "refresh_token",
            "client_id": application["client_id"],
            "client_secret": application["client_secret"],
            "refresh_token": account["refresh_token"],
        }
        connection.request(
            "POST", "/oauth/token", urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"}
        )
        headers = {"Authorization": f"Bearer {json.loads(connection.getresponse().read())['access_token']}"}
        began = time.monotonic()
        for number in range(CALLS // 2):
            connection.request("PUT", f"/items/{ids[number * 50]}", b'{"available_quantity":3}', headers)
            connection.getresponse().read()
            search = f"/users/{account['user_id']}/items/search?seller_sku=P-{number + 1:05d}"
            connection.request("GET", search, headers=headers)
            connection.getresponse().read()
        rate = CALLS / (time.monotonic() - began)
    print(f"{rate:.0f} calls a second over {LISTINGS} listings")
    return 0 if rate >= options.limit else 1


if __name__ == "__main__":
    sys.exit(main())

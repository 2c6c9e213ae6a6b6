"""Real answers of the marketplace, given to the whole hub: every one is taken in, waits or is set aside with a reason.

`SALDO_CONTRACT_PAYLOADS=<folder of *.json> pytest tests/stories/test_payloads.py`: such a folder is not part of the
project, for the answers are other people's.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from apps.events import inbox
from apps.events.models import IntegrationEvent
from tests.market import Market, let_time_pass, work_until_quiet

FOLDER = os.environ.get("SALDO_CONTRACT_PAYLOADS", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="SALDO_CONTRACT_PAYLOADS names no folder of captured answers")

PLACES = {
    r"error_|order_|orders_": "^/orders/[0-9]+$",
    r"shipment_": "^/shipments/[0-9]+$",
    r"pack_": "^/packs/",
    r"billing_": "^/orders/billing-info/",
    r"item": "^/items/",
    r"user_product": "^/user-products/",
}
"""Where an answer would be given, by the beginning of its file's name."""


def _status_of(name: str) -> int:
    """Return the HTTP status that a file's name tells, such as `error_403_x.json`."""
    told = re.search(r"_([45]\d\d)(_|\.)", name)
    return int(told[1]) if told else 200


def _notice(market: Market, order_id: int) -> dict[str, Any]:
    return {
        "topic": "orders_v2",
        "resource": f"/orders/{order_id}",
        "user_id": market.seller_id,
        "application_id": int(market.connector.client_id),
    }


@pytest.mark.timeout(600)
def test_every_captured_answer_is_handled(market: Market) -> None:
    files = sorted(Path(FOLDER).glob("*.json"))
    assert files
    market.control.notifications(enabled=False)
    market.receive("SHIRT", 1000)
    work_until_quiet()
    for file in files:
        content = json.loads(file.read_bytes())
        places = [place for name, place in PLACES.items() if re.match(name, file.name)]
        market.control.clear_faults()
        for place in places:
            market.control.faults(
                {"path": place, "action": "status", "status": _status_of(file.name), "body": content, "method": "GET"}
            )
        sale = int(market.sell("SHIRT", pack=True, shipment={"substatus": "ready_to_print"}))
        body = (
            file.read_bytes() if file.name.startswith("notification_") else json.dumps(_notice(market, sale)).encode()
        )
        inbox.store(market.connector, body)
        work_until_quiet()
        market.control.clear_faults()
        let_time_pass()
        work_until_quiet()
        wrong = IntegrationEvent.objects.filter(error_code="internal_error")
        assert not wrong.exists(), f"{file.name}: {wrong[0].error_msg}"

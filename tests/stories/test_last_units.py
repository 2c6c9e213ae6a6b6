"""Many buyers of the last units, over HTTP and against the web server as `scripts/up` runs it."""

import pytest

from benchmarks.last_units import play
from benchmarks.service import running_service

pytestmark = pytest.mark.slow

BUYERS, UNITS, ROUNDS = 500, 100, 3


def test_five_hundred_buyers_at_once_get_exactly_the_hundred_units_there_are() -> None:
    with running_service() as service:
        made = service.call("shop", skus=ROUNDS, units=UNITS)
        rounds = play(service.port, made["key"], rounds=ROUNDS, buyers=BUYERS)
        is_proven = service.is_proven()
    assert [(one.accepted, one.refused) for one in rounds] == [(UNITS, BUYERS - UNITS)] * ROUNDS
    assert [one.left for one in rounds] == [(UNITS, UNITS, 0)] * ROUNDS, "on hand, reserved, available"
    assert is_proven

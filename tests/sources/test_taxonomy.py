"""What each movement type does to stock: one row a type, told over HTTP."""

import pytest

from apps.sources.models import MovementType
from apps.sources.taxonomy import EFFECTS
from tests.sources.conftest import Teller

ROWS = [
    # type, quantity as told, further data -> ledger kind, change on hand
    ("RECEIPT", "5", {}, "RECEIPT", 5),
    ("RECEIPT", 5, {"unit_cost": "12.50"}, "RECEIPT", 5),
    ("RECEIPT", "5.000", {}, "RECEIPT", 5),
    ("RECEIPT_REVERSAL", "5", {}, "ADJUSTMENT", -5),
    ("RECEIPT_REVERSAL", "-5", {}, "ADJUSTMENT", -5),
    ("RETURN_TO_SUPPLIER", "2", {}, "ADJUSTMENT", -2),
    ("SALE", "1", {}, "SALE", -1),
    ("SALE", "-1", {}, "SALE", -1),
    ("RETURN", "1", {}, "RETURN", 1),
    ("TRANSFER_OUT", "-4", {"to_location": "CD1", "transfer_id": "T"}, "TRANSFER_OUT", -4),
    ("TRANSFER_IN", "4", {"from_location": "CD1", "transfer_id": "T"}, "TRANSFER_IN", 4),
    ("TRANSFER_IN", "4", {"transfer_id": "T"}, "TRANSFER_IN", 4),
    ("ADJUSTMENT", "+3", {}, "ADJUSTMENT", 3),
    ("ADJUSTMENT", "-3", {}, "ADJUSTMENT", -3),
    ("DAMAGE", "1", {}, "LOSS", -1),
    ("DAMAGE", "1", {"stock_status": "DAMAGED"}, "LOSS", -1),
    ("LOSS", "-1", {}, "LOSS", -1),
    ("THEFT", "1", {}, "LOSS", -1),
    ("PRODUCTION", "6", {}, "RECEIPT", 6),
    ("CONSUMPTION", "6", {}, "ADJUSTMENT", -6),
    ("OPENING", "9", {}, "RECEIPT", 9),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("movement_type", "quantity", "data", "kind", "change"), ROWS)
def test_a_type_does_to_stock_what_its_row_says(
    teller: Teller, movement_type: str, quantity: object, data: dict[str, object], kind: str, change: int
) -> None:
    [result] = teller.tell(teller.event(movement_type, quantity, **data))
    assert result["status"] == "accepted", result
    assert teller.movements() == [(kind, change)]
    assert teller.on_hand() == change


def test_every_type_has_an_effect_and_a_row() -> None:
    assert set(EFFECTS) == set(MovementType)
    assert {row[0] for row in ROWS} | {"COUNT", "TRANSFER"} == set(MovementType.values)


@pytest.mark.django_db
def test_a_transfer_that_tells_both_ends_moves_both(teller: Teller) -> None:
    assert [r["status"] for r in teller.tell(teller.event("TRANSFER", 4, to_location="CD1"))] == ["accepted"]
    assert (teller.on_hand(), teller.on_hand(location=teller.depot)) == (-4, 4)


@pytest.mark.django_db
def test_a_return_that_cannot_be_sold_is_noted_and_moves_nothing(teller: Teller) -> None:
    [result] = teller.tell(teller.event("RETURN", 1, stock_status="QUALITY_CONTROL"))
    assert (result["status"], result["code"], teller.movements()) == ("recorded", "not_sellable", [])


@pytest.mark.django_db
def test_a_batch_number_goes_into_the_ledger(teller: Teller) -> None:
    batch = {"number": "L-77", "expires_at": "2031-01-01T00:00:00Z"}
    teller.tell(teller.event("RECEIPT", 5, batch=batch), teller.event("SALE", 2))
    assert teller.on_hand() == 3

"""What comes of events: applied once, told apart from duplicates and conflicts, one bad one spoiling only itself."""

import pytest
from django.core.management import call_command
from django.utils import timezone

from apps.inventory import ledger
from apps.inventory.models import Movement, Transfer
from apps.inventory.refusals import StockBusy
from apps.sources import retry
from apps.sources.models import SourceAuthority, SourceClaim, SourceConflict, SourceEvent
from tests.factories import LocationFactory, ProductFactory
from tests.sources.conftest import ERP, POS, Teller, open_teller

pytestmark = pytest.mark.django_db


def test_a_sale_that_a_till_tells_leaves_the_shelf(teller: Teller) -> None:
    sale = teller.event(
        "SALE",
        "-3",
        document={"type": "NFCE", "key": "3526", "line": 3},
        actor={"kind": "operator", "id": 1042, "name": "Maria"},
        unit_cost="19.90",
    )
    answer = teller.push([sale])
    assert (answer["accepted"], answer["rejected"]) == (1, [])
    assert teller.on_hand() == -3
    event = teller.stored(sale)
    assert (event.status, event.quantity, event.movement_ids) == ("APPLIED", -3, answer["results"][0]["movement_ids"])
    movement = Movement.objects.get(pk=event.movement_ids[0])
    assert (movement.reference_type, movement.reference_id, movement.reference_line) == ("NFCE", "3526", "3")
    assert (movement.source, movement.source_key) == (POS, sale["id"])
    assert movement.actor == f"source:{event.source_id}:operator:1042"
    assert str(movement.unit_cost) == "19.9000"
    assert "Maria" not in str(event.payload)  # no more of a person than is needed


# --- told twice ---------------------------------------------------------------------------------------------------


def test_the_same_batch_again_moves_nothing_and_answers_the_same(teller: Teller) -> None:
    events = teller.numbered(1, 2, 3)
    first = teller.push(teller.batch(events))
    again = teller.push(teller.batch(events))
    assert (first["accepted"], again["accepted"], again["duplicates"]) == (3, 0, 3)
    assert [r["movement_ids"] for r in again["results"]] == [r["movement_ids"] for r in first["results"]]
    assert (first["ack_seq"], again["ack_seq"]) == (3, 3)
    assert teller.on_hand() == -3


def test_an_event_twice_in_one_batch_moves_once(teller: Teller) -> None:
    sale = teller.event()
    assert [result["status"] for result in teller.tell(sale, sale)] == ["accepted", "duplicate"]
    assert teller.on_hand() == -1


def test_the_order_of_fields_makes_no_other_event(teller: Teller) -> None:
    sale = teller.event()
    teller.tell(sale)
    turned = {**dict(reversed(sale.items())), "data": dict(reversed(sale["data"].items()))}
    assert [result["status"] for result in teller.tell(turned)] == ["duplicate"]


def test_the_same_id_from_another_source_is_another_event(teller: Teller) -> None:
    sale = teller.event()
    teller.tell(sale)
    assert [result["status"] for result in teller.tell({**sale, "source": ERP})] == ["accepted"]


def test_another_payload_under_a_taken_id_is_kept_and_never_applied(teller: Teller) -> None:
    sale = teller.event("SALE", 1)
    other = {**sale, "data": {**sale["data"], "quantity": 5}}
    teller.tell(sale)
    for _ in range(2):
        answer = teller.push([other])
        assert answer["results"][0]["status"] == "conflict"
        assert answer["rejected"][0]["code"] == "event_id_reused"
    assert [result["status"] for result in teller.tell(sale)] == ["duplicate"]
    assert teller.on_hand() == -1
    assert SourceConflict.objects.get().payload["data"]["quantity"] == 5


def test_two_payloads_under_one_id_in_one_batch_apply_the_first(teller: Teller) -> None:
    sale = teller.event("SALE", 1)
    statuses = [r["status"] for r in teller.tell(sale, {**sale, "data": {**sale["data"], "quantity": 5}})]
    assert (statuses, teller.on_hand()) == (["accepted", "conflict"], -1)


def test_a_sale_told_by_the_till_and_by_the_erp_moves_once(teller: Teller) -> None:
    live = teller.event(business_key="S1|02|88412|3")
    copy = teller.event(business_key="S1|02|88412|3", source=ERP)
    teller.tell(live)
    [result] = teller.tell(copy)
    assert (result["status"], result["code"]) == ("duplicate", "told_before")
    assert teller.stored(copy).same_as_id == teller.stored(live).pk
    assert teller.on_hand() == -1


def test_both_copies_in_one_batch_move_once(teller: Teller) -> None:
    events = [teller.event(business_key="K"), teller.event(business_key="K", source=ERP)]
    assert [result["status"] for result in teller.tell(*events)] == ["accepted", "duplicate"]
    assert teller.stored(events[1]).same_as_id == teller.stored(events[0]).pk


def test_a_copy_that_says_something_else_is_shown(teller: Teller) -> None:
    teller.tell(teller.event("SALE", 1, business_key="K"))
    [result] = teller.tell(teller.event("SALE", 2, business_key="K", source=ERP))
    assert (result["status"], result["code"]) == ("duplicate", "told_differently")
    assert teller.on_hand() == -1


def test_one_business_key_may_name_a_sale_and_its_return(teller: Teller) -> None:
    statuses = [
        r["status"] for r in teller.tell(teller.event(business_key="K"), teller.event("RETURN", business_key="K"))
    ]
    assert (statuses, teller.on_hand()) == (["accepted", "accepted"], 0)


def test_another_tenants_business_key_is_its_own(teller: Teller) -> None:
    stranger = open_teller()
    teller.tell(teller.event(business_key="K"))
    assert [result["status"] for result in stranger.tell(stranger.event(business_key="K"))] == ["accepted"]


# --- one bad event ------------------------------------------------------------------------------------------------


def test_one_bad_event_holds_up_no_other(teller: Teller) -> None:
    good, bad = teller.numbered(1, 3), teller.event(sequence=2, id="bad")
    del bad["data"]["quantity"]
    answer = teller.push(teller.batch([good[0], bad, good[1]]))
    assert answer["accepted"] == 2
    assert [(r["index"], r["event_id"], r["code"]) for r in answer["rejected"]] == [(1, "bad", "malformed_event")]
    assert "quantity" in answer["rejected"][0]["detail"]
    assert answer["ack_seq"] == 3  # it is stored: the sender may forget it
    assert teller.stored("bad").status == "REJECTED"


BAD = {
    "no object": lambda event: 7,
    "a word for a number": lambda event: {**event, "data": {**event["data"], "quantity": "three"}},
    "no time": lambda event: {name: value for name, value in event.items() if name != "time"},
    "a time without a zone": lambda event: {**event, "time": "2026-11-22T10:00:00"},
    "a time of the last century": lambda event: {**event, "time": "1999-01-01T00:00:00Z"},
    "a time past every calendar": lambda event: {**event, "time": "9999-12-31T23:59:59Z"},
    "another CloudEvents version": lambda event: {**event, "specversion": "0.3"},
    "a NUL character": lambda event: {**event, "data": {**event["data"], "sku": "A\0B"}},
    "a NUL character in its id": lambda event: {**event, "id": "A\0B"},
    "a number of huge size": lambda event: {**event, "data": {**event["data"], "quantity": 10**30}},
    "a sequence that is none": lambda event: {**event, "sequence": "one"},
    "an id too long": lambda event: {**event, "id": "x" * 201},
    "no id": lambda event: {**event, "id": ""},
    "data that is a list": lambda event: {**event, "data": [event["data"]]},
    "a list of lists": lambda event: [[event]],
    "a fraction of a unit": lambda event: {**event, "data": {**event["data"], "quantity": "1.5"}},
    "a unit that is not kept": lambda event: {**event, "data": {**event["data"], "uom": "KG"}},
    "a type that is not known": lambda event: {**event, "data": {**event["data"], "movement_type": "GIFT"}},
    "a promise": lambda event: {**event, "data": {**event["data"], "movement_type": "RESERVE"}},
    "a count without a moment": lambda event: {**event, "data": {**event["data"], "movement_type": "COUNT"}},
    "an absolute sale": lambda event: {**event, "data": {**event["data"], "mode": "ABSOLUTE"}},
    "a receipt of less than nothing": lambda event: {
        **event,
        "data": {**event["data"], "movement_type": "RECEIPT", "quantity": -1},
    },
    "a sale of nothing": lambda event: {**event, "data": {**event["data"], "quantity": 0}},
    "a transfer to nowhere": lambda event: {**event, "data": {**event["data"], "movement_type": "TRANSFER"}},
    "more than can be": lambda event: {**event, "data": {**event["data"], "quantity": 10**10}},
}


@pytest.mark.parametrize("what", BAD)
def test_an_event_that_cannot_be_taken_is_refused_alone_and_kept(teller: Teller, what: str) -> None:
    good = teller.event()
    batch = teller.batch([BAD[what](teller.event()), good], first_seq=1, last_seq=2)
    answer = teller.push(batch)
    assert [result["status"] for result in answer["results"]] == ["rejected", "accepted"], answer
    assert (answer["ack_seq"], answer["gaps"], teller.on_hand()) == (2, [], -1)
    assert answer["rejected"][0]["detail"]
    again = teller.push(batch)
    assert [result["status"] for result in again["results"]] == ["rejected", "duplicate"]
    assert sorted(SourceEvent.objects.values_list("status", flat=True)) == ["APPLIED", "REJECTED"]


def test_a_rejected_event_may_be_mended_under_its_id(teller: Teller) -> None:
    sale = teller.event(sequence=1)
    broken = {**sale, "data": {**sale["data"], "quantity": "1.5"}}
    assert [result["status"] for result in teller.tell(broken, broken)] == ["rejected", "rejected"]
    assert [result["status"] for result in teller.tell(sale)] == ["accepted"]
    assert [result["status"] for result in teller.tell(sale)] == ["duplicate"]
    assert teller.on_hand() == -1


def test_an_event_without_a_source_is_nobodys(teller: Teller) -> None:
    nobodys = teller.event()
    del nobodys["source"]
    answer = teller.push([nobodys, teller.event(source="x" * 65)])
    assert [r["code"] for r in answer["rejected"]] == ["invalid_source", "invalid_source"]
    assert not SourceEvent.objects.exists()


# --- waiting for something to be mended ---------------------------------------------------------------------------


def test_a_sale_of_an_unknown_sku_waits_and_is_applied_when_there_is_one(teller: Teller) -> None:
    sale = teller.event(sku="HAT", sequence=1)
    answer = teller.push([sale])
    assert (answer["rejected"][0]["code"], answer["rejected"][0]["retry"], answer["ack_seq"]) == (
        "unknown_sku",
        False,
        1,
    )
    assert retry.again_what_is_mended() == 0
    hat = ProductFactory(tenant=teller.tenant, sku="HAT")
    assert retry.again_what_is_mended() == 1
    assert (teller.stored(sale).status, teller.on_hand(hat)) == ("APPLIED", -1)
    assert [result["status"] for result in teller.tell(sale)] == ["duplicate"]


def test_a_sale_at_an_unknown_place_waits(teller: Teller) -> None:
    moved = teller.event("TRANSFER", 2, to_location="S9")
    assert teller.push([moved])["rejected"][0]["code"] == "unknown_location"
    place = LocationFactory(tenant=teller.tenant, code="S9")
    assert retry.again_what_is_mended() == 1
    assert (teller.on_hand(), teller.on_hand(location=place)) == (-2, 2)


def test_a_sale_of_an_unknown_gtin_waits_until_exactly_one_product_carries_it(teller: Teller) -> None:
    sale = teller.event(sku="", gtin="7890000000017")
    assert teller.push([sale])["rejected"][0]["code"] == "unknown_sku"
    assert retry.again_what_is_mended() == 0
    hat = ProductFactory(tenant=teller.tenant, sku="HAT", gtin="7890000000017")
    twin = ProductFactory(tenant=teller.tenant, sku="HAT-2", gtin="7890000000017")
    assert retry.again_what_is_mended() == 0  # neither of the two
    twin.delete()
    assert retry.again_what_is_mended() == 1
    assert (teller.stored(sale).status, teller.on_hand(hat)) == ("APPLIED", -1)


def test_a_strangers_gtin_mends_nothing(teller: Teller) -> None:
    teller.tell(teller.event(sku="", gtin="7890000000017"))
    ProductFactory(tenant=open_teller().tenant, gtin="7890000000017")
    assert retry.again_what_is_mended() == 0


@pytest.mark.parametrize(
    ("movement_type", "unused"),
    [("SALE", "to_location"), ("SALE", "from_location"), ("TRANSFER_OUT", "from_location")],
)
def test_a_place_that_the_type_does_not_use_holds_nothing_back(teller: Teller, movement_type: str, unused: str) -> None:
    told = teller.event(movement_type, location="S9", **{unused: "NOWHERE"})
    assert teller.push([told])["rejected"][0]["code"] == "unknown_location"
    assert retry.again_what_is_mended() == 0
    place = LocationFactory(tenant=teller.tenant, code="S9")
    assert retry.again_what_is_mended() == 1
    assert (teller.stored(told).status, teller.on_hand(location=place)) == ("APPLIED", -1)


def test_a_place_that_the_type_uses_is_waited_for(teller: Teller) -> None:
    arrives = teller.event("TRANSFER_IN", location="S9", from_location="CD9")
    assert teller.push([arrives])["rejected"][0]["code"] == "unknown_location"
    LocationFactory(tenant=teller.tenant, code="S9")
    assert retry.again_what_is_mended() == 0
    LocationFactory(tenant=teller.tenant, code="CD9")
    assert retry.again_what_is_mended() == 1
    assert teller.stored(arrives).status == "APPLIED"


def test_what_still_misses_something_else_says_so_and_goes_on_waiting(teller: Teller) -> None:
    sale = teller.event(sku="HAT", location="S9")
    teller.tell(sale)
    ProductFactory(tenant=teller.tenant, sku="HAT")
    assert (retry.again_what_is_mended(), teller.stored(sale).code) == (1, "unknown_location")
    assert retry.again_what_is_mended() == 0


def test_what_the_ledger_was_too_busy_for_is_tried_again_by_itself(
    teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    sale = teller.event(business_key="K")
    with monkeypatch.context() as busy:
        busy.setattr(ledger, "post", lambda tenant, moves: [StockBusy() for _move in moves])
        assert teller.push([sale])["rejected"][0]["code"] == "stock_busy"
    assert not SourceClaim.objects.exists()  # another system may tell the fact meanwhile
    assert retry.again_what_is_mended() == 1
    assert (teller.stored(sale).status, teller.on_hand()) == ("APPLIED", -1)


def test_the_command_retries_what_waits(teller: Teller, capsys: pytest.CaptureFixture[str]) -> None:
    sale = teller.event(sku="HAT")
    teller.tell(sale)
    ProductFactory(tenant=teller.tenant, sku="HAT")
    call_command("retry_source_events", "--code", "unknown_sku", "--json")
    assert '{"tried": 1, "APPLIED": 1}' in capsys.readouterr().out


def test_a_product_is_found_by_its_gtin_when_the_sku_is_not_ours(teller: Teller) -> None:
    assert [r["status"] for r in teller.tell(teller.event(sku="000045821", gtin="7891234567895"))] == ["accepted"]
    assert teller.on_hand() == -1


def test_a_gtin_of_two_products_is_neither(teller: Teller) -> None:
    ProductFactory(tenant=teller.tenant, gtin="7891234567895")
    assert teller.push([teller.event(sku="?", gtin="7891234567895")])["rejected"][0]["code"] == "unknown_sku"


def test_a_strangers_product_is_not_found(teller: Teller) -> None:
    ProductFactory(tenant=open_teller().tenant, sku="HAT")
    assert teller.push([teller.event(sku="HAT")])["rejected"][0]["code"] == "unknown_sku"


# --- authority ----------------------------------------------------------------------------------------------------


def test_only_the_source_whose_word_counts_moves_stock(teller: Teller) -> None:
    SourceAuthority.objects.create(
        tenant=teller.tenant, movement_type="SALE", location=teller.store, source_name="/loja-07/"
    )
    live, copy = teller.event(business_key="K"), teller.event(business_key="K", source=ERP)
    assert [(r["status"], r["code"]) for r in teller.tell(copy)] == [("recorded", "not_authoritative")]
    assert [r["status"] for r in teller.tell(live)] == ["accepted"]
    assert [r["status"] for r in teller.tell(teller.event("RECEIPT", source=ERP))] == ["accepted"]
    assert [r["status"] for r in teller.tell(teller.event(source=ERP, location="CD1"))] == ["accepted"]
    assert teller.on_hand() == 0


def test_the_most_particular_rule_rules(teller: Teller) -> None:
    for movement_type, location, name in [
        ("", None, ERP),
        ("SALE", None, "/nobody"),
        ("", teller.store, "/nobody"),
        ("SALE", teller.store, POS),
    ]:
        SourceAuthority.objects.create(
            tenant=teller.tenant, movement_type=movement_type, location=location, source_name=name
        )
    told = {
        "sale at the store": teller.event(),
        "receipt at the store": teller.event("RECEIPT"),
        "sale at the depot": teller.event(location="CD1"),
        "receipt at the depot": teller.event("RECEIPT", location="CD1", source=ERP),
    }
    statuses = [result["status"] for result in teller.tell(*told.values())]
    assert statuses == ["accepted", "recorded", "recorded", "accepted"]


# --- reversals ----------------------------------------------------------------------------------------------------


def test_a_reversal_puts_back_what_the_event_took_once(teller: Teller) -> None:
    sale = teller.event("SALE", 3)
    teller.tell(sale)
    undo = teller.event("SALE", 3, reverses_event_id=sale["id"])
    assert [result["status"] for result in teller.tell(undo)] == ["accepted"]
    again = teller.event("SALE", 3, reverses_event_id=sale["id"], source=ERP)
    assert [(r["status"], r["code"]) for r in teller.tell(again)] == [("duplicate", "already_reversed")]
    assert teller.on_hand() == 0
    movement = Movement.objects.get(pk=teller.stored(undo).movement_ids[0])
    assert (movement.reverses_id, movement.occurred_at) == (
        teller.stored(sale).movement_ids[0],
        teller.stored(sale).occurred_at,
    )


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_reversal_in_the_batch_of_its_event_is_applied_after_it(teller: Teller, order: tuple[int, int]) -> None:
    sale = teller.event("SALE", 3)
    events = [sale, teller.event("SALE", 3, reverses_event_id=sale["id"])]
    assert [result["status"] for result in teller.tell(*(events[n] for n in order))] == ["accepted", "accepted"]
    assert teller.on_hand() == 0


def test_a_reversal_that_comes_first_waits_for_its_event(teller: Teller) -> None:
    sale = teller.event("SALE", 3)
    undo = teller.event("SALE", 3, reverses_event_id=sale["id"])
    assert teller.push([undo])["rejected"][0]["code"] == "unknown_event"
    teller.tell(sale)
    assert retry.again_what_is_mended() == 1
    assert (teller.stored(undo).status, teller.on_hand()) == ("APPLIED", 0)


def test_the_reversal_of_a_copy_reverses_the_fact(teller: Teller) -> None:
    live, copy = teller.event(business_key="K"), teller.event(business_key="K", source=ERP)
    teller.tell(live, copy)
    undo = teller.event(business_key="K", source=ERP, reverses_event_id=copy["id"])
    late = teller.event(business_key="K", reverses_event_id=live["id"])
    assert [result["status"] for result in teller.tell(undo, late)] == ["accepted", "duplicate"]
    assert teller.on_hand() == 0


def test_a_part_cannot_be_reversed(teller: Teller) -> None:
    sale = teller.event("SALE", 3)
    teller.tell(sale)
    answer = teller.push([teller.event("SALE", 1, reverses_event_id=sale["id"])])
    assert (answer["rejected"][0]["code"], teller.on_hand()) == ("reversal_differs", -3)


def test_a_count_cannot_be_reversed(teller: Teller) -> None:
    counted = teller.counted(5, timezone.now())
    teller.tell(counted)
    undo = teller.counted(5, timezone.now(), reverses_event_id=counted["id"])
    assert teller.push([undo])["rejected"][0]["code"] == "not_reversible"


# --- transfers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_in_first", [False, True])
def test_the_two_ends_of_a_transfer_are_joined(teller: Teller, is_in_first: bool) -> None:
    out = teller.event("TRANSFER_OUT", 4, location="CD1", to_location="S1", transfer_id="T-1")
    arrives = teller.event("TRANSFER_IN", 3, document={"type": "NFE", "key": "T-1"}, from_location="CD1")
    for event in [arrives, out] if is_in_first else [out, arrives]:
        assert [result["status"] for result in teller.tell(event)] == ["accepted"]
    transfer = Transfer.objects.get()
    assert (transfer.sent, transfer.received, transfer.in_transit) == (4, 3, 1)
    assert (teller.on_hand(location=teller.depot), teller.on_hand()) == (-4, 3)


def test_a_transfer_that_one_end_cannot_hold_moves_neither_and_spoils_nothing(teller: Teller) -> None:
    huge = 1_000_000_000
    for _number in range(2):
        assert teller.tell(teller.event("RECEIPT", huge))[0]["status"] == "accepted"
    moved = teller.event("TRANSFER", huge, location="CD1", to_location="S1")
    sold = teller.event("SALE", 2)
    [torn, done] = teller.tell(moved, sold)
    assert (torn["status"], torn["code"], done["status"]) == ("rejected", "invalid_quantity", "accepted")
    assert teller.stored(moved).status == "PENDING"
    assert (teller.on_hand(location=teller.depot), teller.on_hand()) == (0, 2 * huge - 2)
    assert not Transfer.objects.exists()


def test_a_count_of_one_batch_is_the_senders_to_mend(teller: Teller) -> None:
    counted = teller.counted(5, timezone.now(), batch={"number": "A"})
    assert [result["code"] for result in teller.tell(counted)] == ["count_of_batch"]
    assert teller.stored(counted).status == "REJECTED"

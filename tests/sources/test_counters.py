"""How far each source has come: ack, gaps and epochs, over HTTP."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from apps.sources import ingest
from apps.sources.models import Source
from tests.sources.conftest import ERP, POS, Teller, open_teller

pytestmark = pytest.mark.django_db


def test_the_ack_is_the_last_number_before_the_first_gap(teller: Teller) -> None:
    answer = teller.push(teller.batch(teller.numbered(1, 2, 3, 6, 7, 10)))
    assert (answer["ack_seq"], answer["gaps"]) == (3, [[4, 5], [8, 9]])
    answer = teller.push(teller.batch(teller.numbered(9, 4, 5)))
    assert (answer["ack_seq"], answer["gaps"]) == (7, [[8, 8]])
    answer = teller.push(teller.batch(teller.numbered(8)))
    assert (answer["ack_seq"], answer["gaps"]) == (10, [])
    assert teller.on_hand() == -10  # nothing was held back for a gap, and nothing moved twice


def test_a_source_met_in_the_middle_of_its_life_begins_where_it_is(teller: Teller) -> None:
    assert teller.push(teller.batch(teller.numbered(100_231, 100_232)))["ack_seq"] == 100_232
    answer = teller.push(teller.batch(teller.numbered(100_229)))  # an earlier batch that was overtaken
    assert (answer["ack_seq"], answer["gaps"]) == (100_229, [[100_230, 100_230]])


def test_a_new_epoch_starts_at_one_and_the_old_one_goes_on(teller: Teller) -> None:
    teller.push(teller.batch(teller.numbered(1, 2, 4)))
    anew = [teller.event(id=f"new-{number}", sequence=number) for number in (2, 3)]
    answer = teller.push(teller.batch(anew, epoch=2))
    assert (answer["ack_seq"], answer["gaps"]) == (0, [[1, 1]])
    assert teller.source().epoch == 2
    late = teller.push(teller.batch(teller.numbered(3), epoch=1))
    assert (late["ack_seq"], late["sources"][0]["epoch"]) == (4, 1)
    assert (teller.counter(1).ack_seq, teller.counter(2).ack_seq) == (4, 0)
    assert teller.source().epoch == 2


def test_an_event_may_carry_its_number_in_any_of_three_ways(teller: Teller) -> None:
    told = [
        teller.event(sequence="0003.000000000001"),
        teller.event(sequence="2", source_epoch=3),
        teller.event(source_sequence=3, source_epoch=3),
    ]
    assert teller.push(told)["sources"] == [{"source": POS, "epoch": 3, "ack_seq": 3, "gaps": []}]


def test_a_heartbeat_shows_that_the_source_lives_and_what_is_missing(teller: Teller) -> None:
    assert teller.push(teller.batch([]))["ack_seq"] is None
    teller.push(teller.batch(teller.numbered(1)))
    before = timezone.now()
    answer = teller.push(teller.batch([], last_seq=3))
    assert (answer["accepted"], answer["ack_seq"], answer["gaps"]) == (0, 1, [[2, 3]])
    assert teller.source().last_seen_at >= before


def test_a_batch_of_several_sources_answers_for_each(teller: Teller) -> None:
    events = [*teller.numbered(1, 3), *teller.numbered(7, source=ERP)]
    answer = teller.push(events)
    assert (answer["ack_seq"], answer["gaps"]) == (None, [])
    assert answer["sources"] == [
        {"source": POS, "epoch": 0, "ack_seq": 1, "gaps": [[2, 2]]},
        {"source": ERP, "epoch": 0, "ack_seq": 7, "gaps": []},
    ]


def test_events_without_numbers_have_no_ack(teller: Teller) -> None:
    answer = teller.push([teller.event()])
    assert (answer["ack_seq"], answer["gaps"]) == (None, [])


def test_a_conflict_counts_as_stored(teller: Teller) -> None:
    [sale] = teller.numbered(1)
    other = {**sale, "sequence": 2}
    assert teller.push(teller.batch([sale, other]))["ack_seq"] == 2


def test_gaps_are_listed_by_source_and_a_strangers_is_not_found(teller: Teller) -> None:
    teller.push(teller.batch(teller.numbered(1, 3)))
    for name in (POS, POS[1:]):
        answer = teller.get(f"/v1/sources/{name}/gaps")
        assert [(gap["first_seq"], gap["last_seq"], gap["is_overdue"]) for gap in answer["gaps"]] == [(2, 2, False)]
    stranger = open_teller()
    assert stranger.get(f"/v1/sources/{POS}/gaps", 404)["code"] == "unknown_source"
    assert stranger.get("/v1/sources")["sources"] == []
    stranger.push(stranger.batch(stranger.numbered(9)))
    assert teller.push(teller.batch([]))["ack_seq"] == 1  # the same name is another tenant's source


def test_sources_are_listed_in_pages_with_what_waits(teller: Teller) -> None:
    teller.push([teller.event(sku="HAT"), teller.event(source=ERP), teller.event(source="/wms-1")])
    first = teller.get("/v1/sources?limit=2")
    rest = teller.get(f"/v1/sources?limit=2&after={first['next']}")
    told = [(row["source"], row["kind"], row["pending"]) for row in first["sources"] + rest["sources"]]
    assert told == [(POS, "POS", 1), (ERP, "ERP", 0), ("/wms-1", "WMS", 0)]
    assert rest["next"] == ""


def test_a_gap_that_stays_is_told_once_and_shown(teller: Teller) -> None:
    teller.push(teller.batch(teller.numbered(1, 3)))
    assert ingest.alert_old_gaps() == 0
    counter = teller.counter()
    counter.gap_since = timezone.now() - timedelta(seconds=61)
    counter.save()
    assert (ingest.alert_old_gaps(), ingest.alert_old_gaps()) == (1, 0)
    assert teller.get("/v1/sources")["sources"][0]["is_gap_overdue"] is True
    teller.push(teller.batch(teller.numbered(2)))
    assert teller.get("/v1/sources")["sources"][0]["gap_since"] is None


def test_a_person_may_give_a_gap_up(teller: Teller) -> None:
    teller.push(teller.batch(teller.numbered(1, 5, 8)))
    named = ("--tenant", teller.tenant.slug, "--source", POS, "--reason", "the disk died")
    call_command("give_up_gap", *named, "--first", "1", "--last", "6")
    counter = teller.counter()
    assert (counter.ack_seq, [gap[:2] for gap in counter.gaps]) == (6, [[7, 7]])
    assert [given[:2] for given in counter.given_up] == [[2, 4], [6, 6]]
    teller.push(teller.batch(teller.numbered(2, 7)))  # one comes after all
    assert teller.counter().ack_seq == 8
    with pytest.raises(CommandError, match="no counter of epoch 9"):
        call_command("give_up_gap", *named, "--first", "1", "--last", "6", "--epoch", "9")


def test_a_source_that_a_stranger_names_is_the_strangers_own(teller: Teller) -> None:
    teller.push(teller.batch([]))
    open_teller().push({"source": POS, "events": []})
    assert Source.objects.filter(name=POS).count() == 2

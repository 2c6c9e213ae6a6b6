"""Figures for Prometheus: how the queue of events and the calls to the channels are doing. They name no tenant."""

import hmac
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse

from apps.connectors import breaker
from apps.connectors.models import Connector
from apps.events.backlog import Backlog, measure
from apps.notifications.models import Trouble
from apps.sync import freshness
from apps.sync.freshness import Freshness, TooMany

Sample = tuple[dict[str, str], float]


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the figures of this moment in Prometheus' text format.

    Whoever asks shows METRICS_TOKEN as a bearer token; without that setting there is no such page in production.
    """
    token = settings.METRICS_TOKEN
    is_open = not token and settings.IS_DEVELOPMENT
    shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not is_open and not (token and hmac.compare_digest(shown.encode(), token.encode())):
        raise Http404("no metrics for this caller")
    return HttpResponse("".join(_lines()), content_type="text/plain; version=0.0.4; charset=utf-8")


def _lines() -> Iterator[str]:
    queues = [measure(channel) for channel in Connector.Kind.values]
    yield from _gauge("saldo_events_waiting", "Events that a worker is to take.", _each(queues, "waiting"))
    oldest = _each(queues, "oldest_seconds")
    yield from _gauge("saldo_events_oldest_seconds", "Age of the oldest event that waits.", oldest)
    errors: list[Sample] = [
        ({"channel": queue.channel, "code": code}, events)
        for queue in queues
        for code, events in sorted((queue.errors or {}).items())
    ]
    yield from _gauge("saldo_events_errors", "Events that a person must look at, by error code.", errors)
    recent = _each(queues, "error_percent")
    yield from _gauge("saldo_events_error_percent", "Share of errors among the newest finished events.", recent)
    latency: list[Sample] = [
        ({"channel": queue.channel, "quantile": quantile}, seconds)
        for queue in queues
        for quantile, seconds in (("0.5", queue.latency_p50_seconds), ("0.95", queue.latency_p95_seconds))
    ]
    yield from _gauge("saldo_events_latency_seconds", "From arrival to end, of the newest finished events.", latency)
    yield from _gauge("saldo_events_mapping", "Events that wait for a mapping.", _each(queues, "mapping"))
    again = _each(queues, "reprocesses_pending")
    yield from _gauge("saldo_events_reprocesses_pending", "Waiting events that were sent through again.", again)
    yield from _gauge("saldo_channel_breakers", "Connectors by the state of their circuit breaker.", _breakers())
    yield from _sync_lines()


def _sync_lines() -> Iterator[str]:
    told = freshness.measure()
    spans: list[Sample] = [
        ({**_of(row), "step": step, "quantile": quantile}, seconds)
        for row in told
        for step, span in row.spans.items()
        for quantile, seconds in (("0.5", span.p50), ("0.95", span.p95), ("0.99", span.p99))
    ]
    meaning = "From a movement to the accepted number, by part of the road, of the last hour."
    yield from _gauge("saldo_sync_freshness_seconds", meaning, spans)
    tries: list[Sample] = [(_of(row), row.tries) for row in told]
    yield from _gauge("saldo_sync_tries", "Numbers told within the last hour, tries that failed included.", tries)
    errors: list[Sample] = [(_of(row), row.errors) for row in told]
    yield from _gauge("saldo_sync_errors", "Of these, tries that failed.", errors)
    exposure: list[Sample] = [(_of(row), row.exposure_unit_seconds) for row in told]
    meaning = "Units shown too many times seconds, of numbers told within the last hour."
    yield from _gauge("saldo_sync_exposure_unit_seconds", meaning, exposure)
    offered: list[Sample] = [(_of(row), row.units) for row in freshness.too_many()]
    yield from _gauge("saldo_sync_units_too_many", "Units that the channel offers now and are not there.", offered)
    pending: list[Sample] = [({}, Trouble.objects.filter(closed_at__isnull=True).count())]
    yield from _gauge("saldo_troubles", "Causes that keep numbers from the channels.", pending)


def _of(row: Freshness | TooMany) -> dict[str, str]:
    """Return the labels of a connector: its number, which names no tenant to whoever may only see figures."""
    return {"channel": row.channel, "connector": str(row.connector_id)}


def _each(queues: Iterable[Backlog], name: str) -> list[Sample]:
    return [({"channel": queue.channel}, float(getattr(queue, name))) for queue in queues]


def _breakers() -> list[Sample]:
    kinds = dict(Connector.objects.filter(status=Connector.Status.ACTIVE).values_list("pk", "kind"))
    states = breaker.states(kinds)
    return [
        (
            {"channel": kind, "state": state.value},
            sum(kinds[pk] == kind and found is state for pk, found in states.items()),
        )
        for kind in Connector.Kind.values
        for state in breaker.State
    ]


def _gauge(name: str, meaning: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}\n# TYPE {name} gauge\n"
    for labels, value in samples:
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{shown}}} {value:g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

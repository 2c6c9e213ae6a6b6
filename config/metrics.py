"""Figures for Prometheus: how the queue of events and the calls to the channels are doing. They name no tenant."""

import hmac
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse

from apps.connectors import breaker
from apps.connectors.models import Connector
from apps.events.backlog import Backlog, measure

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

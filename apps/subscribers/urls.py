from django.urls import path

from apps.subscribers import api

ONE = "subscribers/<uuid:subscriber_id>"

urlpatterns = [
    path("events/schemas", api.schemas, name="event-schemas"),
    path("events/schemas/<str:name>", api.schema, name="event-schema"),
    path("subscribers", api.subscribers, name="subscribers"),
    path(ONE, api.subscriber, name="subscriber"),
    path(f"{ONE}/rotate-secret", api.rotate_secret, name="subscriber-secret"),
    path(f"{ONE}/pause", api.pause, name="subscriber-pause"),
    path(f"{ONE}/resume", api.resume, name="subscriber-resume"),
    path(f"{ONE}/test", api.send_test, name="subscriber-test"),
    path(f"{ONE}/deliveries", api.list_deliveries, name="subscriber-deliveries"),
    path(f"{ONE}/deliveries/<int:delivery_id>", api.get_delivery, name="subscriber-delivery"),
    path(f"{ONE}/replays", api.replays, name="subscriber-replays"),
    path(f"{ONE}/replays/<uuid:replay_id>", api.replay, name="subscriber-replay"),
]

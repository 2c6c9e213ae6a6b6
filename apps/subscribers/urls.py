from django.urls import path

from apps.subscribers import api

ONE = "subscribers/<uuid:subscriber_id>"

urlpatterns = [
    path("events/schemas", api.SchemaListApi.as_view(), name="event-schemas"),
    path("events/schemas/<str:name>", api.SchemaApi.as_view(), name="event-schema"),
    path("subscribers", api.SubscriberListApi.as_view(), name="subscribers"),
    path(ONE, api.SubscriberApi.as_view(), name="subscriber"),
    path(f"{ONE}/rotate-secret", api.SecretApi.as_view(), name="subscriber-secret"),
    path(f"{ONE}/pause", api.PauseApi.as_view(), name="subscriber-pause"),
    path(f"{ONE}/resume", api.ResumeApi.as_view(), name="subscriber-resume"),
    path(f"{ONE}/test", api.TestApi.as_view(), name="subscriber-test"),
    path(f"{ONE}/deliveries", api.DeliveryListApi.as_view(), name="subscriber-deliveries"),
    path(f"{ONE}/deliveries/<int:delivery_id>", api.DeliveryApi.as_view(), name="subscriber-delivery"),
    path(f"{ONE}/replays", api.ReplayListApi.as_view(), name="subscriber-replays"),
    path(f"{ONE}/replays/<uuid:replay_id>", api.ReplayApi.as_view(), name="subscriber-replay"),
]

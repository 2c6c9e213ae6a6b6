from django.urls import path

from apps.events import api, views

urlpatterns = [
    path("ml/notificacoes/<slug:token>", views.ml_notification, name="ml-notification"),
    path("ml/webhook", api.ml_webhook, name="ml-webhook"),
    path("eventos", api.list_events, name="integration-events"),
    path("erros", api.list_errors, name="integration-errors"),
]

internal = [
    path("ml/enfileirar", api.enqueue, name="ml-enqueue"),
    path("ml/reprocessar/<int:event_id>", api.reprocess_event, name="ml-reprocess"),
]

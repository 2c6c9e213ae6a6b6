from django.urls import path

from apps.events import views

urlpatterns = [
    path("ml/notificacoes/<slug:token>", views.ml_notification, name="ml-notification"),
]

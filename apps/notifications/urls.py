from django.urls import path

from apps.notifications import api

urlpatterns = [
    path("pedido/<int:order_id>/pronto", api.notify_order_ready, name="notify-order-ready"),
]

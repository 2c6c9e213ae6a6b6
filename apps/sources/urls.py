from django.urls import path

from apps.sources import api

urlpatterns = [
    path("movements", api.movements, name="movements"),
    path("sources", api.sources, name="sources"),
    path("sources/<path:name>/gaps", api.source_gaps, name="source-gaps"),
]

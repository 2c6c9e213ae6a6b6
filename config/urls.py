"""Every URL prefix of the project, in one list."""

from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path
from django.views.generic import RedirectView

import apps.events.urls
import apps.sync.urls
from config import api_docs, health, metrics

urlpatterns = [
    path("v1/", include("apps.inventory.urls")),  # first: the hot paths are found soonest
    path("v1/", include("apps.sources.urls")),
    path("v1/", include("apps.subscribers.urls")),
    path("v1/", include("apps.sync.urls")),
    path("", RedirectView.as_view(pattern_name="console:events"), name="home"),
    path("console/", include("apps.console.urls")),
    path("entrar/", auth_views.LoginView.as_view(template_name="console/login.html"), name="login"),
    path("sair/", auth_views.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("v1/openapi.json", api_docs.openapi_json, name="openapi-json"),
    path("v1/openapi.yaml", api_docs.openapi_yaml, name="openapi-yaml"),
    path("v1/docs", api_docs.page, name="api-docs"),
    path("swagger", RedirectView.as_view(pattern_name="api-docs"), name="swagger"),
    path("problems/<str:code>", api_docs.problem, name="problem"),
    path("api/notificacoes/", include("apps.notifications.urls")),
    path("api/integracoes/", include("apps.events.urls")),
    path("api/integrations/", include(apps.sync.urls.integrations)),
    path("internal/integracoes/", include(apps.events.urls.internal)),
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]

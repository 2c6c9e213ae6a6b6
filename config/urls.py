"""Every URL prefix of the project, in one list."""

from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path
from django.views.generic import RedirectView

import apps.events.urls
import apps.sync.urls
from apps.console import login
from config import api_docs, health, metrics

urlpatterns = [
    path("v1/", include("apps.inventory.urls")),  # first: the hot paths are found soonest
    path("v1/", include("apps.sources.urls")),
    path("v1/", include("apps.subscribers.urls")),
    path("v1/", include("apps.sync.urls")),
    path("", RedirectView.as_view(pattern_name="console:home"), name="home"),
    path("console/", include("apps.console.urls")),
    path("entrar/", login.Login.as_view(), name="login"),
    path("entrar/codigo/", login.code, name="login-code"),
    path("entrar/configurar/", login.setup, name="login-setup"),
    path("entrar/senha/<uidb64>/<token>/", login.ChoosePassword.as_view(), name="choose-password"),
    path("sair/", auth_views.LogoutView.as_view(), name="logout"),
    path("admin/login/", RedirectView.as_view(pattern_name="login", query_string=True)),  # one way in for everybody
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

handler400 = "apps.console.failures.bad_request"
handler404 = "apps.console.failures.not_found"
handler500 = "apps.console.failures.server_error"

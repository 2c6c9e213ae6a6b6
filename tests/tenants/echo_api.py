"""A small API to try what surrounds every view: plain endpoints and a DRF view, as rooms write them."""

import datetime
from typing import Annotated, Any

import msgspec
from django.db import OperationalError, connection
from django.http import HttpRequest
from django.urls import path
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.problems import Problem
from apps.tenants.authentication import caller_of
from apps.tenants.endpoint import Reply, by_method, endpoint
from apps.tenants.identity import Caller

Quantity = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Line(msgspec.Struct):
    sku: str


class Echo(msgspec.Struct, rename="camel"):
    quantity: Quantity
    store_id: Annotated[str, msgspec.Meta(max_length=5)] = "S1"
    at: datetime.datetime | None = None
    lines: list[Line] = []
    note: Any = None


class Page(msgspec.Struct):
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: str = ""


class Answer(msgspec.Struct):
    tenant: str
    actor: str
    limit: int = 0


@endpoint(method="POST", scope="stock:reserve", body=Echo, answer=Echo, status=201)
def echo(request: HttpRequest, caller: Caller, body: Echo) -> Echo:
    return body


@endpoint(method="GET", scope="stock:read", query=Page, answer=Answer)
def who(request: HttpRequest, caller: Caller, query: Page) -> Answer:
    return Answer(caller.tenant_slug, caller.actor, query.limit)


@endpoint(method="POST", scope="stock:adjust", answer=Answer, statuses=(202,), answer_headers=("ETag",))
def change(request: HttpRequest, caller: Caller) -> Reply:
    return Reply(Answer(caller.tenant_slug, caller.actor), status=202, headers={"ETag": '"v7"'})


@endpoint(method="GET", scope="stock:read")
def broken(request: HttpRequest, caller: Caller) -> None:
    raise RuntimeError("password=hunter2")


@endpoint(method="GET", scope="stock:read")
def down(request: HttpRequest, caller: Caller) -> None:
    raise OperationalError("connection to 10.0.0.7 refused")


@endpoint(method="GET", scope="stock:read")
def huge(request: HttpRequest, caller: Caller) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 3000000000::integer")


@endpoint(method="GET", scope="stock:read")
def refused(request: HttpRequest, caller: Caller) -> None:
    raise Problem(409, "insufficient_stock", "There are 3.", available=3, status_of="shirt", code_of="mug")


@endpoint(method="GET", scope="stock:read")
def odd(request: HttpRequest, caller: Caller) -> None:
    raise Problem(409, "insufficient_stock", "…", fact=gettext_lazy("Stock"))


class Shirt(serializers.Serializer[Any]):
    quantity = serializers.IntegerField(min_value=1)


class Drf(APIView):
    required_scopes = {"GET": "stock:read", "POST": "stock:adjust"}  # noqa: RUF012

    def get(self, request: Request) -> Response:
        return Response({"tenant": caller_of(request).tenant_slug})

    @extend_schema(request=Shirt, responses={200: dict[str, str]})
    def post(self, request: Request) -> Response:
        shirt = Shirt(data=request.data)
        shirt.is_valid(raise_exception=True)
        return Response({"user": str(request.user)})


class Scopeless(APIView):
    def get(self, request: Request) -> Response:
        return Response({})


class Open(APIView):
    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        raise RuntimeError("password=hunter2")


urlpatterns = [
    path("v1/echo", echo),
    path("v1/who", by_method(who, change)),
    path("v1/broken", broken),
    path("v1/down", down),
    path("v1/huge", huge),
    path("v1/refused", refused),
    path("v1/odd", odd),
    path("v1/drf", Drf.as_view()),
    path("v1/scopeless", Scopeless.as_view()),
    path("v1/open", Open.as_view()),
]

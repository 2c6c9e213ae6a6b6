"""The sources, what they told, and what waits for a person."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from apps.inventory.models import Movement
from apps.sources import doubts, retry
from apps.sources.models import Source, SourceAuthority, SourceConflict, SourceEpoch, SourceEvent
from apps.tenants.admin import ReadOnlyAdmin, TenantAdmin


@admin.register(Source)
class SourceAdmin(TenantAdmin):
    """Who tells movements. They introduce themselves; only what kind they are is said here."""

    list_display: ClassVar = ["name", "kind", "epoch", "last_seen_at", "last_event_at", "clock_offset_ms", "tenant"]
    list_filter: ClassVar = ["kind", "tenant"]
    list_select_related: ClassVar = ["tenant"]
    search_fields: ClassVar = ["name"]
    ordering: ClassVar = ["name"]
    readonly_fields: ClassVar = [
        "tenant",
        "name",
        "epoch",
        "last_seen_at",
        "last_event_at",
        "clock_offset_ms",
        "created_at",
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: a source is met when it sends."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: its events are history."""
        return False


@admin.register(SourceEpoch)
class SourceEpochAdmin(ReadOnlyAdmin):
    """How far each counter has come, those with the oldest gaps first."""

    list_display: ClassVar = ["source", "epoch", "ack_seq", "end_seq", "gap_since", "gaps"]
    list_filter: ClassVar = [("gap_since", admin.EmptyFieldListFilter), "source__tenant"]
    list_select_related: ClassVar = ["source"]
    search_fields: ClassVar = ["source__name"]
    ordering: ClassVar = ["gap_since", "source__name"]


@admin.register(SourceAuthority)
class SourceAuthorityAdmin(TenantAdmin):
    """Whose word counts."""

    list_display: ClassVar = ["tenant", "movement_type", "location", "source_name"]
    list_filter: ClassVar = ["tenant", "movement_type"]
    list_select_related: ClassVar = ["tenant", "location"]
    search_fields: ClassVar = ["source_name"]


class InDoubtFilter(admin.SimpleListFilter):
    """Leaves the counts about which a clock leaves doubt (`doubts.py`)."""

    title = _("doubt")
    parameter_name = "doubt"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the one choice."""
        return [("counts", _("Counts with movements within 2 minutes"))]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[SourceEvent]") -> "QuerySet[SourceEvent]":
        """Leave only those in doubt when that was chosen."""
        return doubts.counts_in_doubt(queryset) if self.value() == "counts" else queryset


@admin.register(SourceEvent)
class SourceEventAdmin(ReadOnlyAdmin):
    """Movements told, newest first."""

    list_display: ClassVar = [
        "received_at",
        "source",
        "movement_type",
        "event_id",
        "quantity",
        "status",
        "code",
        "clock_note",
        "occurred_at",
    ]
    list_filter: ClassVar = ["status", "code", "movement_type", "clock_note", InDoubtFilter, "tenant"]
    list_select_related: ClassVar = ["source"]
    search_fields: ClassVar = ["=event_id", "=business_key"]
    exclude: ClassVar = ["payload_hash"]
    readonly_fields: ClassVar = ["doubtful_movements"]
    ordering: ClassVar = ["-id"]
    actions: ClassVar = ["try_again", "approve"]

    @admin.display(description=_("movements within 2 minutes of this count"))
    def doubtful_movements(self, event: SourceEvent) -> str:
        """Say which movements the count may hold or not, and what the ledger takes them for. To settle it: count."""
        lines = [
            (
                doubt.movement_id,
                localize(timezone.localtime(doubt.occurred_at)),
                Movement.Kind(doubt.kind).label,
                f"{doubt.on_hand_delta:+}",
                doubt.source,
                _("taken as counted") if doubt.is_counted else _("taken as after the count"),
            )
            for doubt in doubts.doubts_of(event)
        ]
        return format_html_join(mark_safe("<br>"), "{}: {} {} {} ({}), {}", lines)

    @admin.action(description=_("Try again"), permissions=["retry"])
    def try_again(self, request: HttpRequest, rows: "QuerySet[SourceEvent]") -> None:
        """Send what waits through again."""
        self._say(request, retry.again(list(rows.values_list("pk", flat=True))))

    @admin.action(description=_("Approve and apply"), permissions=["retry"])
    def approve(self, request: HttpRequest, rows: "QuerySet[SourceEvent]") -> None:
        """Let what is old move stock all the same."""
        self._say(request, retry.again(list(rows.values_list("pk", flat=True)), approved_by=f"user:{request.user.pk}"))

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Let those act whom the permission to change events was given."""
        return request.user.has_perm("sources.change_sourceevent")

    def _say(self, request: HttpRequest, rows: list[SourceEvent]) -> None:
        applied = sum(row.status == SourceEvent.Status.APPLIED for row in rows)
        text = ngettext(
            "%(applied)d of %(count)d event is applied.", "%(applied)d of %(count)d events are applied.", len(rows)
        )
        self.message_user(request, text % {"applied": applied, "count": len(rows)}, messages.INFO)


@admin.register(SourceConflict)
class SourceConflictAdmin(ReadOnlyAdmin):
    """Payloads that came under a taken id, to compare."""

    list_display: ClassVar = ["received_at", "event", "sequence"]
    list_select_related: ClassVar = ["event"]
    search_fields: ClassVar = ["=event__event_id"]
    exclude: ClassVar = ["payload_hash"]
    ordering: ClassVar = ["-id"]

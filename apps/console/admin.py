"""Other packages' admins, dressed like ours: people and groups, and Beat's schedule, which is edited here; and ours."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as PlainGroupAdmin
from django.contrib.auth.admin import UserAdmin as PlainUserAdmin
from django.contrib.auth.models import Group, User
from django_celery_beat import admin as beat
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.console.models import Export, Pulse, SavedView
from apps.tenants.admin import PlatformAdmin, ReadOnlyAdmin

for model in (User, Group, PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule):
    admin.site.unregister(model)


@admin.register(User)
class UserAdmin(PlainUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]  # unfold ships no types
    """People."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_per_page = 50


@admin.register(Group)
class GroupAdmin(PlainGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """Groups of people with the same permissions."""


class TaskSelect(UnfoldAdminSelectWidget, beat.TaskSelectWidget):  # type: ignore[misc]
    """The tasks that the code registers."""


class PeriodicTaskForm(beat.PeriodicTaskForm):  # type: ignore[misc]
    """A line of the schedule."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = TaskSelect()


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(beat.PeriodicTaskAdmin, ModelAdmin):  # type: ignore[misc]
    """The schedule: what Beat sends, and how often."""

    form = PeriodicTaskForm
    list_per_page = 50


class TasksInline(beat.PeriodicTaskInline, TabularInline):  # type: ignore[misc]
    """The lines that use a rhythm."""


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(beat.IntervalScheduleAdmin, ModelAdmin):  # type: ignore[misc]
    """Rhythms: every so many seconds."""

    inlines = (TasksInline,)


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(beat.CrontabScheduleAdmin, ModelAdmin):  # type: ignore[misc]
    """Rhythms: at these minutes and hours."""

    inlines = (TasksInline,)


@admin.register(SolarSchedule)
class SolarScheduleAdmin(beat.SolarScheduleAdmin, ModelAdmin):  # type: ignore[misc]
    """Rhythms: by the sun."""

    inlines = (TasksInline,)


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(beat.ClockedScheduleAdmin, ModelAdmin):  # type: ignore[misc]
    """Moments: once."""

    inlines = (TasksInline,)


@admin.register(Pulse)
class PulseAdmin(PlatformAdmin):
    """The last sign of life of each program and check."""

    list_display: ClassVar = ["name", "seen_at", "detail"]


@admin.register(SavedView)
class SavedViewAdmin(ReadOnlyAdmin):
    """Views of lists that people keep."""

    list_display: ClassVar = ["name", "page", "owner", "is_shared", "tenant"]
    list_filter: ClassVar = ["page", "tenant"]
    list_select_related: ClassVar = ["owner", "tenant"]


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    """Lists that people asked for as files; what is in the files is theirs."""

    list_display: ClassVar = ["created_at", "page", "asked_by", "status", "rows_done", "tenant"]
    list_filter: ClassVar = ["status", "page", "tenant"]
    list_select_related: ClassVar = ["asked_by", "tenant"]
    ordering: ClassVar = ["-id"]

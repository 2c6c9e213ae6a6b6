"""The forms by which people move stock by hand. Each turns what was typed into moves of the ledger."""

import uuid
from collections.abc import Iterable
from datetime import datetime, time
from typing import Any, ClassVar

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.console import reasons
from apps.console.typed_numbers import Amount, WholeNumber
from apps.inventory import ledger
from apps.inventory.ledger import Cause, Move
from apps.inventory.models import Location, Movement, Product, Transfer

Kind = Movement.Kind


def _plain(length_max: int, placeholder: str | Any = "") -> forms.TextInput:
    return forms.TextInput({"autocomplete": "off", "maxlength": length_max, "placeholder": placeholder})


class StockForm(forms.Form):
    """What every change of stock by hand says: where, how many, for which document, and a note.

    key: makes a form that is sent twice count once. seen: the balances as they were when the person was shown what
    would change, as `place:version:on hand` (`12:7:40,15:3:0`), so that nobody confirms something else than they saw.
    """

    location: forms.Field
    units = WholeNumber(label=gettext_lazy("Units"), min_value=1, max_value=ledger.QUANTITY_MAX)
    document = forms.CharField(
        label=gettext_lazy("Document (optional)"),
        max_length=100,
        required=False,
        widget=_plain(100, gettext_lazy("invoice, occurrence, spreadsheet…")),
    )
    note = forms.CharField(label=gettext_lazy("Note (optional)"), max_length=150, required=False, widget=_plain(150))
    key = forms.UUIDField(widget=forms.HiddenInput())
    seen = forms.RegexField(r"^(\d{1,18}:\d{1,18}:-?\d{1,10},?)*$", required=False, widget=forms.HiddenInput())

    OPTIONAL: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, product: Product, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].initial = uuid.uuid4()
        self.product = product

    def places(self) -> list[Location]:
        """Return the places whose stock changes."""
        return [self.cleaned_data["location"]]

    def moves(self, actor: str) -> list[Move]:
        """Return what the ledger is to do, in this order; the first one carries the key. Each form below says what."""
        raise NotImplementedError

    def seen_at(self, location: Location) -> tuple[int, int] | None:
        """Return version and units on hand that the person saw at a place; None before they saw any."""
        rows = (row.split(":") for row in self.cleaned_data["seen"].split(",") if row)
        found = {int(place): (int(version), int(on_hand)) for place, version, on_hand in rows}
        return found.get(location.pk)

    def expected(self, location: Location) -> int | None:
        """Return the version that the person saw of a place's balance; None before they saw any."""
        seen = self.seen_at(location)
        return seen[0] if seen else None

    def cause(self, actor: str, code: str) -> Cause:
        """Return who moves stock and why."""
        document = self.cleaned_data["document"]
        return Cause(
            actor=actor,
            reason=reasons.written(code, self.cleaned_data["note"]),
            reference_type="document" if document else "",
            reference_id=document,
            source="console",
        )

    def keyed(self, part: str = "") -> str:
        """Return the ledger's key of the form; `part` names one of several moves."""
        return f"console:{self.cleaned_data['key']}{part}"

    def clean(self) -> dict[str, Any]:
        """Refuse texts that no row can keep."""
        said: dict[str, Any] = super().clean() or {}
        said.setdefault("seen", "")
        return said


def _places(product: Product) -> forms.ModelChoiceField:  # type: ignore[type-arg]  # generic to the stubs alone
    rows = Location.objects.filter(tenant_id=product.tenant_id).order_by("code")
    return forms.ModelChoiceField(rows, label=gettext_lazy("Location"), empty_label=gettext_lazy("choose"))


class Adjust(StockForm):
    """Correct what is on hand: units less, units more, or a new total."""

    LESS, MORE, TOTAL = "less", "more", "total"
    HOW: ClassVar[list[tuple[str, Any]]] = [
        (LESS, gettext_lazy("Take units off")),
        (MORE, gettext_lazy("Add units")),
        (TOTAL, gettext_lazy("Set the new total on hand")),
    ]
    DIRECTIONS: ClassVar[dict[str, tuple[str, ...]]] = {
        "count": (TOTAL,),
        "damage": (LESS,),
        "loss": (LESS,),
        "found": (MORE,),
    }
    """How each reason may change the number; those not named here any way."""

    reason = forms.ChoiceField(
        label=gettext_lazy("Reason"), choices=[("", gettext_lazy("choose")), *reasons.CHOSEN.items()]
    )
    how = forms.ChoiceField(label=gettext_lazy("What changes"), choices=HOW)
    units = WholeNumber(label=gettext_lazy("Units"), min_value=0, max_value=ledger.QUANTITY_MAX)

    def __init__(self, *args: Any, product: Product, **kwargs: Any) -> None:
        super().__init__(*args, product=product, **kwargs)
        self.fields["location"] = _places(product)
        self.order_fields(["location", "reason", "how", "units", "document", "note"])
        self.on_hand: dict[int, int] = {}  # by place, as it is now: what a new total is compared with at first sight

    def clean(self) -> dict[str, Any]:
        """Refuse a reason that does not fit the change, and a change of nothing."""
        said = super().clean()
        reason, how, units = said.get("reason"), said.get("how"), said.get("units")
        allowed = self.DIRECTIONS.get(str(reason), ())
        if reason and how and allowed and how not in allowed:
            words = dict(self.HOW)
            text = _("“%(reason)s” goes with “%(how)s”. Nothing was changed; choose that, or another reason.")
            self.add_error("how", text % {"reason": reasons.CHOSEN[reason], "how": words[allowed[0]]})
        if units == 0 and how != self.TOTAL:
            self.add_error("units", _("Zero units change nothing. Type how many."))
        if reason == "other" and not said.get("note"):
            self.add_error("note", _("Say why in a few words: others will ask."))
        return said

    def moves(self, actor: str) -> list[Move]:
        """Return one count, loss or correction. A count and a loss are facts; a correction may be refused."""
        said = self.cleaned_data
        place, units, reason = said["location"], said["units"], said["reason"]
        seen = self.seen_at(place)
        on_hand = seen[1] if seen else self.on_hand.get(place.pk, 0)
        kind, quantity = self._kind_and_quantity(reason, said["how"], units, on_hand)
        return [
            Move(
                kind=kind,
                product_id=self.product.pk,
                location_id=place.pk,
                quantity=quantity,
                cause=self.cause(actor, reason),
                key=self.keyed(),
                expected_version=self.expected(place),
            )
        ]

    def _kind_and_quantity(self, reason: str, how: str, units: int, on_hand: int) -> tuple[Movement.Kind, int]:
        if reason == "count":
            return Kind.COUNT, units
        if reason in ("damage", "loss"):
            return Kind.LOSS, units
        delta = {self.LESS: -units, self.MORE: units}.get(how, units - on_hand)
        return Kind.ADJUSTMENT, delta


class Receive(StockForm):
    """Take goods in."""

    unit_cost = Amount(
        label=gettext_lazy("Unit cost in R$ (optional)"),
        required=False,
        min_value=0,
        max_digits=15,
        decimal_places=4,
        localize=True,
        widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
    )
    batch_number = forms.CharField(
        label=gettext_lazy("Batch (optional)"), max_length=100, required=False, widget=_plain(100)
    )
    expires_on = forms.DateField(
        label=gettext_lazy("Expires on (optional)"),
        required=False,
        widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"),
    )

    def __init__(self, *args: Any, product: Product, **kwargs: Any) -> None:
        super().__init__(*args, product=product, **kwargs)
        self.fields["location"] = _places(product)
        self.order_fields(["location", "units", "document", "unit_cost", "batch_number", "expires_on", "note"])

    def clean(self) -> dict[str, Any]:
        """Refuse a date without a batch: only batches expire."""
        said = super().clean()
        if said.get("expires_on") and not said.get("batch_number"):
            self.add_error("batch_number", _("A date belongs to a batch: give the batch's number, too."))
        return said

    def moves(self, actor: str) -> list[Move]:
        """Return one receipt: a fact."""
        said = self.cleaned_data
        expires_on = said["expires_on"]
        expiry = timezone.make_aware(datetime.combine(expires_on, time.max)) if expires_on else None
        return [
            Move(
                kind=Kind.RECEIPT,
                product_id=self.product.pk,
                location_id=said["location"].pk,
                quantity=said["units"],
                cause=self.cause(actor, "receipt"),
                key=self.keyed(),
                unit_cost=said["unit_cost"],
                batch_number=said["batch_number"] or None,
                batch_expires_at=expiry,
                expected_version=self.expected(said["location"]),
            )
        ]


class Send(StockForm):
    """Send units to another place. They are on their way until somebody says that they arrived."""

    has_arrived = forms.BooleanField(label=gettext_lazy("They are at the other place already"), required=False)

    def __init__(self, *args: Any, product: Product, **kwargs: Any) -> None:
        super().__init__(*args, product=product, **kwargs)
        self.fields["location"] = _places(product)
        self.fields["location"].label = gettext_lazy("From")
        self.fields["destination"] = _places(product)
        self.fields["destination"].label = gettext_lazy("To")
        self.order_fields(["location", "destination", "units", "has_arrived", "document", "note"])

    def places(self) -> list[Location]:
        """Return both places when the units have arrived, else the one they leave."""
        said = self.cleaned_data
        return [said["location"], said["destination"]] if said["has_arrived"] else [said["location"]]

    def clean(self) -> dict[str, Any]:
        """Refuse a way from a place to itself."""
        said = super().clean()
        if said.get("location") and said.get("location") == said.get("destination"):
            self.add_error("destination", _("The units must go to another place than the one they leave."))
        return said

    @property
    def code(self) -> str:
        """Return the transfer's code: the same each time the form is sent."""
        return f"T-{str(self.cleaned_data['key'])[:13]}"

    def cause(self, actor: str, code: str) -> Cause:
        """Return the cause; the ledger names the transfer as its document, so a person's goes into the reason."""
        said = self.cleaned_data
        note = " · ".join(part for part in (said["document"], said["note"]) if part)
        return Cause(actor=actor, reason=reasons.written(code, note), source="console")

    def moves(self, actor: str) -> list[Move]:
        """Return what leaves, and what arrives when it has. What leaves is a request: it may be refused."""
        said = self.cleaned_data
        cause = self.cause(actor, "transfer")
        origin, destination = said["location"], said["destination"]
        leaving = Move(
            kind=Kind.TRANSFER_OUT,
            product_id=self.product.pk,
            location_id=origin.pk,
            quantity=said["units"],
            cause=cause,
            key=self.keyed(),
            expected_version=self.expected(origin),
            transfer_code=self.code,
            other_location_id=destination.pk,
        )
        if not said["has_arrived"]:
            return [leaving]
        arriving = Move(
            kind=Kind.TRANSFER_IN,
            product_id=self.product.pk,
            location_id=destination.pk,
            quantity=said["units"],
            cause=cause,
            key=self.keyed(":in"),
            expected_version=self.expected(destination),
            transfer_code=self.code,
            other_location_id=origin.pk,
        )
        return [leaving, arriving]


class Arrive(StockForm):
    """Say that units of a transfer arrived: all of them, or some."""

    def __init__(self, *args: Any, transfer: Transfer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.transfer = transfer
        del self.fields["document"]  # the transfer is its document
        self.fields["units"].initial = transfer.in_transit

    def clean(self) -> dict[str, Any]:
        """Fill in what the transfer says."""
        said = super().clean()
        said["location"] = self.transfer.destination
        return said

    def moves(self, actor: str) -> list[Move]:
        """Return one arrival. It is refused when more arrive than were sent."""
        said = self.cleaned_data
        cause = Cause(actor=actor, reason=reasons.written("transfer", said["note"]), source="console")
        return [
            Move(
                kind=Kind.TRANSFER_IN,
                product_id=self.product.pk,
                location_id=said["location"].pk,
                quantity=said["units"],
                cause=cause,
                key=self.keyed(),
                expected_version=self.expected(said["location"]),
                transfer_code=self.transfer.code,
                other_location_id=self.transfer.origin_id,
            )
        ]


def as_seen(balances: Iterable[tuple[int, int, int]]) -> str:
    """Return what `StockForm.seen` keeps of (place's id, version, units on hand)."""
    return ",".join(f"{place}:{version}:{on_hand}" for place, version, on_hand in balances)

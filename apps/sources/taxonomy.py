"""What each movement type does to stock: the table from the sources' words to the ledger's (channels contract §3.1)."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from django.utils.translation import gettext as _

from apps.inventory.models import Movement
from apps.sources.decoding import MovementData
from apps.sources.models import MovementType

Kind = Movement.Kind

QUANTITY_MAX = 1_000_000_000
"""The ledger's own limit for one movement."""


class Untranslatable(Exception):
    """The event says no movement that the ledger keeps. `code` is stable; `is_recorded`: right, but of no effect."""

    def __init__(self, code: str, detail: str, *, is_recorded: bool = False) -> None:
        super().__init__(detail)
        self.code = code
        self.is_recorded = is_recorded


@dataclass(frozen=True, slots=True)
class Effect:
    """What a movement type does: the ledger's kind, and the sign that its quantity may carry.

    sign: +1 for what comes, -1 for what goes, 0 where the quantity's own sign says. A source may write what goes as 3
    or as -3; what comes as -3 contradicts itself.
    """

    kind: Movement.Kind
    sign: int


EFFECTS: Final[dict[str, Effect]] = {
    MovementType.RECEIPT: Effect(Kind.RECEIPT, +1),
    MovementType.RECEIPT_REVERSAL: Effect(Kind.ADJUSTMENT, -1),
    MovementType.RETURN_TO_SUPPLIER: Effect(Kind.ADJUSTMENT, -1),
    MovementType.SALE: Effect(Kind.SALE, -1),
    MovementType.RETURN: Effect(Kind.RETURN, +1),
    MovementType.TRANSFER: Effect(Kind.TRANSFER_OUT, +1),  # and a TRANSFER_IN beside it
    MovementType.TRANSFER_OUT: Effect(Kind.TRANSFER_OUT, -1),
    MovementType.TRANSFER_IN: Effect(Kind.TRANSFER_IN, +1),
    MovementType.ADJUSTMENT: Effect(Kind.ADJUSTMENT, 0),
    MovementType.COUNT: Effect(Kind.COUNT, +1),
    MovementType.DAMAGE: Effect(Kind.LOSS, -1),
    MovementType.LOSS: Effect(Kind.LOSS, -1),
    MovementType.THEFT: Effect(Kind.LOSS, -1),
    MovementType.PRODUCTION: Effect(Kind.RECEIPT, +1),
    MovementType.CONSUMPTION: Effect(Kind.ADJUSTMENT, -1),
    MovementType.OPENING: Effect(Kind.RECEIPT, +1),
}

PROMISES = frozenset({"RESERVE", "RELEASE", "EXPIRE"})
"""Promises of stock are requests: they can be refused, so they have verbs of their own."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """An event in the ledger's words. `quantity` is in units, signed only for an adjustment."""

    type: MovementType
    kind: Movement.Kind
    quantity: int


def meaning(data: MovementData) -> Meaning:
    """Return what the event says, in the ledger's words. Raises Untranslatable with the reason and the cure."""
    if data.movement_type in PROMISES:
        raise Untranslatable(
            "not_a_fact",
            _("Reserving is a request, not a fact; nothing was changed. Use /v1/stock/reserve and confirm."),
        )
    if data.movement_type not in EFFECTS:
        detail = _("There is no movement type “%(type)s”; nothing was changed. The types are: %(known)s.")
        known = ", ".join(MovementType.values)
        raise Untranslatable("unknown_movement_type", detail % {"type": data.movement_type, "known": known})
    movement_type = MovementType(data.movement_type)
    is_count = movement_type == MovementType.COUNT
    if is_count != (data.mode == "ABSOLUTE") or is_count != (data.count is not None):
        raise Untranslatable(
            "mode_mismatch",
            _("A COUNT is ABSOLUTE and says count.as_of; every other type is a DELTA without. Nothing was changed."),
        )
    if data.uom != "UN":
        detail = _("Stock is kept in units (UN), not in %(uom)s; nothing was changed. Send the quantity in units.")
        raise Untranslatable("unsupported_uom", detail % {"uom": data.uom})
    effect = EFFECTS[movement_type]
    quantity = _units(data, effect.sign, least=0 if is_count else 1)
    if data.stock_status != "SELLABLE" and effect.kind != Kind.LOSS:  # a loss leaves the sellable, wherever it ends
        detail = _("Only sellable stock is kept; %(units)d units that are %(status)s were noted and moved none of it.")
        raise Untranslatable(
            "not_sellable", detail % {"units": quantity, "status": data.stock_status}, is_recorded=True
        )
    goes_as_adjustment = effect.kind == Kind.ADJUSTMENT and effect.sign < 0
    return Meaning(movement_type, effect.kind, -quantity if goes_as_adjustment else quantity)


def _units(data: MovementData, sign: int, *, least: int) -> int:
    told: Decimal = data.units
    if told != told.to_integral_value():
        detail = _("%(quantity)s is no whole number of units; nothing was changed. Send whole units.")
        raise Untranslatable("fractional_quantity", detail % {"quantity": data.quantity})
    units = int(told)
    if sign < 0:
        units = abs(units)
    if abs(units) < least or (sign != 0 and units < 0) or abs(units) > QUANTITY_MAX:
        detail = _("%(quantity)s units is no quantity that a %(type)s can have; nothing was changed. Send a right one.")
        raise Untranslatable("invalid_quantity", detail % {"quantity": data.quantity, "type": data.movement_type})
    return units

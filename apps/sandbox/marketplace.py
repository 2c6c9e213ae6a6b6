"""What every handler is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from .call import Call, Doc, refuse
from .faults import FaultList, Quota
from .journal import Journal
from .notifications import Notifier
from .selling import Selling
from .state import State


@dataclass
class Marketplace:
    """The sandbox's parts. ``scrolls`` are the scans under way, lost on a restart as they also expire by themselves."""

    state: State
    notifier: Notifier
    faults: FaultList
    quota: Quota
    journal: Journal
    selling: Selling
    scrolls: dict[str, Doc] = field(default_factory=dict)

    def account(self, user_id: int) -> Doc:
        """The seller's account; every item, order and token has one."""
        return self.state.tables["account"][str(user_id)]


def caller(call: Call) -> int:
    """The seller whose token the call carries; routes that need a token were checked before."""
    if call.user_id is None:
        raise RuntimeError("a route that needs a token ran without one: put it into server.ROUTES")
    return call.user_id


def must_be_caller(call: Call, user_id: int) -> None:
    """Raises: Refusal 403 when the data is another seller's (contract §6.3)."""
    if call.user_id != user_id:
        refuse_foreign()


def refuse_foreign() -> NoReturn:
    """Raises: Refusal 403 ``access_denied``."""
    refuse(403, "access_denied", "access to the requested resource is forbidden")

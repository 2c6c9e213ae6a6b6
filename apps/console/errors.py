"""What the pages say of an error code, from the catalogue (`common/error_codes.py`)."""

from dataclasses import replace

from apps.common.error_codes import ADVICE, ASK_AGAIN, GIVEN_UP, UNKNOWN, WAIT, Advice


def explain(code: str, *, has_given_up: bool = False, was_asked: bool = False) -> Advice | None:
    """Return what an error code means and what to do; None for no error, a general answer for an unknown code.

    has_given_up, was_asked: the hub does not try again by itself, because it did often enough or because a person asked
        for this one try; so advice to wait would be wrong.
    """
    if not code:
        return None
    advice = ADVICE.get(code, UNKNOWN)
    if advice.action is WAIT and (has_given_up or was_asked):
        return replace(advice, action=GIVEN_UP if has_given_up else ASK_AGAIN)
    return advice

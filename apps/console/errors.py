"""What the pages say of an error code, from the catalogue (`common/error_codes.py`)."""

from dataclasses import replace

from apps.common.error_codes import ADVICE, GIVEN_UP, UNKNOWN, WAIT, Advice


def explain(code: str, *, has_given_up: bool = False) -> Advice | None:
    """Return what an error code means and what to do; None for no error, a general answer for an unknown code.

    has_given_up: the hub does not try again by itself, so advice to wait would be wrong.
    """
    if not code:
        return None
    advice = ADVICE.get(code, UNKNOWN)
    return replace(advice, action=GIVEN_UP) if has_given_up and advice.action is WAIT else advice

"""Numbers as people type them. Where pages write a thousand as 1.000, who types 1.000 means a thousand.

Django's own fields read that as 1 (a decimal point and nothing behind it), so a pallet was booked as one unit.
"""

import re
from typing import Any

from django import forms
from django.utils.formats import get_format

PLAIN = re.compile(r"[+-]?\d+")


def ungrouped(text: str) -> str:
    """Return a number without the separators of its thousands, as the reader's language has them; else the text.

    What stands before a decimal separator is looked at alone: `1.234,56` becomes `1234,56`.
    """
    thousands, decimal = str(get_format("THOUSAND_SEPARATOR")), str(get_format("DECIMAL_SEPARATOR"))
    whole, separator, fraction = text.strip().partition(decimal)
    if re.fullmatch(rf"[+-]?\d{{1,3}}({re.escape(thousands)}\d{{3}})+", whole):
        whole = whole.replace(thousands, "")
    return f"{whole}{separator}{fraction}"


class WholeNumber(forms.IntegerField):
    """Units: `1000`, or `1.000` where that is how a thousand is written. A fraction is refused, also one of zeros.

    A text field: browsers disagree on what a dot in a field for numbers is.
    """

    widget = forms.TextInput

    def to_python(self, value: Any) -> int | None:
        """Return the number, or None for nothing. Raises ValidationError."""
        text = ungrouped(str(value)) if value is not None else ""
        if text and not PLAIN.fullmatch(text):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(text)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Have phones show their digits."""
        return {**super().widget_attrs(widget), "inputmode": "numeric", "autocomplete": "off"}


class Amount(forms.DecimalField):
    """An amount: `1234,56` or `1.234,56`, as the reader's language writes it; `1.500` is 1500 there."""

    def to_python(self, value: Any) -> Any:
        """Return the amount, or None for nothing. Raises ValidationError."""
        return super().to_python(ungrouped(value) if isinstance(value, str) else value)

"""The console's forms."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.inventory.models import Product
from apps.tenants.access import of_tenant
from apps.tenants.models import Tenant


class MapListing(forms.Form):
    """Choose the product of a listing by its SKU. `product` holds the choice once the form is valid."""

    sku = forms.CharField(
        label=_("Product's SKU"),
        max_length=100,
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "list": "products"}),
    )

    def __init__(self, *args: Any, tenant: Tenant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant = tenant
        self.product: Product | None = None

    def clean_sku(self) -> str:
        """Find the product among the tenant's own; say what to do when there is none."""
        sku: str = self.cleaned_data["sku"].strip()
        self.product = of_tenant(self.tenant, Product.objects.filter(sku=sku)).first()
        if self.product is None:
            raise forms.ValidationError(
                _("No product has the SKU “%(sku)s”; nothing was changed. Correct the SKU, or add the product first."),
                params={"sku": sku},
            )
        return sku

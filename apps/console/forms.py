"""The console's forms."""

from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from apps.connectors.models import Connector, StatusMapping
from apps.inventory.models import Product
from apps.orders.rules import ORDER_WORDS
from apps.tenants.access import of_tenant
from apps.tenants.models import Tenant

CSV_BYTES_MAX = 1024 * 1024


class ChooseProduct(forms.Form):
    """Choose a product by its SKU. `product` holds the choice once the form is valid."""

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


class PauseConnector(forms.Form):
    """Say why a connector stops."""

    reason = forms.CharField(
        label=_("Why"), max_length=300, widget=forms.TextInput({"autocomplete": "off", "maxlength": 300})
    )


class MapListing(ChooseProduct):
    """Choose the product of a listing."""


class MapSku(ChooseProduct):
    """Say which product a SKU of the channel is."""

    external_sku = forms.CharField(
        label=_("SKU at the channel"), max_length=100, widget=forms.TextInput({"autocomplete": "off"})
    )
    field_order = ("external_sku", "sku")


class MapStatus(forms.Form):
    """Say what a status of the channel means."""

    external_status = forms.CharField(
        label=_("Status on the channel"), max_length=64, widget=forms.TextInput({"autocomplete": "off"})
    )
    meaning = forms.ChoiceField(label=_("Meaning"), choices=StatusMapping.Meaning.choices)
    is_terminal = forms.BooleanField(label=_("Nothing comes after it"), required=False)

    def clean_external_status(self) -> str:
        """Refuse what the hub knows already: that meaning is not for anybody to change."""
        word: str = self.cleaned_data["external_status"].strip().lower()
        if word in ORDER_WORDS:
            raise forms.ValidationError(
                _("Saldo knows what “%(word)s” means; only statuses it does not know are mapped."),
                params={"word": word},
            )
        return word


class SecretField(forms.CharField):
    """A secret that is written and never shown again: a form that comes back comes back without it."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.PasswordInput({"autocomplete": "off", "spellcheck": "false"}, render_value=False)
        visible = RegexValidator(
            r"^[\x21-\x7e]+$", _("A secret has no blanks and no accented letters: paste it again.")
        )
        super().__init__(max_length=2048, widget=widget, validators=[visible], **kwargs)


class NewConnector(forms.Form):
    """The application at the channel that a new connector speaks through."""

    name = forms.CharField(
        label=_("Name"), max_length=100, initial="Mercado Livre", widget=forms.TextInput({"autocomplete": "off"})
    )
    client_id = forms.RegexField(
        r"^[0-9A-Za-z_-]{1,128}$",
        label="client_id",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "inputmode": "numeric"}),
        error_messages={"invalid": _("An application's id is a number, without blanks or dots: copy it again.")},
    )
    client_secret = SecretField(label="client_secret")
    kind = Connector.Kind.MERCADO_LIVRE


class ReplaceSecrets(forms.Form):
    """Another secret of the application, or a token got elsewhere. What is left empty stays as it is."""

    client_secret = SecretField(label=_("New client_secret"), required=False)
    refresh_token = SecretField(label=_("New refresh_token, if you got one elsewhere"), required=False)

    def clean(self) -> dict[str, Any]:
        """Refuse a form that would change nothing."""
        said = super().clean() or {}
        if not self.errors and not any(said.values()):
            raise forms.ValidationError(_("Nothing was entered, so nothing was changed."))
        return said


class CsvFile(forms.Form):
    """A CSV of mappings. `text` holds what is in it once the form is valid."""

    file = forms.FileField(label=_("CSV file"))
    text = ""

    def clean_file(self) -> Any:
        """Read the file; UTF-8 or what spreadsheets write on Windows."""
        file = self.cleaned_data["file"]
        if file.size > CSV_BYTES_MAX:
            raise forms.ValidationError(_("The file is larger than 1 MB; nothing was changed. Split it."))
        content = file.read()
        try:
            self.text = content.decode("utf-8")
        except UnicodeDecodeError:
            self.text = content.decode("cp1252", "replace")
        if "\x00" in self.text:
            raise forms.ValidationError(_("This is not a CSV file; nothing was changed."))
        return file


class CsvText(forms.Form):
    """The same text, sent again by somebody who saw what it would change."""

    text = forms.CharField(max_length=CSV_BYTES_MAX, strip=False)

"""What was sold on the channels.

An **order** is one sale as a channel told it, known by the channel's own id; its **items** are the units sold. What it
holds of stock are the ledger's reservations that name it (`reference_type="order"`). A **package** is the parcel its
goods leave in; the orders of one pack share one. The **recipient** is who it is for: the only personal data, sealed, in
a row of its own, so that it can be forgotten while the sale stays.

RECEBIDO -> PRONTO (label here, nothing in the way) -> RETIRADO, or CANCELADO from anywhere: `rules.py` says when.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.connectors.models import Connector, Listing
from apps.inventory.models import Product
from apps.tenants.models import Tenant


class Package(models.Model):
    """A parcel as a channel told it, with the label that was printed for it."""

    class Status(models.TextChoices):
        WAITING = "AGUARDANDO", _("Waiting for its label")
        READY = "PRONTO", _("Ready for pick-up")
        PICKED_UP = "RETIRADO", _("Picked up")
        CANCELLED = "CANCELADO", _("Cancelled")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    connector = models.ForeignKey(Connector, models.PROTECT, related_name="+", verbose_name=_("connector"))
    channel = models.CharField(_("channel"), max_length=32, db_column="canal")
    external_id = models.CharField(_("shipment"), max_length=64)
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.WAITING)
    channel_status = models.CharField(_("status on the channel"), max_length=64, blank=True)
    channel_substatus = models.CharField(_("substatus on the channel"), max_length=64, blank=True)
    logistic_type = models.CharField(_("logistics"), max_length=32, blank=True)
    tracking_number = models.CharField(_("tracking number"), max_length=64, blank=True)
    weight_g = models.PositiveIntegerField(_("weight (g)"), null=True, db_column="peso")
    dimensions = models.CharField(_("height x width x length (cm)"), max_length=64, blank=True, db_column="dimensoes")
    label_enc = models.TextField(editable=False, blank=True, db_column="etiqueta_externa")  # holds an address: sealed
    label_format = models.CharField(_("label format"), max_length=8, blank=True)  # PDF or ZPL
    position_id = models.BigIntegerField(_("position in Saldo"), null=True, blank=True, db_column="posicao_id")
    channel_updated_at = models.DateTimeField(_("changed on the channel at"), null=True)
    created_at = models.DateTimeField(_("received at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "volume"
        verbose_name = _("package")
        verbose_name_plural = _("packages")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "channel", "external_id"], name="ux_volume_external")
        ]

    def __str__(self) -> str:
        return self.external_id


class Order(models.Model):
    """One sale as a channel told it."""

    class Status(models.TextChoices):
        RECEIVED = "RECEBIDO", _("Received")
        READY = "PRONTO", _("Ready for pick-up")
        PICKED_UP = "RETIRADO", _("Picked up")
        CANCELLED = "CANCELADO", _("Cancelled")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    connector = models.ForeignKey(Connector, models.PROTECT, related_name="+", verbose_name=_("connector"))
    channel = models.CharField(_("channel"), max_length=32, db_column="canal")
    external_id = models.CharField(_("order number"), max_length=128)
    pack_id = models.CharField(_("pack"), max_length=64, blank=True)
    shipment_id = models.CharField(_("shipment"), max_length=64, blank=True)
    status = models.CharField(_("status"), max_length=16, choices=Status)
    channel_status = models.CharField(_("status on the channel"), max_length=64)
    flags = ArrayField(  # what a person should look at: rules.Flag
        models.CharField(max_length=32), default=list, blank=True, verbose_name=_("to look at")
    )
    package = models.ForeignKey(
        Package, models.PROTECT, null=True, blank=True, related_name="orders", verbose_name=_("package")
    )
    ready_at = models.DateTimeField(_("ready at"), null=True)
    picked_up_at = models.DateTimeField(_("picked up at"), null=True)
    total_amount = models.DecimalField(_("total"), max_digits=15, decimal_places=2, null=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    ordered_at = models.DateTimeField(_("ordered at"), null=True)
    channel_updated_at = models.DateTimeField(_("changed on the channel at"), null=True)
    content_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(_("received at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "pedido"
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "channel", "external_id"], name="ux_pedido_external")
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "channel", "status", "created_at"], name="ix_pedido_status"),
            models.Index(fields=["tenant", "-created_at", "-id"], name="ix_pedido_newest"),
            # a number or its beginning, and the pack it came in: what people type
            models.Index(fields=["tenant", "external_id"], name="ix_pedido_number"),
            models.Index(fields=["tenant", "pack_id"], condition=~models.Q(pack_id=""), name="ix_pedido_pack"),
        ]

    def __str__(self) -> str:
        return self.external_id


class OrderItem(models.Model):
    """Units of one listing in an order."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="items", verbose_name=_("order"))
    listing = models.ForeignKey(Listing, models.PROTECT, related_name="+", verbose_name=_("listing"))
    product = models.ForeignKey(Product, models.PROTECT, related_name="+", verbose_name=_("product"))
    seller_sku = models.CharField(_("seller's SKU"), max_length=100, blank=True)
    title = models.CharField(_("title"), max_length=300, blank=True)
    quantity = models.PositiveIntegerField(_("quantity"))
    unit_price = models.DecimalField(_("unit price"), max_digits=15, decimal_places=2, null=True)
    # Decided when the order came in: the channel's own warehouse (Full) may take a listing over later.
    is_own_stock = models.BooleanField(_("from own stock"))

    TENANT_PATH: ClassVar[str] = "order__tenant"

    class Meta:
        db_table = "pedido_item"
        verbose_name = _("order item")
        verbose_name_plural = _("order items")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(quantity__gt=0), name="order_item_of_something")
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.title}"


class Recipient(models.Model):
    """Who an order is for: the least that the requirement asks, sealed (LGPD). `recipients.py` reads and forgets it."""

    order = models.OneToOneField(Order, models.CASCADE, primary_key=True, related_name="recipient")
    name_enc = models.TextField(editable=False, blank=True)
    document_enc = models.TextField(editable=False, blank=True)
    phone_enc = models.TextField(editable=False, blank=True)
    # a keyed hash of the document, so that all of one person's orders are found without opening any
    document_digest = models.CharField(max_length=64, blank=True, editable=False, db_index=True)
    created_at = models.DateTimeField(_("received at"), auto_now_add=True)

    TENANT_PATH: ClassVar[str] = "order__tenant"

    class Meta:
        db_table = "pedido_destinatario"
        verbose_name = _("recipient")
        verbose_name_plural = _("recipients")

    def __str__(self) -> str:
        return f"#{self.order_id}"

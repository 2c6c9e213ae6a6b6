"""What was sold on the channels.

An **order** is one sale as a channel told it, known by the channel's own id; its **items** are the units sold. What it
holds of stock are the ledger's reservations that name it (`reference_type="order"`).
"""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.connectors.models import Connector, Listing
from apps.inventory.models import Product
from apps.tenants.models import Tenant


class Order(models.Model):
    """One sale as a channel told it."""

    class Status(models.TextChoices):
        RECEIVED = "RECEBIDO", _("Received")
        CANCELLED = "CANCELADO", _("Cancelled")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    connector = models.ForeignKey(Connector, models.PROTECT, related_name="+", verbose_name=_("connector"))
    channel = models.CharField(_("channel"), max_length=32, db_column="canal")
    external_id = models.CharField(_("order number"), max_length=128)
    pack_id = models.CharField(_("pack"), max_length=64, blank=True)
    shipment_id = models.CharField(_("shipment"), max_length=64, blank=True)
    status = models.CharField(_("status"), max_length=16, choices=Status)
    channel_status = models.CharField(_("status on the channel"), max_length=64)
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

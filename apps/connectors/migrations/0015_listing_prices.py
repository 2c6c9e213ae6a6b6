import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0014_sales_in_flight")]

    operations = [
        migrations.CreateModel(
            name="ListingPrice",
            fields=[
                (
                    "listing",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="asked_price",
                        serialize=False,
                        to="connectors.listing",
                        verbose_name="listing",
                    ),
                ),
                ("price", models.DecimalField(decimal_places=2, max_digits=12, verbose_name="price")),
                (
                    "accepted_price",
                    models.DecimalField(
                        decimal_places=2, max_digits=12, null=True, verbose_name="accepted by the channel"
                    ),
                ),
                ("due_at", models.DateTimeField(null=True, verbose_name="due at")),
                ("lease_id", models.UUIDField(null=True)),
                ("attempts", models.PositiveIntegerField(default=0, verbose_name="tries")),
                ("error_code", models.CharField(blank=True, max_length=64, verbose_name="error code")),
                ("error", models.CharField(blank=True, max_length=500, verbose_name="error")),
                ("asked_by", models.CharField(max_length=100, verbose_name="who")),
                ("asked_at", models.DateTimeField(verbose_name="when")),
            ],
            options={
                "verbose_name": "price of a listing",
                "verbose_name_plural": "prices of listings",
                "db_table": "integracao_anuncio_preco",
                "indexes": [
                    models.Index(
                        condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="listing_price_due"
                    )
                ],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("price__gt", 0)), name="listing_price_of_something")
                ],
            },
        ),
    ]

"""Reservations expire. That a key works once is `inventory_keys`' promise alone: one index fewer on the hot path."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0007_balances_know_more")]

    operations = [
        migrations.AddField(
            model_name="reservation",
            name="confirmed_quantity",
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name="confirmed quantity"),
        ),
        migrations.AddField(
            model_name="reservation",
            name="expires_at",
            field=models.DateTimeField(null=True, verbose_name="expires at"),
        ),
        migrations.AddField(
            model_name="reservation",
            name="requester_id",
            field=models.CharField(db_default="", default="", max_length=128, verbose_name="requester"),
        ),
        migrations.AddField(
            model_name="reservation",
            name="ttl_seconds",
            field=models.PositiveIntegerField(null=True, verbose_name="time to live (s)"),
        ),
        migrations.RemoveConstraint(
            model_name="reservation",
            name="reservation_once_per_key_and_place",
        ),
        migrations.RemoveIndex(
            model_name="reservation",
            name="reservation_open",
        ),
        migrations.RemoveIndex(
            model_name="reservation",
            name="reservation_by_reference",
        ),
        migrations.AddIndex(
            model_name="reservation",
            index=models.Index(
                condition=models.Q(("status", "PENDING")),
                fields=["tenant", "product", "location", "expires_at"],
                name="reservation_open",
            ),
        ),
        migrations.AddIndex(
            model_name="reservation",
            index=models.Index(
                condition=models.Q(("expires_at__isnull", False), ("status", "PENDING")),
                fields=["expires_at"],
                name="reservation_due",
            ),
        ),
        migrations.AddIndex(
            model_name="reservation",
            index=models.Index(
                condition=models.Q(("reference_type", ""), _negated=True),
                fields=["tenant", "reference_type", "reference_id"],
                name="reservation_by_reference",
            ),
        ),
    ]

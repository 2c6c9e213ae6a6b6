from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0007_kinds_of_listings"),
        ("inventory", "0017_movements_of_a_tenant"),
        ("tenants", "0004_feature_flags"),
    ]

    operations = [
        migrations.AddField(
            model_name="connector",
            name="buffer_units",
            field=models.PositiveIntegerField(
                default=0,
                help_text="Taken off what the margin leaves, for sales not heard of yet.",
                verbose_name="held back (units)",
            ),
        ),
        migrations.AddField(
            model_name="connector",
            name="cap_units",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Never more than this is published; empty: no limit.",
                null=True,
                verbose_name="at most (units)",
            ),
        ),
        migrations.AddField(
            model_name="connector",
            name="end_when_units",
            field=models.PositiveIntegerField(
                default=0, help_text="At this number or below it, zero is published.", verbose_name="end at (units)"
            ),
        ),
        migrations.AddField(
            model_name="listing",
            name="buffer_units",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="held back (units)"),
        ),
        migrations.AddField(
            model_name="listing",
            name="cap_units",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="at most (units)"),
        ),
        migrations.AddField(
            model_name="listing",
            name="end_when_units",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="end at (units)"),
        ),
        migrations.AddField(
            model_name="listing",
            name="margin_percent",
            field=models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="margin (%)"),
        ),
        migrations.AddConstraint(
            model_name="listing",
            constraint=models.CheckConstraint(
                condition=models.Q(("margin_percent__lte", 100)), name="listing_margin_at_most_100"
            ),
        ),
    ]

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0010_sold_there")]

    operations = [
        migrations.AddField(
            model_name="connector",
            name="zero_limit_percent",
            field=models.PositiveSmallIntegerField(
                default=20,
                help_text="When more listings than this would go to zero within an hour, they wait for a person.",
                verbose_name="zeros held above (%)",
            ),
        ),
        migrations.AddField(
            model_name="connector",
            name="zeros_released_at",
            field=models.DateTimeField(editable=False, null=True, verbose_name="zeros let through at"),
        ),
        migrations.AddField(
            model_name="listing",
            name="held_at",
            field=models.DateTimeField(null=True, verbose_name="held at"),
        ),
        migrations.AddField(
            model_name="listing",
            name="zeroing_since",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name="listing",
            index=models.Index(
                condition=models.Q(("zeroing_since__isnull", False)),
                fields=["connector", "zeroing_since"],
                name="listing_zeroing",
            ),
        ),
        migrations.AddConstraint(
            model_name="connector",
            constraint=models.CheckConstraint(
                condition=models.Q(("zero_limit_percent__lte", 100)), name="connector_zero_limit_at_most_100"
            ),
        ),
    ]

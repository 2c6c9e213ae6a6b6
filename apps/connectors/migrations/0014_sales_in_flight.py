from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0013_depots")]

    operations = [
        migrations.AddField(model_name="listing", name="sales_baseline", field=models.IntegerField(null=True)),
        migrations.AddField(model_name="listing", name="sales_since", field=models.DateTimeField(null=True)),
        migrations.AddField(model_name="listing", name="in_flight_units", field=models.IntegerField(default=0)),
        migrations.AddField(model_name="listing", name="in_flight_since", field=models.DateTimeField(null=True)),
        migrations.AddIndex(
            model_name="listing",
            index=models.Index(
                condition=models.Q(("user_product_id", ""), _negated=True),
                fields=["connector", "user_product_id"],
                name="listing_user_product",
            ),
        ),
    ]

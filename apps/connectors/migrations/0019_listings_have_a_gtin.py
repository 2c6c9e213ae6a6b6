"""The bar code of what a listing sells, as the channel shows it; the next import fills it in."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0018_what_the_console_looks_for")]

    operations = [
        migrations.AddField(
            model_name="listing",
            name="gtin",
            field=models.CharField(blank=True, db_default="", default="", max_length=14, verbose_name="GTIN"),
        ),
    ]

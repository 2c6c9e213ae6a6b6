from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0006_errands")]

    operations = [
        migrations.AddField(
            model_name="connector",
            name="has_depots",
            field=models.BooleanField(
                default=False, editable=False, verbose_name="sells from depots of its own at the channel"
            ),
        ),
        migrations.AddField(
            model_name="listing",
            name="capability",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "Not read yet"),
                    ("SIMPLES", "Plain listing"),
                    ("VARIACAO", "Variation of a listing"),
                    ("USER_PRODUCT", "User product"),
                    ("MULTI_ORIGEM", "User product in several depots"),
                    ("FULL", "Full: the channel's own warehouse (read only)"),
                    ("KIT", "Kit: counted from its parts by the channel (read only)"),
                    ("MIGRADO", "Replaced by listings of user products (read only)"),
                ],
                db_column="capacidade",
                default="",
                max_length=16,
                verbose_name="kind of listing",
            ),
        ),
    ]

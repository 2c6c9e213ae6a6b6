import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0002_packages"),
    ]

    operations = [
        migrations.AddField(
            model_name="order",
            name="flags",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=32),
                blank=True,
                default=list,
                size=None,
                verbose_name="to look at",
            ),
        ),
        migrations.AddField(
            model_name="order",
            name="picked_up_at",
            field=models.DateTimeField(null=True, verbose_name="picked up at"),
        ),
        migrations.AddField(
            model_name="order",
            name="ready_at",
            field=models.DateTimeField(null=True, verbose_name="ready at"),
        ),
        migrations.AlterField(
            model_name="order",
            name="status",
            field=models.CharField(
                choices=[
                    ("RECEBIDO", "Received"),
                    ("PRONTO", "Ready for pick-up"),
                    ("RETIRADO", "Picked up"),
                    ("CANCELADO", "Cancelled"),
                ],
                max_length=16,
                verbose_name="status",
            ),
        ),
        migrations.AddField(
            model_name="order",
            name="package",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="orders",
                to="orders.package",
                verbose_name="package",
            ),
        ),
    ]

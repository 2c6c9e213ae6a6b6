import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0003_orders_become_ready"),
    ]

    operations = [
        migrations.CreateModel(
            name="Recipient",
            fields=[
                (
                    "order",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="recipient",
                        serialize=False,
                        to="orders.order",
                    ),
                ),
                ("name_enc", models.TextField(blank=True, editable=False)),
                ("document_enc", models.TextField(blank=True, editable=False)),
                ("phone_enc", models.TextField(blank=True, editable=False)),
                ("document_digest", models.CharField(blank=True, db_index=True, editable=False, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="received at")),
            ],
            options={
                "verbose_name": "recipient",
                "verbose_name_plural": "recipients",
                "db_table": "pedido_destinatario",
            },
        ),
    ]

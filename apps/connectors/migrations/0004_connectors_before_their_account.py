from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0003_mappings")]

    operations = [
        migrations.RemoveConstraint(model_name="connector", name="connector_account_once"),
        migrations.AlterField(
            model_name="connector",
            name="user_id",
            field=models.CharField(blank=True, db_column="external_user_id", max_length=64, verbose_name="account"),
        ),
        migrations.AddConstraint(
            model_name="connector",
            constraint=models.UniqueConstraint(
                condition=models.Q(("user_id", ""), _negated=True),
                fields=("kind", "user_id"),
                name="connector_account_once",
            ),
        ),
    ]

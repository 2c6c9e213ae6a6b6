from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sources", "0002_rows_of_one_tenant")]

    operations = [
        migrations.AddField(
            "sourceevent", "clock_offset_ms", models.IntegerField(null=True, verbose_name="clock ahead by (ms)")
        ),
    ]

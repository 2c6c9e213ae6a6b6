from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sources", "0003_clock_offset_of_arrival")]

    operations = [
        migrations.AddIndex(
            "sourceevent",
            models.Index(
                fields=["tenant", "occurred_at"],
                condition=models.Q(status="APPLIED", movement_type="COUNT"),
                name="event_counted",
            ),
        ),
    ]

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("listening", "0004_verdicts")]

    operations = [
        migrations.AddField(
            model_name="impression",
            name="counts",
            field=models.FloatField(
                default=1, help_text="As how many it counts: what was told in so many words says more."
            ),
        )
    ]

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("recommender", "0003_what_the_manager_learns")]

    operations = [migrations.RenameField(model_name="curve", old_name="skip", new_name="skipped")]

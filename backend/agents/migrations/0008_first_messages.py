from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agents", "0007_transcripts")]

    operations = [
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                fields=["conversation"], condition=models.Q(parent=None), name="message_first_of_conversation"
            ),
        ),
    ]

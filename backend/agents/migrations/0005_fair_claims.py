"""The index that finds a workspace's unfinished runs, and the function that claims the next of all."""

from pathlib import Path

from django.db import migrations, models

CLAIM = (Path(__file__).parent.parent / "claim.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("agents", "0004_offers_and_recovery")]

    operations = [
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                fields=["workspace", "id"],
                condition=models.Q(status__in=["queued", "running", "requires_action", "cancelling"]),
                name="run_unfinished",
            ),
        ),
        migrations.RunSQL(CLAIM, "DROP FUNCTION agents_claim_run(uuid, text, timestamptz, timestamptz, int)"),
    ]

"""What each step added to the transcript of its run, and a claim that keeps the time at which a continued run began."""

from pathlib import Path

import django.utils.timezone
from django.db import migrations, models

CLAIM = (Path(__file__).parent.parent / "claim.sql").read_text(encoding="utf-8")
QUEUED, AWAITING = models.Q(status="queued"), models.Q(awaits_knowledge=True)


class Migration(migrations.Migration):
    dependencies = [("agents", "0006_knowledge_in_waiting")]

    operations = [
        migrations.AddField("step", "messages", models.JSONField(null=True)),
        migrations.AddField("step", "sources", models.JSONField(null=True)),
        migrations.AddField("step", "side_effects", models.BooleanField(db_default=False, default=False)),
        migrations.RunSQL(CLAIM, migrations.RunSQL.noop),
        # The column keeps its name, so that processes of the version before go on during a deployment.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveIndex("run", "run_queued"),
                migrations.RemoveIndex("run", "run_awaiting"),
                migrations.RenameField("run", "rung_at", "notified_at"),
                migrations.AlterField(
                    "run",
                    "notified_at",
                    models.DateTimeField(db_column="rung_at", default=django.utils.timezone.now),
                ),
                migrations.AddIndex("run", models.Index(fields=["notified_at"], condition=QUEUED, name="run_queued")),
                migrations.AddIndex(
                    "run",
                    models.Index(fields=["workspace", "notified_at"], condition=AWAITING, name="run_awaiting"),
                ),
            ]
        ),
    ]

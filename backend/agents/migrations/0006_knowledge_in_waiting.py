"""Runs that wait for their documents to be read, and the claim that passes them over."""

from pathlib import Path

from django.db import migrations, models

CLAIM = (Path(__file__).parent.parent / "claim.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("agents", "0005_fair_claims")]

    operations = [
        migrations.AddField("run", "wait_for_knowledge", models.BooleanField(db_default=False, default=False)),
        migrations.AddField("run", "awaits_knowledge", models.BooleanField(db_default=False, default=False)),
        migrations.AddField("run", "knowledge", models.JSONField(null=True)),
        migrations.AddField("run", "language", models.CharField(blank=True, db_default="", default="", max_length=10)),
        migrations.AddIndex(
            "run",
            models.Index(
                fields=["workspace", "rung_at"], condition=models.Q(awaits_knowledge=True), name="run_awaiting"
            ),
        ),
        migrations.AddConstraint(
            "run",
            models.CheckConstraint(
                condition=models.Q(awaits_knowledge=False) | models.Q(status="queued"),
                name="run_awaits_knowledge_only_queued",
            ),
        ),
        migrations.RunSQL(CLAIM, migrations.RunSQL.noop),
    ]

"""What workspaces have in storage, and what has been spent on each ingestion."""

import django.db.models.deletion
from django.db import migrations, models

FILL = """
INSERT INTO documents_usage (workspace_id, bytes, documents)
SELECT d.workspace_id, sum(b.size), count(*) FROM documents_document d JOIN documents_blob b ON b.id = d.blob_id
WHERE d.deleted_at IS NULL GROUP BY d.workspace_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("documents", "0002_search_words"),
    ]

    operations = [
        migrations.CreateModel(
            name="Usage",
            fields=[
                (
                    "workspace",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="accounts.workspace",
                    ),
                ),
                ("bytes", models.PositiveBigIntegerField(default=0)),
                ("documents", models.PositiveIntegerField(default=0)),
                ("served_at", models.DateTimeField(null=True)),
            ],
            options={"verbose_name_plural": "usage"},
        ),
        migrations.AddField(
            model_name="ingestion",
            name="cpu_seconds",
            field=models.FloatField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="ingestion",
            name="seconds",
            field=models.FloatField(db_default=0, default=0),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]

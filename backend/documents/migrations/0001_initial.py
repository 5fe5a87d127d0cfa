import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import backend.http.ids


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0001_initial"),
        ("accounts", "__first__"),
    ]

    operations = [
        migrations.CreateModel(
            name="Corpus",
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
                ("chunks", models.PositiveIntegerField(default=0)),
                ("words", models.PositiveBigIntegerField(default=0)),
                ("counted_at", models.DateTimeField(null=True)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name="Blob",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sha256", models.CharField(max_length=64)),
                ("size", models.BigIntegerField()),
                ("content_type", models.CharField(max_length=128)),
                ("doomed_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.workspace"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("doomed_at", None)),
                        fields=("workspace", "sha256"),
                        name="blob_unique_in_workspace",
                    ),
                    models.CheckConstraint(condition=models.Q(("size__gt", 0)), name="blob_not_empty"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Collection",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                (
                    "language",
                    models.CharField(
                        choices=[("pt", "Portuguese"), ("en", "English"), ("und", "Undetermined")],
                        max_length=3,
                        null=True,
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.workspace"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["workspace", "-id"], name="collection_of_workspace")],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
        migrations.CreateModel(
            name="CollectionDocument",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "collection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="documents.collection"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Document",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=255)),
                ("metadata", models.JSONField(default=dict)),
                (
                    "claimed_language",
                    models.CharField(
                        choices=[("pt", "Portuguese"), ("en", "English"), ("und", "Undetermined")],
                        max_length=3,
                        null=True,
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("deleted_at", models.DateTimeField(null=True)),
                (
                    "blob",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="documents", to="documents.blob"
                    ),
                ),
                (
                    "collections",
                    models.ManyToManyField(
                        related_name="documents", through="documents.CollectionDocument", to="documents.collection"
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.workspace"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("deleted_at", None)),
                        fields=["workspace", "-id"],
                        name="document_of_workspace",
                    ),
                    models.Index(
                        condition=models.Q(("deleted_at", None), _negated=True),
                        fields=["deleted_at"],
                        name="document_deleted",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("deleted_at", None)), fields=("blob",), name="document_unique_per_blob"
                    )
                ],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
        migrations.AddField(
            model_name="collectiondocument",
            name="document",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="collection_documents",
                to="documents.document",
            ),
        ),
        migrations.CreateModel(
            name="Ingestion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("scanning", "Scanning"),
                            ("parsing", "Parsing"),
                            ("chunking", "Chunking"),
                            ("embedding", "Embedding"),
                            ("ready", "Ready"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="queued",
                        max_length=9,
                    ),
                ),
                (
                    "language",
                    models.CharField(
                        choices=[("pt", "Portuguese"), ("en", "English"), ("und", "Undetermined")],
                        max_length=3,
                        null=True,
                    ),
                ),
                ("epoch", models.PositiveIntegerField(default=0)),
                ("lease_until", models.DateTimeField(null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("published_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("paged", models.BooleanField(default=False)),
                ("pages_done", models.PositiveIntegerField(default=0)),
                ("pages_total", models.PositiveIntegerField(null=True)),
                ("text_length", models.PositiveIntegerField(default=0)),
                ("chunked_to", models.PositiveIntegerField(default=0)),
                ("chunk_count", models.PositiveIntegerField(default=0)),
                ("error_code", models.CharField(blank=True, max_length=32)),
                ("error_detail", models.TextField(blank=True)),
                ("error_retryable", models.BooleanField(default=False)),
                ("warnings", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("purged_at", models.DateTimeField(null=True)),
                (
                    "document",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="ingestions", to="documents.document"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("status__in", ["queued", "scanning", "parsing", "chunking", "embedding"])),
                        fields=["lease_until"],
                        name="ingestion_unfinished",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status__in", ["queued", "scanning", "parsing", "chunking", "embedding"])),
                        fields=("document",),
                        name="ingestion_one_unfinished",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("chunked_to__lte", models.F("text_length"))),
                        name="ingestion_chunks_within_text",
                    ),
                ],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
        migrations.AddField(
            model_name="document",
            name="active_ingestion",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="documents.ingestion"
            ),
        ),
        migrations.AddField(
            model_name="document",
            name="latest_ingestion",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="documents.ingestion"
            ),
        ),
        migrations.CreateModel(
            name="Chunk",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("index", models.PositiveIntegerField()),
                ("text", models.TextField()),
                ("page_from", models.PositiveIntegerField(null=True)),
                ("page_to", models.PositiveIntegerField(null=True)),
                ("char_start", models.PositiveIntegerField()),
                ("char_end", models.PositiveIntegerField()),
                (
                    "language",
                    models.CharField(
                        choices=[("pt", "Portuguese"), ("en", "English"), ("und", "Undetermined")], max_length=3
                    ),
                ),
                ("words", django.contrib.postgres.search.SearchVectorField()),
                ("length", models.PositiveIntegerField()),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.workspace",
                    ),
                ),
                (
                    "document",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="documents.document",
                    ),
                ),
                (
                    "ingestion",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="documents.ingestion",
                    ),
                ),
            ],
            options={
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(fastupdate=False, fields=["words"], name="chunk_words"),
                    models.Index(fields=["document"], name="chunk_of_document"),
                    models.Index(fields=["workspace"], name="chunk_of_workspace"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("ingestion", "index"), name="chunk_unique"),
                    models.CheckConstraint(
                        condition=models.Q(("char_end__gt", models.F("char_start"))), name="chunk_span_not_empty"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("page_from", None), ("page_to", None)),
                            ("page_to__gte", models.F("page_from")),
                            _connector="OR",
                        ),
                        name="chunk_pages_in_order",
                    ),
                ],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
        migrations.CreateModel(
            name="Page",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("number", models.PositiveIntegerField()),
                ("char_start", models.PositiveIntegerField()),
                ("text", models.TextField(blank=True)),
                ("lines", models.JSONField(default=list)),
                (
                    "ingestion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="pages", to="documents.ingestion"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("ingestion", "number"), name="page_unique")],
            },
        ),
        migrations.CreateModel(
            name="WordFrequency",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "language",
                    models.CharField(
                        choices=[("pt", "Portuguese"), ("en", "English"), ("und", "Undetermined")], max_length=3
                    ),
                ),
                ("lexeme", models.TextField()),
                ("chunks", models.PositiveIntegerField()),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.workspace",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("workspace", "language", "lexeme"), name="word_frequency_unique")
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="collectiondocument",
            constraint=models.UniqueConstraint(fields=("collection", "document"), name="collection_document_unique"),
        ),
    ]

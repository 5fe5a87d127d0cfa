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
        ("documents", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Agent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=150)),
                (
                    "visibility",
                    models.CharField(
                        choices=[("private", "Private"), ("workspace", "Workspace")], default="workspace", max_length=9
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("deleted_at", models.DateTimeField(editable=False, null=True)),
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
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.workspace"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("deleted_at", None)), fields=["workspace", "-id"], name="agent_of_workspace"
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("visibility__in", ["private", "workspace"])), name="agent_visibility_known"
                    ),
                    models.CheckConstraint(condition=models.Q(("name", ""), _negated=True), name="agent_named"),
                ],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
        migrations.CreateModel(
            name="AgentVersion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("instructions", models.TextField(blank=True)),
                ("model", models.CharField(max_length=200)),
                ("settings", models.JSONField(default=dict)),
                ("tools", models.JSONField(default=list)),
                ("limits", models.JSONField(default=dict)),
                ("starters", models.JSONField(default=list)),
                ("output_schema", models.JSONField(null=True)),
                ("variables", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "agent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="versions", to="agents.agent"
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
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("agent", "number"), name="agent_version_number_unique"),
                    models.CheckConstraint(
                        condition=models.Q(("number__gte", 1)), name="agent_version_number_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("model", ""), _negated=True), name="agent_version_has_model"
                    ),
                ],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
        migrations.AddField(
            model_name="agent",
            name="version",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="agents.agentversion"
            ),
        ),
        migrations.CreateModel(
            name="Conversation",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("title", models.CharField(blank=True, max_length=200)),
                ("archived_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("deleted_at", models.DateTimeField(editable=False, null=True)),
                (
                    "agent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="conversations", to="agents.agent"
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.workspace"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("deleted_at", None)),
                        fields=["workspace", "created_by", "-updated_at", "-id"],
                        name="conversation_of_person",
                    ),
                    models.Index(
                        condition=models.Q(("deleted_at__isnull", False)),
                        fields=["deleted_at"],
                        name="conversation_to_purge",
                    ),
                ],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
        migrations.CreateModel(
            name="Knowledge",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveSmallIntegerField()),
                ("limit", models.PositiveSmallIntegerField(default=8)),
                (
                    "mode",
                    models.CharField(blank=True, choices=[("hybrid", "Hybrid"), ("lexical", "Lexical")], max_length=7),
                ),
                (
                    "collection",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="documents.collection",
                    ),
                ),
                (
                    "document",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="documents.document",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="knowledge", to="agents.agentversion"
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
                "constraints": [
                    models.UniqueConstraint(fields=("version", "position"), name="knowledge_position_unique"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("collection", None), ("document__isnull", False)),
                            models.Q(("collection__isnull", False), ("document", None)),
                            _connector="OR",
                        ),
                        name="knowledge_is_collection_or_document",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("limit__gte", 1), ("limit__lte", 50)), name="knowledge_limit_in_range"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("mode__in", ["", "hybrid", "lexical"])), name="knowledge_mode_known"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("role", models.CharField(choices=[("user", "User"), ("assistant", "Assistant")], max_length=9)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("streaming", "Streaming"),
                            ("complete", "Complete"),
                            ("interrupted", "Interrupted"),
                            ("failed", "Failed"),
                        ],
                        default="complete",
                        max_length=11,
                    ),
                ),
                ("parts", models.JSONField(default=list)),
                ("citations", models.JSONField(default=list)),
                ("usage", models.JSONField(default=dict)),
                ("cost", models.BigIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "conversation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="messages", to="agents.conversation"
                    ),
                ),
                (
                    "parent",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="children",
                        to="agents.message",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["conversation", "id"], name="message_of_conversation")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("role__in", ["user", "assistant"])), name="message_role_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["streaming", "complete", "interrupted", "failed"])),
                        name="message_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("role", "assistant"), ("status", "complete"), _connector="OR"),
                        name="message_user_complete",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("role", "user"), ("parent__isnull", False), _connector="OR"),
                        name="message_answers_one",
                    ),
                    models.CheckConstraint(condition=models.Q(("cost__gte", 0)), name="message_cost_not_negative"),
                ],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
        migrations.CreateModel(
            name="Feedback",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("rating", models.SmallIntegerField()),
                ("comment", models.TextField(blank=True)),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "message",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="feedback", to="agents.message"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("message", "user"), name="feedback_unique"),
                    models.CheckConstraint(condition=models.Q(("rating__in", [-1, 1])), name="feedback_rating_known"),
                ],
            },
        ),
        migrations.AddField(
            model_name="conversation",
            name="head",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="agents.message"
            ),
        ),
        migrations.CreateModel(
            name="Run",
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
                            ("running", "Running"),
                            ("requires_action", "Requires Action"),
                            ("cancelling", "Cancelling"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="queued",
                        max_length=15,
                    ),
                ),
                ("waits", models.BooleanField(default=False)),
                ("attempt", models.PositiveSmallIntegerField(default=1)),
                ("epoch", models.PositiveIntegerField(default=0)),
                ("lease_owner", models.CharField(blank=True, max_length=128)),
                ("lease_until", models.DateTimeField(null=True)),
                ("rung_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("cancel_requested_at", models.DateTimeField(null=True)),
                ("currency", models.CharField(max_length=3)),
                ("reserved", models.BigIntegerField(default=0)),
                ("max_cost", models.BigIntegerField(null=True)),
                ("cost", models.BigIntegerField(default=0)),
                ("usage", models.JSONField(default=dict)),
                ("error", models.JSONField(null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "agent_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="agents.agentversion"
                    ),
                ),
                (
                    "conversation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="runs", to="agents.conversation"
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "input_message",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="agents.message"
                    ),
                ),
                (
                    "output_message",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="run", to="agents.message"
                    ),
                ),
                (
                    "retry_of",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="agents.run"
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.workspace"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["workspace", "created_by", "-id"], name="run_of_person"),
                    models.Index(
                        condition=models.Q(("status__in", ("running", "cancelling"))),
                        fields=["lease_until"],
                        name="run_lease",
                    ),
                    models.Index(condition=models.Q(("status", "queued")), fields=["rung_at"], name="run_queued"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                [
                                    "queued",
                                    "running",
                                    "requires_action",
                                    "cancelling",
                                    "completed",
                                    "failed",
                                    "cancelled",
                                ],
                            )
                        ),
                        name="run_status_known",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("status__in", ("queued", "running", "requires_action", "cancelling")), ("waits", False)
                        ),
                        fields=("conversation",),
                        name="run_one_active_per_conversation",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("waits", False), ("status", "queued"), _connector="OR"),
                        name="run_waits_only_queued",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("finished_at__isnull", False), ("status__in", ("completed", "failed", "cancelled"))
                            ),
                            models.Q(
                                models.Q(("status__in", ("completed", "failed", "cancelled")), _negated=True),
                                ("finished_at", None),
                            ),
                            _connector="OR",
                        ),
                        name="run_finished_at_iff_terminal",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("lease_until__isnull", False),
                                ("status__in", ("running", "cancelling")),
                                models.Q(("lease_owner", ""), _negated=True),
                            ),
                            models.Q(
                                models.Q(("status__in", ("running", "cancelling")), _negated=True),
                                ("lease_owner", ""),
                                ("lease_until", None),
                            ),
                            _connector="OR",
                        ),
                        name="run_leased_iff_running",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("error__isnull", False), ("status", "failed")),
                            models.Q(models.Q(("status", "failed"), _negated=True), ("error", None)),
                            _connector="OR",
                        ),
                        name="run_error_iff_failed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status__in", ["running", "completed"]), _negated=True),
                            ("started_at__isnull", False),
                            _connector="OR",
                        ),
                        name="run_started",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", "cancelling"), _negated=True),
                            ("cancel_requested_at__isnull", False),
                            _connector="OR",
                        ),
                        name="run_cancelling_was_requested",
                    ),
                    models.CheckConstraint(condition=models.Q(("attempt__gte", 1)), name="run_attempt_positive"),
                    models.CheckConstraint(condition=models.Q(("cost__gte", 0)), name="run_cost_not_negative"),
                    models.CheckConstraint(condition=models.Q(("reserved__gte", 0)), name="run_reserved_not_negative"),
                    models.CheckConstraint(
                        condition=models.Q(("max_cost", None), ("max_cost__gte", 0), _connector="OR"),
                        name="run_max_cost_not_negative",
                    ),
                ],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
        migrations.CreateModel(
            name="Step",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("attempt", models.PositiveSmallIntegerField()),
                ("index", models.PositiveSmallIntegerField()),
                ("kind", models.CharField(choices=[("model", "Model"), ("tool", "Tool")], max_length=5)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("provider", models.CharField(blank=True, max_length=100)),
                ("request", models.JSONField(default=dict)),
                ("reply", models.JSONField(default=dict)),
                ("usage", models.JSONField(default=dict)),
                ("cost", models.DecimalField(decimal_places=12, default=0, max_digits=24)),
                ("error", models.JSONField(null=True)),
                ("started_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="steps", to="agents.run"
                    ),
                ),
            ],
            options={
                "ordering": ["attempt", "index"],
                "constraints": [
                    models.UniqueConstraint(fields=("run", "attempt", "index"), name="step_unique"),
                    models.CheckConstraint(condition=models.Q(("kind__in", ["model", "tool"])), name="step_kind_known"),
                    models.CheckConstraint(
                        condition=models.Q(("index__gte", 1), ("attempt__gte", 1)), name="step_counts_from_one"
                    ),
                    models.CheckConstraint(condition=models.Q(("cost__gte", 0)), name="step_cost_not_negative"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("kind", "tool"),
                            models.Q(models.Q(("model", ""), _negated=True), models.Q(("provider", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="step_of_model_names_it",
                    ),
                ],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
    ]

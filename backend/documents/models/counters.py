"""Counters of workspaces: storage usage, and the statistics of large search indexes."""

from django.db import models
from django.utils import timezone

from backend.documents.models.files import Language


class Usage(models.Model):
    """The bytes and documents of a workspace that count against its quota, and when its queue was last served.

    Deleted documents do not count. The row is the last that a transaction locks: document, ingestion, usage.
    """

    workspace = models.OneToOneField("accounts.Workspace", primary_key=True, on_delete=models.CASCADE, related_name="+")
    bytes = models.PositiveBigIntegerField(default=0)
    documents = models.PositiveIntegerField(default=0)
    served_at = models.DateTimeField(null=True)  # When a worker last claimed one of its ingestions.

    class Meta:
        verbose_name_plural = "usage"

    def __str__(self) -> str:
        return str(self.workspace)


class Corpus(models.Model):
    """The counted size of a workspace's search index. Searches in small workspaces count by themselves instead."""

    workspace = models.OneToOneField("accounts.Workspace", primary_key=True, on_delete=models.CASCADE, related_name="+")
    chunks = models.PositiveIntegerField(default=0)
    words = models.PositiveBigIntegerField(default=0)  # The sum of the chunks' lengths.
    counted_at = models.DateTimeField(null=True)  # The ``changed_at`` that the counts include.
    changed_at = models.DateTimeField(default=timezone.now)  # When chunks were last added or removed.

    def __str__(self) -> str:
        return f"{self.chunks} chunks"


class WordFrequency(models.Model):
    """In how many chunks of a large workspace a lexeme of a language occurs."""

    id = models.BigAutoField(primary_key=True)
    workspace = models.ForeignKey("accounts.Workspace", on_delete=models.CASCADE, related_name="+", db_index=False)
    language = models.CharField(max_length=3, choices=Language)
    lexeme = models.TextField()
    chunks = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "language", "lexeme"], name="word_frequency_unique")
        ]

    def __str__(self) -> str:
        return self.lexeme

"""Uploaded files, the progress of reading them, and the passages that search finds."""

from backend.documents.models.counters import Corpus, Usage, WordFrequency
from backend.documents.models.files import Blob, Collection, CollectionDocument, Document, DocumentQuerySet, Language
from backend.documents.models.ingestions import Chunk, Ingestion, Page

__all__ = [
    "Blob",
    "Chunk",
    "Collection",
    "CollectionDocument",
    "Corpus",
    "Document",
    "DocumentQuerySet",
    "Ingestion",
    "Language",
    "Page",
    "Usage",
    "WordFrequency",
]

"""News for the apps above."""

from django.dispatch import Signal

# How far a document has been read has changed, or it was deleted; sent after the commit. Keyword argument:
# document_id: UUID.
document_changed = Signal()

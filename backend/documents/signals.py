"""Signals to the apps above."""

from django.dispatch import Signal

# A document's processing state changed, or it was deleted; sent after the commit. Keyword argument: document_id: UUID.
document_changed = Signal()

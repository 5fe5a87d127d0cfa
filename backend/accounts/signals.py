"""Signals for the apps above, sent inside the transaction that makes the change."""

from django.dispatch import Signal

# A workspace exists. Keyword arguments: workspace_id: UUID, owner_id: UUID.
workspace_created = Signal()

# A user has verified an address, their primary one, for the first time. Keyword arguments: user_id: UUID, email: str.
primary_verified = Signal()

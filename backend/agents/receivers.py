"""Receives signals of accounts and documents: makes the first content, starts runs that waited for documents."""

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.dispatch import receiver

from backend.accounts import queries as accounts
from backend.accounts.signals import primary_verified, workspace_created
from backend.agents import demo, tasks
from backend.agents.models import Run
from backend.agents.runs import awaiting
from backend.documents import queries as documents
from backend.documents.signals import document_changed
from backend.errors import DomainError
from backend.llm.errors import CatalogError

logger = logging.getLogger(__name__)


@receiver(workspace_created)
def welcome(sender: object, *, workspace_id: UUID, owner_id: UUID, **_: Any) -> None:
    """Give a new workspace something to ask, where that is wanted.

    Where an address must be verified before anything can be asked, that waits for it: a sign-up then takes as long for
    an address that has an account already, and makes no workspace.
    """
    if settings.EMAIL_VERIFICATION != "mandatory" or accounts.has_verified_primary(owner_id):
        _make_demo_on_commit(workspace_id=workspace_id, owner_id=owner_id)


@receiver(primary_verified)
def welcome_after_verification(sender: object, *, user_id: UUID, **_: Any) -> None:
    if settings.EMAIL_VERIFICATION == "mandatory":
        _make_demo_on_commit(workspace_id=accounts.personal_workspace_id(user_id), owner_id=user_id)


def _make_demo_on_commit(*, workspace_id: UUID, owner_id: UUID) -> None:
    """Once the workspace is committed, because files are stored."""
    if settings.DEMO_CONTENT:
        language = accounts.language_of(owner_id)
        transaction.on_commit(
            lambda: _make_demo(workspace_id=workspace_id, owner_id=owner_id, language=language), robust=True
        )


def _make_demo(*, workspace_id: UUID, owner_id: UUID, language: str) -> None:
    """No registration is refused because the demo cannot be made."""
    try:
        demo.make(workspace_id=workspace_id, owner_id=owner_id, language=language)
    except (DomainError, CatalogError, OSError) as error:
        logger.warning("demo_not_made workspace=%s error=%s", workspace_id, error)


@receiver(document_changed)
def start_waiting_runs(sender: object, *, document_id: UUID, **_: Any) -> None:
    """Runs that waited for the document to be read, in the process that has read or deleted it."""
    if not Run.objects.awaiting_knowledge().exists():
        return
    workspace_id = documents.workspace_of(document_id)
    if workspace_id is not None:
        tasks.notify(awaiting.look_in(workspace_id))

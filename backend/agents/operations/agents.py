"""Making and changing agents. A change of what an agent does is a new version; runs keep the one they had."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from backend.accounts.actors import Actor
from backend.agents.models import Agent, AgentVersion, Knowledge
from backend.agents.readiness import readiness_of
from backend.agents.tools import search_knowledge
from backend.documents import queries as documents
from backend.errors import FieldError, Forbidden, NotFound
from backend.llm.catalog import catalog
from backend.llm.errors import UnknownModel

VERSIONED = ("instructions", "model", "settings", "tools", "limits", "starters", "output_schema", "variables")


class KnowledgeItem(TypedDict):
    """``collection`` or ``document`` is given, the other is None."""

    collection: UUID | None
    document: UUID | None
    limit: int
    mode: str


@transaction.atomic
def create_agent(*, actor: Actor, fields: Mapping[str, Any], knowledge: Sequence[KnowledgeItem]) -> Agent:
    """Make an agent with its first version. Without a model it gets the catalog's default.

    :raises UnknownModel: there is no such model, or none at all to default to.
    :raises NotFound: a document or collection that the workspace does not have.
    """
    actor.require("agents:write")
    return make_agent(workspace_id=actor.workspace_id, created_by_id=actor.user_id, fields=fields, knowledge=knowledge)


@transaction.atomic
def make_agent(
    *, workspace_id: UUID, created_by_id: UUID, fields: Mapping[str, Any], knowledge: Sequence[KnowledgeItem]
) -> Agent:
    """As ``create_agent``, on behalf of the product itself."""
    _check_knowledge(workspace_id, knowledge)
    own = {name: value for name, value in fields.items() if name not in VERSIONED}
    agent = Agent.objects.create(workspace_id=workspace_id, created_by_id=created_by_id, **own)
    versioned = {name: value for name, value in fields.items() if name in VERSIONED}
    versioned["model"] = model_id(versioned.get("model"))
    _add_version(agent, created_by_id, number=1, fields=versioned, knowledge=knowledge)
    return agent


@transaction.atomic
def change_agent(
    *, actor: Actor, agent: Agent, fields: Mapping[str, Any], knowledge: Sequence[KnowledgeItem] | None
) -> Agent:
    """Change what is given; None keeps the knowledge. Anything but name and visibility makes a new version.

    :raises Forbidden: only its creator and the workspace's admins may.
    :raises UnknownModel: there is no such model.
    :raises NotFound: a document or collection that the workspace does not have, or the agent was deleted meanwhile.
    """
    _may_change(actor, agent)
    # Another transaction may have changed or deleted it since it was read. Its version is read in a statement of its
    # own after the wait for the lock: joined to this one, it would be the version from before the wait.
    locked = Agent.objects.select_for_update().filter(pk=agent.pk, deleted_at=None).first()
    if locked is None:
        raise NotFound
    agent = locked
    for name in ("name", "visibility"):
        setattr(agent, name, fields.get(name, getattr(agent, name)))
    agent.updated_at = timezone.now()
    agent.save(update_fields=["name", "visibility", "updated_at"])
    changed = {name: value for name, value in fields.items() if name in VERSIONED}
    if "model" in changed:
        changed["model"] = model_id(changed["model"])
    if not changed and knowledge is None:
        return agent
    before = agent.current
    kept: Sequence[KnowledgeItem] = [
        {"collection": row.collection_id, "document": row.document_id, "limit": row.limit, "mode": row.mode}
        for row in before.knowledge.all()
    ]
    if knowledge is not None:
        _check_knowledge(agent.workspace_id, knowledge)
        kept = knowledge
    values = {name: getattr(before, name) for name in VERSIONED} | changed
    _add_version(agent, actor.user_id, number=before.number + 1, fields=values, knowledge=kept)
    return agent


@transaction.atomic
def delete_agent(*, actor: Actor, agent: Agent) -> None:
    """Hide it from all members of the workspace. Conversations with it stay readable.

    :raises Forbidden: only its creator and the workspace's admins may.
    """
    _may_change(actor, agent)
    Agent.objects.filter(pk=agent.pk).update(deleted_at=timezone.now())


def try_search(*, actor: Actor, agent: Agent, query: str) -> documents.SearchResult | None:
    """Search the agent's knowledge as a run would; None for an agent without knowledge."""
    actor.require("agents:read")
    knowledge = list(agent.current.knowledge.all())
    if not knowledge:
        return None
    workspace_id, readiness = agent.workspace_id, readiness_of(agent.workspace_id, knowledge)
    scope = search_knowledge.scope_of(workspace_id=workspace_id, knowledge=knowledge, readiness=readiness)
    return search_knowledge.search(workspace_id=workspace_id, knowledge=knowledge, query=query, scope=scope)


def model_id(wanted: str | None) -> str:
    """The catalog's id of a chat model.

    :raises FieldError: there is no such model.
    :raises UnknownModel: there is none at all to default to.
    """
    if not wanted:
        return catalog().default_chat().id
    try:
        return catalog().get(wanted).id
    except UnknownModel as error:
        raise FieldError("/model", error.detail) from error


def _may_change(actor: Actor, agent: Agent) -> None:
    actor.require("agents:write")
    if agent.created_by_id != actor.user_id and not actor.is_admin:
        raise Forbidden


def _check_knowledge(workspace_id: UUID, knowledge: Sequence[KnowledgeItem]) -> None:
    wanted_collections = {item["collection"] for item in knowledge if item["collection"]}
    wanted_documents = {item["document"] for item in knowledge if item["document"]}
    if (
        wanted_collections
        and wanted_collections != documents.existing_collections(workspace_id, wanted_collections).keys()
    ):
        raise NotFound
    if wanted_documents and wanted_documents != documents.existing_documents(workspace_id, wanted_documents).keys():
        raise NotFound
    for name in ("limit", "mode"):  # A search has one of each: items that differ would not be searched as they say.
        values: list[Any] = [item[name] for item in knowledge]
        if len(set(values)) > 1:
            other = next(place for place, value in enumerate(values) if value != values[0])
            detail = _("This is not supported yet: it must be the same for everything that the agent knows.")
            raise FieldError(f"/knowledge/{other}/{name}", detail, code="not_supported")


def _add_version(
    agent: Agent, created_by_id: UUID, *, number: int, fields: Mapping[str, Any], knowledge: Sequence[KnowledgeItem]
) -> None:
    version = AgentVersion.objects.create(agent=agent, number=number, created_by_id=created_by_id, **fields)
    Knowledge.objects.bulk_create(
        Knowledge(
            version=version,
            position=position,
            collection_id=item["collection"],
            document_id=item["document"],
            limit=item["limit"],
            mode=item["mode"],
        )
        for position, item in enumerate(knowledge)
    )
    agent.version = version
    agent.save(update_fields=["version"])

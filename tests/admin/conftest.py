"""An operator before the admin, and one of everything that its pages show."""

import pytest
from django.test import Client
from django.utils import timezone

from backend.agents.models import Run, Step
from backend.billing import operations as billing
from backend.billing.models import Wallet
from backend.billing.tests.conftest import hold, use
from backend.documents.models import Document
from backend.documents.tests.cast import read, upload
from tests.actors import Person
from tests.operators import admin_browser, superuser


@pytest.fixture
def operator(db: None) -> Client:
    return admin_browser(superuser())


@pytest.fixture
def failed(owner: Person) -> Document:
    """A damaged file that was read in vain."""
    return read(upload(owner, b"%PDF-1.7 nothing of the kind", "damaged.pdf").json()["id"])


@pytest.fixture
def run(owner: Person) -> Run:
    """A run that used a tool, cost 0.041346 and failed; its agent knows a document."""
    document = upload(owner, "The fee is 20 dollars.", "fees.txt").json()["id"]
    body = {
        "name": "Fee desk",
        "instructions": "Say zebra-instructions.",
        "limits": {"max_cost": "10.50"},
        "knowledge": [{"document": document}],
    }
    agent = owner.post("/api/v1/agents", body).json()
    owner.post("/api/v1/conversations", {"agent": agent["id"], "input": "What is the zebra-fee?"})
    run = Run.objects.get()
    now = timezone.now()
    error = {"code": "provider_unavailable", "detail": "The provider is down.", "provider": "openai", "retryable": True}
    Run.objects.filter(pk=run.pk).update(
        status="failed", error=error, started_at=now, finished_at=now, cost=41346, reserved=10500000, max_cost=10500000
    )
    model = {"run": run, "attempt": 1, "kind": "model", "model": "offline", "provider": "offline", "finished_at": now}
    usage = {"input_tokens": 1234, "cached_input_tokens": 200, "output_tokens": 56}
    Step.objects.create(**model, index=1, request={"messages": 2}, usage=usage, cost="0.041346")
    found = {"passages": [{"n": 1, "document": "fees.txt", "page": 7}], "documents_searched": 3}
    asked = {"name": "search_knowledge", "arguments": {"query": "zebra-query"}}
    tool = {"run": run, "attempt": 1, "kind": "tool", "index": 2, "finished_at": now}
    Step.objects.create(**tool, request=asked, reply={"output": found})
    Step.objects.create(**model, index=3, error=error)
    run.refresh_from_db()
    return run


@pytest.fixture
def ledger(owner: Person) -> Wallet:
    """With a row of every kind."""
    hold(owner.workspace.pk, 1_041_346, "run_held")
    use(owner.workspace.pk, "run_spent", 103_365, model="offline")
    billing.capture(reference="run_spent", description="A run")
    return Wallet.objects.get(workspace=owner.workspace)

"""Wallets without people, for tests of the ledger itself."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.utils import timezone

from backend.billing import ledger, operations
from backend.billing.models import Wallet
from backend.billing.queries import discrepancies
from backend.llm.catalog import catalog

MODELS = """
[[provider]]
name = "acme"
kind = "openai-chat"
base_url = "http://127.0.0.1:9/v1"

[[provider.model]]
name = "plain"  # Exactly one micro-unit per input token, two per output token, a tenth for what is cached.
input_price = 1.00
cached_input_price = 0.10
output_price = 2.00
context_window = 1000

[[provider.model]]
name = "fine"
input_price = 0.0375
output_price = 0.15
context_window = 1000

[[provider.model]]
name = "free"
input_price = 0
output_price = 0
context_window = 1000

[[provider.model]]
name = "unpriced"
context_window = 1000

[[provider.model]]
name = "vectors"
kind = "embedding"
dimensions = 8
input_price = 0.02
context_window = 1000
"""


@pytest.fixture(autouse=True)
def models_file(settings: LazySettings, tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(MODELS)
    settings.MODELS_FILE = path
    return path


def open_wallet(micro: int = 1_000_000) -> UUID:
    """A workspace with a wallet and this much paid money; returns the workspace's id."""
    workspace = apps.get_model("accounts", "Workspace")._default_manager.create(name="Books")
    ledger.open_wallet(workspace_id=workspace.pk, currency="USD")
    if micro:
        operations.adjust(workspace_id=workspace.pk, amount=micro, description="Start", key=f"start:{workspace.pk}")
    return workspace.pk


def hold(workspace_id: UUID, amount: int, reference: str, *, minutes: int = 60) -> None:
    expires_at = timezone.now() + timedelta(minutes=minutes)
    operations.reserve(workspace_id=workspace_id, amount=amount, reference=reference, expires_at=expires_at)


def use(workspace_id: UUID, reference: str, tokens: int, *, step: int = 1, model: str = "plain") -> None:
    """Record input tokens; of the model ``plain`` each costs one micro-unit."""
    operations.record_usage(
        workspace_id=workspace_id,
        user_id=None,
        agent_id=None,
        reference=reference,
        attempt=1,
        step=step,
        model=catalog().get(model),
        input_tokens=tokens,
        cached_input_tokens=0,
        output_tokens=0,
    )


def wallet_of(workspace_id: UUID) -> Wallet:
    return Wallet.objects.get(workspace_id=workspace_id)


def assert_books_are_right() -> None:
    assert discrepancies() == []


@pytest.fixture
def workspace_id(db: None) -> UUID:
    """A workspace whose wallet has 1.00."""
    return open_wallet()

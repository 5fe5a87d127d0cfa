"""The offline model: no network and no key; it quotes and cites the best passages."""

from backend.llm.offline.model import Chat

__all__ = ["Chat"]

"""The official SDKs' clients: created on first use, one per event loop, provider and key, their connections kept.

aiohttp carries the requests instead of the SDKs' default transport (httpcore and h11), because it reads a stream with
less than half of the CPU. Both take the same time-outs, certificates and proxies from the environment.
"""

import asyncio
from importlib import import_module
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from backend.llm.catalog import Provider, api_key
from backend.llm.errors import ProviderError

NO_KEY = "none"  # The SDKs insist on one; servers without keys ignore it.
# Named here and not left to the SDKs, which would take them from variables that models.toml does not show.
BASE_URLS = {
    "openai-chat": "https://api.openai.com/v1",
    "openai-responses": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
}


class Client:
    """An SDK's asynchronous client and the module that its errors come from."""

    def __init__(self, provider: Provider, key: str | None) -> None:
        """Imports the SDK and loads the certificates: up to seconds, so not on the event loop."""
        anthropic = provider.kind == "anthropic"
        self.sdk: ModuleType = import_module("anthropic" if anthropic else "openai")
        self.http: ModuleType = import_module("httpx2")
        self.aiohttp: ModuleType = import_module("aiohttp")
        self.key = key
        self.client: Any = (self.sdk.AsyncAnthropic if anthropic else self.sdk.AsyncOpenAI)(
            api_key=key or NO_KEY,
            base_url=provider.base_url or BASE_URLS[provider.kind],
            default_headers={"X-Api-Key": key}
            if anthropic and provider.base_url and key
            else None,  # Gateways want it.
            http_client=self.sdk.DefaultAioHttpClient(),
            max_retries=0,  # The caller of the stream retries, visibly.
            timeout=self.http.Timeout(
                connect=provider.connect_timeout,
                read=provider.read_timeout,
                write=provider.read_timeout,
                pool=provider.connect_timeout,
            ),
        )

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer's ``httpx2.Response``, its body not read yet. Raises what the SDK raises."""
        return await self.client.post(
            path,
            cast_to=self.http.Response,
            body=body,
            options={"follow_redirects": False},
            stream=True,
            stream_cls=self.sdk.AsyncStream,
        )


class _Pool:
    """The clients of one event loop."""

    def __init__(self) -> None:
        self.clients: dict[tuple[object, ...], Client] = {}
        self.lock = asyncio.Lock()


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()


async def client_for(provider: Provider) -> Client:
    """:raises ProviderError: the provider's key is missing."""
    try:
        key = api_key(provider)
    except OSError:
        key = None
    if provider.api_key_env and key is None:
        detail = f"{provider.api_key_env} is not set."
        raise ProviderError("provider_auth", detail, provider=provider.name, retryable=False)
    pool = _pools.setdefault(asyncio.get_running_loop(), _Pool())
    name = (provider.kind, provider.base_url, provider.connect_timeout, provider.read_timeout, key)
    client = pool.clients.get(name)
    if client is None:
        async with pool.lock:
            client = pool.clients.get(name)
            if client is None:
                client = pool.clients[name] = await asyncio.to_thread(Client, provider, key)
    return client


async def close_clients() -> None:
    """Close the kept connections of the running loop. To be awaited before the loop ends."""
    pool = _pools.pop(asyncio.get_running_loop(), None)
    if pool is not None:
        for client in pool.clients.values():
            await client.client.close()

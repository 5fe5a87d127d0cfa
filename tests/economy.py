"""What tests do not repeat: work that the product does once per process, or slowly on purpose."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from whitenoise.middleware import WhiteNoiseMiddleware

from backend.accounts.hashers import Argon2id
from backend.documents.ingestion.parsers import cpu


class CheapArgon2id(Argon2id):
    """The product's hasher with the smallest parameters: 0.1 ms instead of 20."""

    time_cost = 1
    memory_cost = 8


@contextmanager
def economy() -> Iterator[None]:
    """For the whole of a test run.

    - Passwords are hashed cheaply; the processes that tests start hash them as the product does.
    - WhiteNoise reads the headers of all static files when a chain of middleware is built, which takes 40 ms. The
      product builds one per process; each client of a test builds its own, and they share what the first has read.
    - A document reader that a test calls directly does not limit the processor time of the process, which is pytest:
      the kernel would end it, without a word, as soon as that time is used up.
    """
    files: dict[str, Any] = {}
    read = WhiteNoiseMiddleware.add_files_from_finders

    def share(self: Any) -> None:
        if not files:
            read(self)
            files.update(self.files)
        self.files.update(files)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "PASSWORD_HASHERS", [f"{__name__}.{CheapArgon2id.__name__}"])
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", share)
        patch.setattr(cpu, "limit", lambda seconds: None)
        yield

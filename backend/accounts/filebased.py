"""E-mails as files, without a mail server. They carry codes, so only the product's user may read them."""

import os
from typing import Any

from django.core.mail.backends.filebased import EmailBackend as DjangoEmailBackend

FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW


class EmailBackend(DjangoEmailBackend):
    """Django's, with a folder that only its owner may enter and files that only their owner may read."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        os.chmod(self.file_path, 0o700)  # One that is there already, too.

    def open(self) -> bool:
        is_open: bool = self.stream is not None
        if is_open:
            return False
        descriptor = os.open(self._get_filename(), FLAGS, 0o600)  # type: ignore[attr-defined]  # Not in the stubs.
        self.stream = os.fdopen(descriptor, "ab")  # type: ignore[assignment]  # Django writes bytes to it.
        return True

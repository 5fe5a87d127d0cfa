"""Where the bytes are: a folder, or S3. Names, sizes and content types are the database's business."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage
from django.core.signals import setting_changed
from django.utils.http import content_disposition_header
from storages.backends.s3 import S3Storage

from backend.errors import ServiceUnavailable

URL_LIFETIME = timedelta(minutes=5)
OUTAGES = (BotoCoreError, ClientError, OSError)


@lru_cache(maxsize=1)
def store() -> Storage:
    """The storage of this process."""
    if settings.STORAGE_BACKEND == "s3":
        remote: Storage = _s3(settings.S3_ENDPOINT_URL)
        return remote
    return FileSystemStorage(location=settings.MEDIA_ROOT, file_permissions_mode=0o600, allow_overwrite=True)


@lru_cache(maxsize=1)
def _public() -> Any:
    """Signs addresses for browsers, who may know the server by another name. It sends nothing itself."""
    return _s3(settings.S3_PUBLIC_ENDPOINT_URL or settings.S3_ENDPOINT_URL)


def _s3(endpoint: str) -> Any:
    from botocore.config import Config

    return S3Storage(
        bucket_name=settings.S3_BUCKET,
        endpoint_url=endpoint or None,
        region_name=settings.S3_REGION,
        access_key=settings.S3_ACCESS_KEY,
        secret_key=settings.S3_SECRET_KEY,
        signature_version="s3v4",
        addressing_style="path",
        querystring_auth=True,
        querystring_expire=int(URL_LIFETIME.total_seconds()),
        file_overwrite=True,
        default_acl=None,
        client_config=Config(
            s3={"addressing_style": "path"},
            signature_version="s3v4",
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=5,
            read_timeout=30,
            retries={"max_attempts": 3, "mode": "standard"},
        ),
    )


def check_answers() -> None:
    """:raises Exception: the storage cannot be reached, lets us not in, or may not be written to."""
    storage = store()
    storage.exists("readyz")  # It need not; whoever is not let in learns it by asking.
    if isinstance(storage, FileSystemStorage):
        folder = Path(storage.location)
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} may not be written to")


def save(key: str, content: "File[Any]") -> None:
    """:raises ServiceUnavailable: the storage does not take it."""
    try:
        store().save(key, content)
    except OUTAGES as error:
        raise ServiceUnavailable from error


def open_object(key: str) -> "File[Any]":
    """The object for reading.

    :raises FileNotFoundError: there is none.
    """
    return store().open(key, "rb")


def exists(key: str) -> bool:
    return store().exists(key)


def delete(key: str) -> None:
    """Remove an object; that it is gone already is fine."""
    with contextlib.suppress(FileNotFoundError):
        store().delete(key)


def delete_folder(folder: str) -> None:
    """Remove every object of a folder."""
    storage = store()
    try:
        _, names = storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        delete(f"{folder}/{name}")
    if isinstance(storage, FileSystemStorage):
        shutil.rmtree(storage.path(folder), ignore_errors=True)


def signed_url(key: str, *, content_type: str, name: str, attachment: bool) -> str | None:
    """An address that lets its bearer read the object for five minutes; none where the storage has no addresses."""
    if settings.STORAGE_BACKEND != "s3":
        return None
    disposition = content_disposition_header(attachment, name) or "inline"
    parameters = {"ResponseContentType": content_type, "ResponseContentDisposition": disposition}
    url: str = _public().url(key, parameters=parameters)
    return url


@contextlib.contextmanager
def local_path(key: str) -> Iterator[Path]:
    """The object as a file of this machine, fetched if need be, until the block ends.

    :raises FileNotFoundError: there is none.
    """
    storage = store()
    if isinstance(storage, FileSystemStorage):
        path = Path(storage.path(key))
        if not path.exists():
            raise FileNotFoundError(key)
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="orquestra-", delete=True) as target, open_object(key) as source:
        shutil.copyfileobj(source, target, 1024 * 1024)
        target.flush()
        yield Path(target.name)


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting.startswith(("S3_", "STORAGE_", "MEDIA_ROOT")):
        store.cache_clear()
        _public.cache_clear()


setting_changed.connect(_forget)

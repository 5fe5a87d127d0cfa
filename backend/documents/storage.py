"""Stores bytes in a folder or in S3. Names, sizes and content types are in the database."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage
from django.core.signals import setting_changed
from django.utils.http import content_disposition_header

from backend.errors import ServiceUnavailable

URL_LIFETIME = timedelta(minutes=5)
BLOCK = 8 * 1024 * 1024
OUTAGES = (BotoCoreError, ClientError, OSError)


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


@lru_cache(maxsize=1)
def store() -> Storage:
    """The storage of this process."""
    if settings.STORAGE_BACKEND == "s3":
        remote: Storage = _s3(settings.S3_ENDPOINT_URL)
        return remote
    return FileSystemStorage(location=settings.MEDIA_ROOT, file_permissions_mode=0o600, allow_overwrite=True)


@lru_cache(maxsize=1)
def _public() -> Any:
    """Signs URLs for browsers, which may reach the server by another host name. It sends no requests."""
    return _s3(settings.S3_PUBLIC_ENDPOINT_URL or settings.S3_ENDPOINT_URL)


def _client(storage: Storage) -> Any:
    return storage.connection.meta.client  # type: ignore[attr-defined]  # S3Storage's.


def make_bucket(*, seconds: float) -> bool:
    """Create the bucket unless it exists, and return whether it was created.

    :raises ServiceUnavailable: the server did not respond within ``seconds``, or refused.
    """
    storage = store()
    if isinstance(storage, FileSystemStorage):
        return False
    deadline = time.monotonic() + seconds
    while True:
        try:
            return _bucket_made(_client(storage))
        except OUTAGES as error:
            if isinstance(error, ClientError) or time.monotonic() > deadline:
                raise ServiceUnavailable from error
            time.sleep(0.5)


def _bucket_made(client: Any) -> bool:
    """:raises ClientError: the server refuses."""
    try:
        client.head_bucket(Bucket=settings.S3_BUCKET)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
    else:
        return False
    region = settings.S3_REGION
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}
    try:
        client.create_bucket(Bucket=settings.S3_BUCKET, **elsewhere)
    except ClientError as error:
        if error.response["Error"]["Code"] == "BucketAlreadyOwnedByYou":
            return False  # Created by another process meanwhile.
        raise
    return True


def _s3(endpoint: str) -> Any:
    from botocore.config import Config  # Loading boto3 takes longer than Django; a folder needs none of it.
    from storages.backends.s3 import S3Storage

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


def check_available() -> None:
    """:raises Exception: the storage cannot be reached, denies access, or is not writable."""
    storage = store()
    storage.exists("readyz")  # It need not exist: the request fails if access is denied.
    if isinstance(storage, FileSystemStorage):
        folder = Path(storage.location)
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} is not writable")


def save(key: str, content: "File[Any]") -> None:
    """:raises ServiceUnavailable: the storage did not accept it."""
    try:
        store().save(key, content)
    except OUTAGES as error:
        raise ServiceUnavailable from error


def open_object(key: str) -> "File[Any]":
    """The object for reading.

    :raises FileNotFoundError: it does not exist.
    """
    return store().open(key, "rb")


def open_part(key: str, start: int, end: int) -> Readable:
    """A stream of the bytes from ``start`` up to ``end``, at least one.

    :raises FileNotFoundError: there is no such object.
    :raises ServiceUnavailable: the storage did not respond.
    """
    storage = store()
    if isinstance(storage, FileSystemStorage):
        file = storage.open(key, "rb")
        file.seek(start)
        return file
    try:
        response = _client(storage).get_object(Bucket=settings.S3_BUCKET, Key=key, Range=f"bytes={start}-{end - 1}")
    except OUTAGES as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            raise FileNotFoundError(key) from error
        raise ServiceUnavailable from error
    body: Readable = response["Body"]
    return body


def exists(key: str) -> bool:
    return store().exists(key)


@dataclass(frozen=True, slots=True)
class Stored:
    """An object in a listing."""

    key: str
    modified_at: datetime


def list_objects(folder: str, *, after: str, limit: int) -> list[Stored]:
    """The first objects below a folder whose keys come after ``after``, in the order of their keys.

    :raises ServiceUnavailable: the storage did not respond.
    """
    storage = store()
    if isinstance(storage, FileSystemStorage):
        return _list_files(Path(storage.location), folder, after=after, limit=limit)
    try:
        listed = _client(storage).list_objects_v2(
            Bucket=settings.S3_BUCKET, Prefix=f"{folder}/", StartAfter=after, MaxKeys=limit
        )
    except OUTAGES as error:
        raise ServiceUnavailable from error
    return [Stored(entry["Key"], entry["LastModified"]) for entry in listed.get("Contents", ())]


def _list_files(root: Path, folder: str, *, after: str, limit: int) -> list[Stored]:
    keys = sorted(
        key
        for path in (root / folder).rglob("*")
        if (key := path.relative_to(root).as_posix()) > after and path.is_file()
    )
    found = []
    for key in keys[:limit]:
        with contextlib.suppress(FileNotFoundError):
            modified = (root / key).stat().st_mtime
            found.append(Stored(key, datetime.fromtimestamp(modified, UTC)))
    return found


def delete(key: str) -> None:
    """Remove an object. It need not exist."""
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
    """A URL that lets its bearer read the object for five minutes; None where browsers cannot reach the storage.

    Browsers reach AWS, and any other server if S3_PUBLIC_ENDPOINT_URL is set.
    """
    if settings.STORAGE_BACKEND != "s3" or (settings.S3_ENDPOINT_URL and not settings.S3_PUBLIC_ENDPOINT_URL):
        return None
    disposition = content_disposition_header(attachment, name) or "inline"
    parameters = {"ResponseContentType": content_type, "ResponseContentDisposition": disposition}
    url: str = _public().url(key, parameters=parameters)
    return url


@contextlib.contextmanager
def local_path(key: str, *, on_block: Callable[[], None] | None = None) -> Iterator[Path]:
    """The object as a local file, downloaded if necessary, until the block ends.

    :param on_block: called after each downloaded block.

    :raises FileNotFoundError: it does not exist.
    """
    storage = store()
    if isinstance(storage, FileSystemStorage):
        path = Path(storage.path(key))
        if not path.exists():
            raise FileNotFoundError(key)
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="orquestra-", delete=True) as target, open_object(key) as source:
        while block := source.read(BLOCK):
            target.write(block)
            if on_block is not None:
                on_block()
        target.flush()
        yield Path(target.name)


def _clear_caches(*, setting: str, **kwargs: Any) -> None:
    if setting.startswith(("S3_", "STORAGE_", "MEDIA_ROOT")):
        store.cache_clear()
        _public.cache_clear()


setting_changed.connect(_clear_caches)

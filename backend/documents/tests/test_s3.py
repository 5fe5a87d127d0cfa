"""Files in S3, with a real server and real signatures."""

import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command

from backend.documents import deletion, reconciliation, storage
from backend.documents.models import Blob
from backend.documents.tests.cast import make_document, pdf, upload
from backend.errors import ServiceUnavailable
from tests.actors import Person
from tests.services import free_port

pytestmark = pytest.mark.django_db

KEY, SECRET = "test-access-key", "test-secret-key"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``rclone serve s3`` over a folder with one bucket."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "orquestra").mkdir()
    binary = shutil.which("rclone", path=str(Path(sys.executable).parent)) or "rclone"
    port = free_port()
    process = subprocess.Popen(
        [binary, "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=1)
        except urllib.error.HTTPError:
            break  # It refuses who does not sign: it answers.
        except OSError:
            time.sleep(0.05)
    yield address
    process.terminate()
    process.wait(10)


@pytest.fixture
def s3(server: str, settings: Any) -> Any:
    settings.STORAGE_BACKEND = "s3"
    settings.S3_ENDPOINT_URL = server
    settings.S3_PUBLIC_ENDPOINT_URL = server.replace("127.0.0.1", "localhost")
    settings.S3_ACCESS_KEY = KEY
    settings.S3_SECRET_KEY = SECRET
    client = boto3.client(
        "s3", endpoint_url=server, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )
    yield client
    client.close()
    storage.store().connection.meta.client.close()  # type: ignore[attr-defined]  # S3Storage's.


def keys(client: Any) -> list[str]:
    return sorted(entry["Key"] for entry in client.list_objects_v2(Bucket="orquestra").get("Contents", []))


def test_a_document_is_stored_read_and_removed_in_s3(owner: Person, s3: Any) -> None:
    data = pdf("The zebra is in the bucket.")
    document = make_document(owner, data, "Relatório “final”.pdf")

    assert keys(s3) == [document.blob.key]
    assert owner.post("/api/v1/search", {"query": "zebra"}).json()["results"]
    redirect = owner.get(f"/api/v1/documents/{document.public_id}/content", {"download": "1"})
    assert redirect.status_code == 302
    assert redirect["Location"].startswith("http://localhost:")
    with urllib.request.urlopen(redirect["Location"]) as response:
        assert response.read() == data
        assert response.headers["Content-Type"] == "application/pdf"
        assert response.headers["Content-Disposition"].startswith("attachment; filename*=utf-8''Relat%C3%B3rio")
    page = owner.get(f"/api/v1/documents/{document.public_id}/pages/1.png")
    assert b"".join(page).startswith(b"\x89PNG")
    assert b"".join(owner.get(f"/api/v1/documents/{document.public_id}/pages/1.png")).startswith(b"\x89PNG")
    assert keys(s3) == sorted([document.blob.key, f"{document.blob.images_folder}/1-1240.png"])

    owner.delete(f"/api/v1/documents/{document.public_id}")
    deletion.purge_document(document.pk)

    assert keys(s3) == []


def test_objects_without_a_row_are_found_over_several_listings(
    owner: Person, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "LISTING_SIZE", 2)
    monkeypatch.setattr(reconciliation, "MIN_AGE", timedelta(0))
    document = make_document(owner, "Kept.")
    folder = document.blob.pk.hex[-2:]
    for number in range(5):
        storage.save(f"blobs/{folder}/{number:030x}{folder}", ContentFile(b"x"))
        storage.save(f"images/{folder}/{number:030x}{folder}/1-240.png", ContentFile(b"x"))
    time.sleep(1.1)  # The server's times are in whole seconds.

    assert reconciliation.reconcile(folder=int(folder, 16)) == ""

    assert keys(s3) == [document.blob.key]


def test_a_signed_url_requires_its_signature(owner: Person, s3: Any) -> None:
    document = make_document(owner, "Signed.")
    address = owner.get(f"/api/v1/documents/{document.public_id}/content")["Location"]

    for wrong in (address.partition("?")[0], address.replace("X-Amz-Signature=", "X-Amz-Signature=0")):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(wrong)
        assert refusal.value.code in (400, 403)
        refusal.value.close()


def test_a_wrong_secret_is_an_outage_and_leaves_nothing(owner: Person, s3: Any, settings: Any) -> None:
    settings.S3_SECRET_KEY = "wrong"

    response = upload(owner, "Never stored.")

    assert response.status_code == 503
    assert not Blob.objects.exists()
    with pytest.raises(ServiceUnavailable):
        storage.save("blobs/x", ContentFile(b"x"))


def test_files_go_through_the_service_where_browsers_cannot_reach_the_storage(
    owner: Person, s3: Any, settings: Any
) -> None:
    settings.S3_PUBLIC_ENDPOINT_URL = ""
    document = make_document(owner, b"zebra " * 200_000)  # Several blocks.
    address = f"/api/v1/documents/{document.public_id}/content"

    whole = owner.get(address)
    part = owner.get(address, Range="bytes=599999-600011")

    assert (whole.status_code, whole["Content-Length"]) == (200, "1200000")
    assert b"".join(whole) == b"zebra " * 200_000
    assert (part.status_code, part["Content-Range"]) == (206, "bytes 599999-600011/1200000")
    assert b"".join(part) == b" zebra zebra "
    s3.delete_object(Bucket="orquestra", Key=document.blob.key)
    assert owner.get(address).status_code == 404
    settings.S3_ENDPOINT_URL = f"http://127.0.0.1:{free_port()}"
    assert owner.get(address).status_code == 503


def test_the_bucket_is_made_once(s3: Any, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.S3_BUCKET = "made-by-command"

    for said in ("The bucket is made.", "There is nothing to make."):
        call_command("make_bucket")
        assert capsys.readouterr().out.strip() == said
        assert "made-by-command" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_make_bucket_reports_a_storage_that_refuses_or_is_down(s3: Any, settings: Any) -> None:
    settings.S3_SECRET_KEY = "wrong"
    with pytest.raises(CommandError, match="Forbidden"):
        call_command("make_bucket")
    settings.S3_ENDPOINT_URL = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(CommandError, match="Could not connect"):
        call_command("make_bucket", wait=0.1)


def test_files_in_a_folder_need_no_bucket(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("make_bucket")

    assert capsys.readouterr().out.strip() == "There is nothing to make."

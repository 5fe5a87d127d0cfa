"""Malicious files during the detection of their type, and archives: the web process opens none."""

import io
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from backend.documents import inspection
from backend.documents.admission import Admission
from backend.documents.ingestion import pool, process
from backend.documents.ingestion.parsers import archive
from backend.documents.ingestion.parsers.frames import ParseError
from backend.documents.models import Document
from backend.documents.tests.cast import make_document, upload
from backend.documents.tests.test_formats import text_of, word, zipped
from tests.actors import Person
from tests.work import at_most

pytestmark = pytest.mark.django_db

W = b'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
BODY = b"<w:body><w:p><w:r><w:t>Found where the relationships say.</w:t></w:r></w:p></w:body>"


def relationships(target: bytes) -> bytes:
    kind = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    schema = b"http://schemas.openxmlformats.org/package/2006/relationships"
    line = b'<Relationship Id="r" Type="' + kind + b'" Target="' + target + b'"/>'
    return b'<Relationships xmlns="' + schema + b'"><!-- -->' + line + b"</Relationships>"


def crowded(entries: int, *, zip64: bool = False, stated: int | None = None) -> bytes:
    """An archive of one empty file under many names; its end record declares ``stated``."""
    local = b"PK\x03\x04" + struct.pack("<5H3L2H", 20, 0, 0, 0, 33, 0, 0, 0, 1, 0) + b"a"
    row = b"PK\x01\x02" + struct.pack("<6H3L5H2L", 20, 20, 0, 0, 0, 33, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0)
    rows = b"".join(row + b"%05x" % number for number in range(entries))
    count, size, start = entries if stated is None else stated, len(rows), len(local)
    if not zip64:
        return local + rows + b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, count, count, size, start, 0)
    record = b"PK\x06\x06" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, count, count, size, start)
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, start + size, 1)
    last = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return local + rows + record + locator + last


@pytest.mark.parametrize(
    "content",
    [
        b"<!---->" * 40 + b"x",
        b"<!---->" * 9_000 + b"x",
        b"<!-- -->\n" * 7_000,
        b"<!--" * 16_000,
        b"<?xml " * 10_000,
        b"<?xml ?>" + b"<!---->" * 30 + b"<!--",
        b" \n" * 32_000 + b"x",
        b"<!doctype" + b" " * 60_000 + b"x",
        b"\x0c" * 100_000 + b"<",
    ],
)
def test_markup_is_detected_in_linear_time(owner: Person, content: bytes) -> None:
    with at_most(5):
        response = upload(owner, content, "notes.txt", content_type="text/plain")

    assert response.status_code in (201, 415), response.content


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<html>", "text/html"),
        (b" \n<BODY class='x'>", "text/html"),
        (b"<?xml version='1.0'?>\n<!-- one --> <!-- two -->\n<!DOCTYPE\n html>", "text/html"),
        (b"<!-- <html> --><head>", "text/html"),
        (b"<!-- never closed <html>", "text/plain"),
        (b"<!doctypehtml>", "text/plain"),
        (b"<!DOCTYPE htmlx>", "text/plain"),
        (b"<header>", "text/plain"),
        (b"<html5>", "text/plain"),
        (b"x <html>", "text/plain"),
        (b"<?xml version='1.0'", "text/plain"),
    ],
)
def test_markup_is_detected_after_declarations_and_comments(owner: Person, content: bytes, kind: str) -> None:
    response = upload(owner, content, "page")

    assert response.json()["content_type"] == kind


@pytest.mark.parametrize("claimed", ["application/" + "x+" * 3_000, "text/" + "a" * 6_000, "application/x-" * 400])
def test_checking_a_claimed_type_of_any_length_is_cheap(owner: Person, claimed: str) -> None:
    with at_most(5):
        response = upload(owner, "A note.", "notes." + "a" * 200, content_type=claimed)

    assert response.status_code in (201, 415), response.content


def test_the_web_process_opens_no_archive(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("an archive was opened in the web process")

    letter, sheet = word("Opened in the parser process alone."), zipped({"xl/workbook.xml": b"<workbook/>"})
    monkeypatch.setattr(zipfile, "ZipFile", refuse)

    assert upload(owner, letter, "letter.docx").status_code == 201
    assert upload(owner, sheet, "sheet").status_code == 415


@pytest.mark.parametrize(
    "content",
    [
        crowded(60_000),
        crowded(60_000, stated=1),
        crowded(60_000, zip64=True),
        crowded(60_000, zip64=True, stated=1),
        crowded(archive.MAX_ENTRIES + 1),
    ],
    ids=["many", "many, one stated", "zip64", "zip64, one stated", "one more than allowed"],
)
def test_an_archive_of_too_many_files_is_refused(owner: Person, content: bytes) -> None:
    response = upload(owner, content, "letter.docx")

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_file")
    assert response.json()["detail"] == "The archive holds too many files."
    assert not Document.objects.exists()


def test_a_directory_is_never_read_whole_unless_it_is_small(tmp_path: Any) -> None:
    """Reading the archive, in any process: memory stays far below its size."""
    path = tmp_path / "many.docx"
    path.write_bytes(crowded(60_000))
    asked: list[int] = []

    class Recording(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(-1 if size is None else size)
            return super().read(size)

    with Recording(path) as file, pytest.raises(ParseError, match="too many files"):
        zipfile.ZipFile(archive.Reader(file))
    assert max(asked) <= archive.MAX_DIRECTORY


def test_the_relationships_name_the_main_part(owner: Person) -> None:
    parts = {"_rels/.rels": relationships(b"/text/main.xml"), "text/main.xml": b"<w:document " + W + b">" + BODY}
    parts["text/main.xml"] += b"</w:document>"
    document = make_document(owner, zipped(parts), "letter.docx")

    assert document.blob.content_type == archive.DOCX
    assert text_of(owner, document) == "Found where the relationships say."


@pytest.mark.parametrize(
    "parts",
    [
        {"_rels/.rels": relationships(b"xl/workbook.xml"), "xl/workbook.xml": b"<workbook/>"},
        {"_rels/.rels": relationships(b"missing.xml")},
        {"_rels/.rels": b"no markup", "a.xml": b""},
        {"_rels/.rels": relationships(b"a.xml"), "a.xml": b""},
    ],
)
def test_an_archive_of_anything_else_is_refused(owner: Person, parts: dict[str, bytes]) -> None:
    response = upload(owner, zipped(parts), "letter.docx")

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_file")


def test_an_archive_packed_in_a_way_that_documents_never_are_is_not_unpacked(owner: Person) -> None:
    """A block of LZMA unpacks to any size in one call, so counting the unpacked bytes would be too late."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("_rels/.rels", b" " * 50_000_000)
    response = upload(owner, target.getvalue(), "letter.docx")

    assert response.status_code == 201  # Reading it reports the damage.


def test_an_archive_waits_for_admission_and_is_then_refused(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_admission", Admission(max_running=1, max_admitted=2, max_wait=0.01))
    with inspection._admission.admitted():
        response = upload(owner, word("Later."), "letter.docx")

    assert response.status_code == 503


def test_a_kept_child_that_has_ended_is_replaced(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    with pool.parser_process() as child:
        pass
    child._process.kill()
    child._process.wait()
    alive: Callable[[Any], bool] = lambda self: True  # noqa: E731  # It ends between the question and the job.
    monkeypatch.setattr(process.ParserProcess, "alive", property(alive))

    assert upload(owner, word("All the same."), "letter.docx").status_code == 201
    pool.end_idle()


def test_a_busy_machine_refuses_an_archive_with_retry_after(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "SECONDS", 0.0)

    assert upload(owner, word("Later."), "letter.docx").status_code == 503

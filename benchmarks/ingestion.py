"""How long a PDF takes from upload to searchable, beside the minimum of work that it needs.

    .venv/bin/python benchmarks/ingestion.py some.pdf [--rounds 7] [--json]

The least: the text of every page by bare pypdfium2, cut into pieces of a thousand characters, and one bulk insert of
them into a table of the same database. Ours: the file is uploaded through HTTP and asked for every 10 ms until it is
ready. Both alternate in one run, on the same servers; medians count. A comment after the PDF's end makes each upload
a new document.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import psycopg
import pypdfium2

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import services  # noqa: E402  # The checkout is importable only now.
from tests.http_client import SETTLED, ApiClient  # noqa: E402
from tests.live import stack  # noqa: E402

PIECE = 1000  # Characters.


def bare(data: bytes, connection: psycopg.Connection) -> float:
    """Seconds for parsing, splitting and one bulk insert."""
    begun = time.perf_counter()
    document = pypdfium2.PdfDocument(data)
    rows: list[tuple[int, str]] = []
    for number in range(len(document)):
        page = document[number]
        textpage = page.get_textpage()
        text = textpage.get_text_range().replace("\0", "").encode("utf-8", "ignore").decode()
        rows.extend((number + 1, text[start : start + PIECE]) for start in range(0, len(text), PIECE))
        textpage.close()
        page.close()
    document.close()
    numbers, texts = [number for number, _ in rows], [text for _, text in rows]
    connection.execute("INSERT INTO bare SELECT * FROM unnest(%s::int[], %s::text[])", (numbers, texts))
    connection.commit()
    return time.perf_counter() - begun


def ours(data: bytes, person: ApiClient) -> tuple[float, float]:
    """Seconds until the upload is answered, and until the document is ready."""
    begun = time.perf_counter()
    document = person.upload("benchmark.pdf", data, wait=False)
    answered = time.perf_counter() - begun
    while document["status"] not in SETTLED:
        time.sleep(0.01)
        document = person.call("GET", f"/api/v1/documents/{document['id']}")
    elapsed = time.perf_counter() - begun
    assert document["status"] == "ready", document
    return answered, elapsed


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("pdf", type=Path)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    data = asked.pdf.read_bytes()
    services.start()
    with stack() as live, psycopg.connect(live.owner_url) as connection:
        person = ApiClient.sign_up(live.base_url)
        connection.execute("CREATE TABLE bare (page int, text text)")
        connection.commit()
        bares, answers, totals = [], [], []
        for number in range(asked.rounds):
            bares.append(bare(data, connection))
            answered, total = ours(data + b"\n%% %d" % number, person)
            answers.append(answered)
            totals.append(total)
            print(f"bare {bares[-1]:.3f} s, upload {answered:.3f} s, searchable {total:.3f} s", file=sys.stderr)
        person.close()
    minimum, ready = statistics.median(bares), statistics.median(totals)
    if asked.json:
        pages = len(pypdfium2.PdfDocument(data))
        print(json.dumps({"pages": pages, "bare_seconds": bares, "answered_seconds": answers, "ready_seconds": totals}))
        return
    print(f"median: bare {minimum:.3f} s, searchable {ready:.3f} s, ratio {ready / minimum:.2f}")


if __name__ == "__main__":
    main()

"""How well lexical search ranks: nDCG@10 of a question-answering collection through POST /api/v1/search.

    .venv/bin/python benchmarks/search.py faquad.json [--language pt] [--json]

The file is in SQuAD's format: a question's one relevant passage is the paragraph it was asked about. Each paragraph
is uploaded as a plain-text document with a name unrelated to it, all in one collection; then each question
is searched for in that collection. A document counts once, where its first passage ranks. Starts the product as
processes of its own; reports the time of a search as its client sees it, too.
"""

import argparse
import json
import math
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import services  # noqa: E402  # The checkout is importable only now.
from tests.http_client import ApiClient  # noqa: E402
from tests.live import stack  # noqa: E402

DEPTH = 10


def collection(path: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """The paragraphs, and the questions with the number of their paragraph."""
    paragraphs: list[str] = []
    questions: list[tuple[str, int]] = []
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            questions.extend((entry["question"], len(paragraphs)) for entry in paragraph["qas"])
            paragraphs.append(paragraph["context"])
    return paragraphs, questions


def upload(person: ApiClient, paragraphs: list[str], fields: dict[str, str]) -> dict[str, int]:
    """The number of the paragraph by the id of its document, once all are searchable."""

    def send(number: int) -> tuple[str, int]:
        document = person.upload(f"{number}.txt", paragraphs[number].encode(), wait=False, **fields)
        return document["id"], number

    with ThreadPoolExecutor(4) as pool:
        numbers = dict(pool.map(send, range(len(paragraphs))))
    query = "&".join(f"{name}={value}" for name, value in fields.items() if name == "collection")
    while person.call("GET", f"/api/v1/documents?status=queued&limit=1&{query}")["results"]:
        time.sleep(0.2)
    for status in ("scanning", "parsing", "failed"):
        left = person.call("GET", f"/api/v1/documents?status={status}&{query}")["results"]
        assert status != "failed" or not left, left
        while left:
            time.sleep(0.2)
            left = person.call("GET", f"/api/v1/documents?status={status}&{query}")["results"]
    return numbers


def gain(results: list[dict[str, Any]], numbers: dict[str, int], relevant: int) -> float:
    """nDCG at ten with one relevant document: 1 / log2(1 + its rank), or nothing."""
    ranking = list(dict.fromkeys(numbers[result["document"]] for result in results))[:DEPTH]
    return 1 / math.log2(2 + ranking.index(relevant)) if relevant in ranking else 0.0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path)
    options.add_argument("--language", help="upload with this language instead of having it detected")
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    paragraphs, questions = collection(asked.data)
    services.start()
    with stack() as live:
        person = ApiClient.sign_up(live.base_url)
        name = person.call("POST", "/api/v1/collections", {"name": asked.data.stem})["id"]
        fields = {"collection": name, **({"language": asked.language} if asked.language else {})}
        started = time.monotonic()
        numbers = upload(person, paragraphs, fields)
        print(f"{len(numbers)} documents searchable after {time.monotonic() - started:.1f} s", file=sys.stderr)
        gains, times = [], []
        for question, relevant in questions:
            body = {"query": question, "collections": [name], "limit": DEPTH * 2, "mode": "lexical"}
            begun = time.perf_counter()
            results = person.call("POST", "/api/v1/search", body)["results"]
            times.append(time.perf_counter() - begun)
            gains.append(gain(results, numbers, relevant))
        person.close()
    median, p95 = statistics.median(times), sorted(times)[int(0.95 * len(times))]
    if asked.json:
        figures = {"questions": len(gains), "ndcg": statistics.mean(gains)}
        print(json.dumps({**figures, "median_ms": 1000 * median, "p95_ms": 1000 * p95}))
        return
    print(f"nDCG@{DEPTH} {statistics.mean(gains):.4f} over {len(gains)} questions")
    print(f"one search: median {1000 * median:.1f} ms, p95 {1000 * p95:.1f} ms")


if __name__ == "__main__":
    main()

"""``python -m tests.screenshots FOLDER``: pictures for the README, of the product running with its offline model."""

import sys
import tempfile
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import Any

import tests.services  # noqa: F401  # Starts PostgreSQL and Redis.
from tests.browser import Visitor, chromium, screenshot
from tests.http_client import ApiClient
from tests.live import stack
from tests.pages import pdf

PASSWORD = "a long enough pass phrase"
QUESTION = "How much is a seasonal fishing licence at the lagoon, and who is exempt?"
NEXT_QUESTION = "And what does a boat with two people pay?"
MODELS = """
[[provider]]
name = "offline"
kind = "offline"
tokens_per_second = 15

[[provider.model]]
name = "offline"
input_price = 0.40
output_price = 1.60
context_window = 128000
max_output_tokens = 2048
"""


def regulation() -> bytes:
    """Twenty-four pages, of which one is about licences."""
    filler = (
        "The river carries quiet stones past the old mills, and every lamp along the quay keeps its own weather. "
        "Whoever moors after dusk shows a light at the stern and leaves room for the ferry to turn. "
    )
    licences = (
        "A seasonal fishing licence for the lagoon of Itaperema costs 318 cruzados, payable at the harbour office "
        "before the first of March. Residents over 65 and licensed pilots are exempt from the fee. "
        "For a boat the fee is paid per hull and not per person: one licence covers a boat with two or three people. "
    )
    pages = []
    for number in range(1, 25):
        body = [filler, licences, filler] if number == 9 else [filler * (1 + number % 3), filler]
        paragraphs = ["\n".join(wrap(text, 76)) for text in body]
        pages.append("\n\n".join([f"Chapter {number}. {'Licences' if number == 9 else 'Navigation'}", *paragraphs]))
    return pdf(*pages)


def minutes() -> bytes:
    from docx import Document

    document: Any = Document()
    document.add_heading("Minutes of the harbour council", 1)
    document.add_paragraph("The council met on the quay and counted the boats.")
    buffer = BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        models = Path(temporary) / "models.toml"
        models.write_text(MODELS)
        with stack(settings={"MODELS_FILE": str(models)}) as live:
            person = ApiClient.sign_up(live.base_url, password=PASSWORD)
            person.call("PATCH", "/api/v1/users/me", {"name": "Ana"})
            known = [
                person.upload("Minutes.docx", minutes())["id"],
                person.upload("Annual report of the harbour and its gardens.pdf", pdf("The gardens grew."))["id"],
                person.upload("Lagoa Itaperema.pdf", regulation())["id"],
            ]
            knowledge = [{"document": document} for document in known]
            person.call("POST", "/api/v1/agents", {"name": "Licence desk", "knowledge": knowledge})
            for picture, width, height, touch in (("page-wide", 1440, 900, False), ("page-narrow", 500, 860, True)):
                with chromium() as browser:
                    size: Any = {"width": width, "height": height}
                    context = browser.new_context(viewport=size, locale="en-US", has_touch=touch, device_scale_factor=2)
                    take(Visitor(context, live.base_url), person.email, folder / f"{picture}.png")
            person.close()


def take(visitor: Visitor, email: str, path: Path) -> None:
    page = visitor.page
    page.locator("#entrance-other").click()
    visitor.sign_up(email, PASSWORD)
    for question in ("Contract of the second tower", "What did the harbour council count?", QUESTION):
        page.keyboard.press("Control+k")
        visitor.ask(question)
        visitor.answered()
    if path.stem == "page-wide":
        page.locator(".cite").first.click()
        page.locator("#source .mark").first.wait_for()
    visitor.ask(NEXT_QUESTION)
    page.locator(".message.assistant").nth(1).locator(".cite").first.wait_for()
    screenshot(page, path)
    visitor.answered(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

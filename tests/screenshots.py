"""``python -m tests.screenshots FOLDER``: pictures for the README, of the product running with its offline model."""

import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import Any

from docx import Document
from playwright.sync_api import Browser

import tests.services  # noqa: F401  # Starts PostgreSQL and Redis.
from tests.browser import Visitor, chromium, screenshot
from tests.http_client import ApiClient
from tests.live import stack
from tests.pages import pdf

PASSWORD = "a long enough pass phrase"


@dataclass
class Scene:
    """One language: who is asked, what there is to know, what is asked."""

    locale: str
    agent: str
    person: str
    chapter: str
    licences: str
    filler: str
    licence_text: str
    documents: tuple[str, str]
    minutes: str
    earlier: tuple[str, str]
    question: str
    next_question: str


ENGLISH = Scene(
    locale="en-US",
    agent="Licence desk",
    person="Ana",
    chapter="Chapter {}. Navigation",
    licences="Chapter {}. Licences",
    filler="The river carries quiet stones past the old mills, and every lamp along the quay keeps its own weather. "
    "Whoever moors after dusk shows a light at the stern and leaves room for the ferry to turn. ",
    licence_text="A seasonal fishing licence for the lagoon of Itaperema costs 318 cruzados, payable at the harbour "
    "office before the first of March. Residents over 65 and licensed pilots are exempt from the fee. "
    "For a boat the fee is paid per hull and not per person: one licence covers a boat with two or three people. ",
    documents=("Minutes.docx", "Annual report of the harbour and its gardens.pdf"),
    minutes="The council met on the quay and counted the boats.",
    earlier=("Contract of the second tower", "What did the harbour council count?"),
    question="How much is a seasonal fishing licence at the lagoon, and who is exempt?",
    next_question="And what does a boat with two people pay?",
)
PORTUGUESE = Scene(
    locale="pt-BR",
    agent="Balcão de licenças",
    person="Ana",
    chapter="Capítulo {}. Da navegação",
    licences="Capítulo {}. Das licenças",
    filler="O rio leva pedras quietas diante dos velhos moinhos, e cada lanterna do cais guarda o seu próprio tempo. "
    "Quem atraca depois do anoitecer mostra uma luz na popa e deixa espaço para a balsa virar. ",
    licence_text="A licença de pesca por temporada na lagoa Itaperema custa 318 cruzados, pagável no cais até primeiro "
    "de março. São isentos os residentes com mais de sessenta e cinco anos e os práticos licenciados. "
    "Para barcos, a taxa vale por casco e não por pessoa: uma licença cobre um barco com duas ou três pessoas. ",
    documents=("Atas.docx", "Relatório anual do porto e dos seus jardins.pdf"),
    minutes="O conselho se reuniu no cais e contou os barcos.",
    earlier=("Contrato da segunda torre", "O que o conselho do porto contou?"),
    question="Quanto custa a licença de pesca por temporada na lagoa, e quem é isento?",
    next_question="E quanto paga um barco com duas pessoas?",
)
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


def regulation(scene: Scene) -> bytes:
    """Twenty-four pages, of which one is about licences."""
    pages = []
    for number in range(1, 25):
        found = number == 9
        body = [scene.filler, scene.licence_text, scene.filler] if found else [scene.filler * (1 + number % 3)]
        title = (scene.licences if found else scene.chapter).format(number)
        pages.append("\n\n".join([title, *("\n".join(wrap(text, 76)) for text in body)]))
    return pdf(*pages)


def minutes(text: str) -> bytes:
    document: Any = Document()
    document.add_paragraph(text)
    buffer = BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def furnish(base_url: str, scene: Scene) -> str:
    """Make a user with an agent that knows three documents; returns their e-mail address."""
    person = ApiClient.sign_up(base_url, password=PASSWORD)
    person.call("PATCH", "/api/v1/users/me", {"name": scene.person})
    known = [
        person.upload(scene.documents[0], minutes(scene.minutes)),
        person.upload(scene.documents[1], pdf(scene.filler)),
        person.upload("Lagoa Itaperema.pdf", regulation(scene)),
    ]
    knowledge = [{"document": document["id"]} for document in known]
    person.call("POST", "/api/v1/agents", {"name": scene.agent, "knowledge": knowledge})
    person.close()
    return person.email


def take(browser: Browser, base_url: str, scene: Scene, path: Path, *, width: int, height: int) -> None:
    """One picture, in the middle of the second answer; beside it, where there is room, the source of the first."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale=scene.locale,
        has_touch=width < 700,
        device_scale_factor=2,
    )
    visitor = Visitor(context, base_url)
    page = visitor.page
    page.locator("#entrance-other").click()
    visitor.sign_up(furnish(base_url, scene), PASSWORD)
    for question in (*scene.earlier, scene.question):
        page.keyboard.press("Control+k")
        visitor.ask(question)
        visitor.answered()
    if width >= 1100:
        page.locator(".cite").first.click()
        page.locator("#source .mark").first.wait_for()
    visitor.ask(scene.next_question)
    page.locator(".message.assistant").nth(1).locator(".cite").first.wait_for()
    screenshot(page, path)
    visitor.answered(1)
    context.close()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    models = folder / "models.toml"
    models.write_text(MODELS)
    try:
        with stack(settings={"MODELS_FILE": str(models.resolve())}) as live, chromium() as browser:
            for scene, suffix in ((ENGLISH, ""), (PORTUGUESE, "-pt")):
                take(browser, live.base_url, scene, folder / f"page-wide{suffix}.png", width=1440, height=900)
                take(browser, live.base_url, scene, folder / f"page-narrow{suffix}.png", width=500, height=860)
    finally:
        models.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

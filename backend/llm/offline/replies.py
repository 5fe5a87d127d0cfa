"""The few sentences that the offline model says of its own, in the language of the question."""

from collections.abc import Sequence

from backend.llm.offline.questions import Question
from backend.llm.offline.quoting import Quote

TEXTS = {
    "en": {
        "found": "This is what the documents say:",
        "page": "page",
        "note": "I am the offline model: I quote the passages that fit best and write nothing of my own.",
        "nothing": "I found nothing in the documents that answers this question.",
        "hint": "Try other words, or those that the documents use. I am the offline model: I only quote passages.",
        "failed": "The search in the documents did not work, so I cannot answer. Please try again.",
        "no_documents": (
            "I am the offline model: I only quote documents, and this agent has none. Give the agent a collection or a "
            "document to know, or choose another model for it."
        ),
        "no_question": (
            "Hello! I am the offline model: ask me about the documents of this agent, and I will quote the passages "
            "that fit best, each with its page."
        ),
    },
    "pt": {
        "found": "Isto é o que dizem os documentos:",
        "page": "página",
        "note": "Sou o modelo offline: cito os trechos mais adequados e não escrevo nada por conta própria.",
        "nothing": "Não encontrei nos documentos nada que responda a esta pergunta.",
        "hint": "Tente outras palavras, ou as que os documentos usam. Sou o modelo offline: apenas cito trechos.",
        "failed": "A busca nos documentos não funcionou, por isso não posso responder. Tente de novo.",
        "no_documents": (
            "Sou o modelo offline: apenas cito documentos, e este agente não tem nenhum. Dê ao agente uma coleção ou "
            "um documento para conhecer, ou escolha outro modelo para ele."
        ),
        "no_question": (
            "Olá! Sou o modelo offline: pergunte sobre os documentos deste agente, e citarei os trechos mais "
            "adequados, cada um com sua página."
        ),
    },
}


def compose(question: Question, quotes: Sequence[Quote]) -> str:
    """The quotations, each in quotation marks, with its mark [n], its document and its page."""
    say = TEXTS[question.language]
    if not quotes:
        return f"{say['nothing']}\n\n{say['hint']}"
    lines = [f"“{quote.text}” [{quote.passage.n}] — {source(quote, say['page'])}" for quote in quotes]
    return "\n\n".join([say["found"], *lines, say["note"]])


def source(quote: Quote, word: str) -> str:
    name = " ".join(quote.passage.document.split())[:200]
    return name if quote.passage.page is None else f"{name}, {word} {quote.passage.page}"


def search_failed(question: Question) -> str:
    return TEXTS[question.language]["failed"]


def without_documents(question: Question) -> str:
    return TEXTS[question.language]["no_documents"]


def without_question(question: Question) -> str:
    return TEXTS[question.language]["no_question"]

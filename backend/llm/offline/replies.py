"""Composes the offline model's reply: the quotations and a few fixed sentences, all in one language."""

import re
from collections.abc import Sequence

import msgspec

from backend.llm.offline.quoting import Quote
from backend.llm.offline.words import Language

MAX_PART_CHARACTERS = 200  # Characters of a question that are repeated.
_MARKS = re.compile(r"[\[\]【】`*_<>#|“”]")
TEXTS: dict[Language, dict[str, str]] = {
    "en": {
        "found": "This is what the documents say:",
        "page": "page",
        "pages": "pages",
        "note": "I am the offline model: I quote the passages that fit best and write nothing of my own.",
        "nothing": "I found nothing in the documents that answers this question.",
        "nothing_yet": "In what has been read so far, I found nothing that answers this question.",
        "nothing_part": "I found nothing in the documents that answers this part: {part}?",
        "nothing_part_yet": "In what has been read so far, I found nothing that answers this part: {part}?",
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
        "unread": "Your documents are still being read: {share}. Please ask again when they have been read.",
        "more": "The answer may be in what is missing: please ask again in a moment.",
        "and": "and",
        "others": "others",
    },
    "pt": {
        "found": "Isto é o que dizem os documentos:",
        "page": "página",
        "pages": "páginas",
        "note": "Sou o modelo offline: cito os trechos mais adequados e não escrevo nada por conta própria.",
        "nothing": "Não encontrei nos documentos nada que responda a esta pergunta.",
        "nothing_yet": "No que já foi lido, nada responde a esta pergunta.",
        "nothing_part": "Não encontrei nos documentos nada que responda a esta parte: {part}?",
        "nothing_part_yet": "No que já foi lido, nada responde a esta parte: {part}?",
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
        "unread": "Seus documentos ainda estão sendo lidos: {share}. Pergunte de novo quando estiverem prontos.",
        "more": "A resposta pode estar no que falta: pergunte de novo daqui a pouco.",
        "and": "e",
        "others": "outros",
    },
}
COUNTED: dict[Language, dict[str, tuple[str, str]]] = {  # For one, and for any other number.
    "en": {
        "share": ("{ready} of {total} is ready", "{ready} of {total} are ready"),
        "shared": ("{ready} of {total} documents is ready", "{ready} of {total} documents are ready"),
        "reading": ("{names} is still being read", "{names} are still being read"),
        "broken": ("{names} could not be read.", "{names} could not be read."),
    },
    "pt": {
        "share": ("{ready} de {total} está pronto", "{ready} de {total} estão prontos"),
        "shared": ("{ready} de {total} documentos está pronto", "{ready} de {total} documentos estão prontos"),
        "reading": ("{names} ainda está sendo lido", "{names} ainda estão sendo lidos"),
        "broken": ("{names} não pôde ser lido.", "{names} não puderam ser lidos."),
    },
}


class Documents(msgspec.Struct, frozen=True):
    """How many documents there are to search, as the tool search_knowledge reports where not all of them were."""

    total: int = 0
    ready: int = 0
    searched: int = 0
    still_being_read: int = 0
    failed: int = 0
    names_of_those_being_read: list[str] = []
    names_of_those_that_failed: list[str] = []


def compose(
    language: Language, quotes: Sequence[Quote], documents: Documents | None, unanswered: Sequence[str] = ()
) -> str:
    """The quotations, each in quotation marks, with its mark [n], its document and its page; what was not searched.

    :param unanswered: the parts of the question, as asked, of which nothing is quoted.
    """
    say = TEXTS[language]
    missing = what_is_missing(language, documents) if documents else []
    if quotes:
        lines = [cited(quote, say) for quote in quotes]
        nothing = say["nothing_part_yet" if missing else "nothing_part"]
        lines += [nothing.format(part=repeated(part)) for part in unanswered]
        return "\n\n".join([say["found"], *lines, *missing, say["note"]])
    if documents and not documents.searched:
        return "\n\n".join(missing) or say["no_documents"]
    return "\n\n".join([say["nothing_yet" if missing else "nothing"], *missing, say["hint"]])


def repeated(part: str) -> str:
    """A part of the question, without what would be a citation or markup in an answer."""
    return " ".join(_MARKS.sub(" ", part).split())[:MAX_PART_CHARACTERS].strip(" ?.!")


def cited(quote: Quote, say: dict[str, str]) -> str:
    header = f"“{quote.header}” [{quote.passage.n}]\n" if quote.header else ""
    return f"{header}“{quote.text}” [{quote.passage.n}] — {source(quote, say)}"


def what_is_missing(language: Language, documents: Documents) -> list[str]:
    """Sentences about the documents that were not searched, so that the user does not take them for searched."""
    say, counted, found = TEXTS[language], COUNTED[language], []
    counts = {"ready": documents.ready, "total": documents.total}
    several = documents.ready != 1 and documents.total != 1
    if documents.still_being_read:
        names = listed_names(say, documents.names_of_those_being_read, of=documents.still_being_read)
        reading = counted["reading"][documents.still_being_read > 1].format(names=names)
        if documents.searched:
            found.append(f"{counted['shared'][several].format(**counts)}; {reading}. {say['more']}")
        else:
            share = f"{counted['share'][several].format(**counts)}; {reading}"
            found.append(say["unread"].format(share=share))
    if documents.failed:
        names = listed_names(say, documents.names_of_those_that_failed, of=documents.failed)
        found.append(counted["broken"][documents.failed > 1].format(names=names))
    return found


def listed_names(say: dict[str, str], names: Sequence[str], *, of: int) -> str:
    """“a.pdf, b.pdf and 3 others”; no name is cut short by the other half of a quotation mark."""
    short = [" ".join(name.split())[:100] for name in names]
    if of > len(short):
        short.append(f"{of - len(short)} {say['others']}")
    *first, last = short
    return f"{', '.join(first)} {say['and']} {last}" if first else last


def source(quote: Quote, say: dict[str, str]) -> str:
    name = " ".join(quote.passage.document.split())[:200]
    if quote.pages is None:
        return name
    first, last = quote.pages
    return f"{name}, {say['page']} {first}" if first == last else f"{name}, {say['pages']} {first}–{last}"


def search_failed(language: Language) -> str:
    return TEXTS[language]["failed"]


def without_documents(language: Language) -> str:
    return TEXTS[language]["no_documents"]


def without_question(language: Language) -> str:
    return TEXTS[language]["no_question"]

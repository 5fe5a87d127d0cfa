"""Detects the language of a question, also of a short one, and chooses the language of the reply."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from backend.llm.offline.words import Language, words
from backend.llm.prose import ENGLISH, PORTUGUESE, listed

Spoken = Literal["en", "pt", "es", "fr", "de", "it", "other"]

MAX_CHARACTERS = 2000  # Characters that are looked at.

# Words that hold others together or ask, and what short questions about documents are made of; without accents.
LISTS: dict[Spoken, frozenset[str]] = {
    "en": ENGLISH
    | listed(
        """tell show explain describe give find please many much hello hi hey thanks thank deadline contract lease rent
        price fee fine payment date term warranty deposit tenant landlord penalty delivery cost tax address phone
        name summary salary refund cancellation insurance holidays vacation notice period amount invoice owner buyer
        seller parties clause interest year month day who's what's when's where's isn doesn document page answer work
        works"""
    ),
    "pt": PORTUGUESE
    | listed(
        """diga fale explique descreva mostre conte quero preciso favor oi ola obrigado obrigada bom boa dia prazo
        contrato aluguel preco valor multa pagamento data vigencia termo garantia fiador inquilino locatario locador
        entrega custo imposto endereco telefone nome resumo salario reembolso cancelamento seguro ferias aviso
        periodo quantia fatura vencimento dono comprador vendedor partes clausula juros deposito caucao ano mes
        documento pagina resposta termina acaba comeca funciona vence"""
    ),
    "es": listed(
        """el la los las y una con por del es en se que de lo su al mas pero sus le ya fue este esta esto porque son
        entre cuando muy sin sobre tambien hasta hay donde un para como a o cual cuales cuanto cuantos cuanta cuantas
        quien quienes desde ser tiene puede hola gracias plazo contrato alquiler precio valor multa pago fecha
        garantia entrega coste direccion telefono nombre resumen salario seguro aviso periodo factura vencimiento
        comprador vendedor clausula documento pagina respuesta termina ano mes dia"""
    ),
    "fr": listed(
        """le la les et des est un une du dans que pour qui sur pas au par plus avec ce il sont ne se aux cette ou mais
        comme ses ete etre leur elle nous vous en de quel quelle quels quelles quand combien comment pourquoi quoi
        bonjour merci contrat loyer prix paiement date delai garantie adresse nom duree a l d c s qu"""
    ),
    "de": listed(
        """der die das und ist von den mit ein eine des dem nicht auf fur sich im als auch es an werden aus er hat dass
        sie nach wird bei einer um am sind noch wie einem uber so zum oder in zu was wann wo wer warum welche welcher
        welches wieviel viel hallo danke vertrag miete preis frist zahlung datum name endet"""
    ),
    "it": listed(
        """il di che la e un per in una sono non con del si da come al le dei nel alla piu ma anche questo della gli lo
        delle dal ha degli i a o quale quali quando quanto quanti chi dove perche cosa ciao grazie contratto affitto
        prezzo pagamento data scadenza garanzia nome termine scade"""
    ),
}
_ENDINGS: tuple[tuple[str, Spoken], ...] = (
    *(("cao", "pt"), ("coes", "pt"), ("sao", "pt"), ("dade", "pt"), ("agem", "pt"), ("ncia", "pt"), ("eiro", "pt")),
    *(("ing", "en"), ("tion", "en"), ("ght", "en"), ("ness", "en"), ("ed", "en"), ("cion", "es"), ("dad", "es")),
    *(("zione", "it"), ("ung", "de"), ("eur", "fr"), ("aux", "fr")),
)
_LETTERS: tuple[tuple[str, Spoken, float], ...] = (
    *(("ãõ", "pt", 2), ("çêâô", "pt", 1), ("áéíóú", "pt", 0.4), ("ñ¿¡", "es", 3), ("áéíóú", "es", 0.4)),
    *(("ßäöü", "de", 2), ("èùœëîû", "fr", 2), ("çêâôé", "fr", 0.5), ("èìòù", "it", 0.7)),
)
_OUTSIDE_WORDS = re.compile(r"[\W\d_]+")


def spoken_in(text: str) -> Spoken | None:
    """None when it does not tell, as a name or a number does; ``other`` for another script than the Latin one."""
    text = unicodedata.normalize("NFC", text[:MAX_CHARACTERS]).lower()
    letters = _OUTSIDE_WORDS.sub("", text)
    if sum(letter > "\u024f" for letter in letters) > len(letters) / 2:
        return "other"
    scores: dict[Spoken, float] = dict.fromkeys(LISTS, 0.0)
    for word in words(text):
        known = [language for language, listing in LISTS.items() if word in listing]
        for language in known:
            scores[language] += 1 / len(known)
        if not known and len(word) > 4:
            for ending, language in _ENDINGS:
                scores[language] += 0.6 if word.endswith(ending) else 0
    for marks, language, weight in _LETTERS:
        scores[language] += weight * sum(text.count(mark) for mark in marks)
    highest = max(scores.values())
    best = [language for language in scores if scores[language] == highest]
    ours = [language for language in best if language in ("en", "pt")]
    if not highest or len(ours) > 1:
        return None
    return ours[0] if ours else best[0]


def reply_language(questions: Sequence[str], *, reader: str, otherwise: Sequence[Language | None]) -> Language:
    """The language to answer the last question in: its own, else that of those before it, else what the reader reads.
    :param reader: the language of the asking client, such as ``pt-br``; empty if it is unknown. :param otherwise:
    what else may tell, the best first, where the questions are of no language."""
    for text in reversed(questions):
        match spoken_in(text):
            case ("en" | "pt") as language:
                return language
            case None:
                continue
            case _:  # One that we do not write.
                return "pt" if reader.startswith("pt") else "en"
    if reader:
        return "pt" if reader.startswith("pt") else "en"
    return next((language for language in otherwise if language), "en")

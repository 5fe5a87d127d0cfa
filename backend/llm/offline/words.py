"""Words of English and Portuguese: stems, what carries meaning, and which of the two languages a text is in."""

import re
from functools import lru_cache
from typing import Literal

from backend.llm.prose import fold, is_small, listed

Language = Literal["en", "pt"]

WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")

# Not what a question is about, in either language, and greetings.
GENERIC = listed(
    """tell show explain describe give find say says said know want need needed please mean means many much kind type
    thing things document documents file files text passage page pages chapter according answer question information
    inform summary summarize summarise main hello hi hey thanks thank good morning afternoon evening diga fale
    explique descreva mostre conte quero preciso saber favor significa tipo coisa documento documentos arquivo
    arquivos texto trecho pagina paginas segundo conforme resposta pergunta informacao informacoes informar
    informe gostaria poderia resumo resuma principal oi ola obrigado obrigada bom boa dia tarde noite tudo bem
    possible possivel diz dizem"""
)
# Shapes of answers more than subjects: "period" in "the warranty period".
WEAK = listed(
    """work works working function functions supported allowed way funciona funcionam funcionar permitido
    period number amount value name date time year years day days month months hour hours place person people
    happen happens happened use used make made get called long far often first last maximum minimum total periodo numero
    quantidade valor nome tempo ano anos mes meses hora horas dias lugar pessoa pessoas acontece aconteceu usar
    usado fazer feito chama chamado longo primeiro primeira ultimo ultima maximo minimo maxima minima total prazo"""
)
NUMBERS = listed(
    """two three four five six seven eight nine ten eleven twelve twenty thirty hundred thousand half double
    dois duas tres quatro cinco seis sete oito nove dez onze doze vinte trinta cem mil metade dobro"""
)
GREETINGS = listed("hello hi hey thanks thank good morning afternoon evening oi ola obrigado obrigada bom boa")
MARKERS: dict[Language, frozenset[str]] = {
    "en": listed(
        """the is are was what when where who how which why does did do of and to in for with can you hello hi hey
        thanks thank good morning afternoon evening"""
    ),
    "pt": listed(
        """o os um uma e de do da dos das que qual quais quando onde quem como quanto quantos quantas por para com em
        no na nos nas nao ao aos se sao foi ser tem ha pode sobre seu sua oi ola
        obrigado obrigada bom boa dia tarde noite tudo bem"""
    ),
}
ENDINGS: dict[Language, tuple[str, ...]] = {
    "en": (
        *("ations", "ation", "ments", "ment", "nesses", "ness", "ings", "ing", "edly", "ities", "ity", "ies", "ied"),
        *("ers", "er", "ed", "es", "ly", "al", "s", "e", "y"),
    ),
    "pt": (
        *("amentos", "imentos", "amento", "imento", "adoras", "adores", "adora", "ador", "idades", "idade", "mente"),
        *("acoes", "icoes", "acao", "icao", "coes", "cao", "oes", "ao", "aveis", "iveis", "avel", "ivel", "ando"),
        *("endo", "indo", "aram", "eram", "iram", "aria", "eria", "iria", "ados", "adas", "idos", "idas", "ado", "ada"),
        *("ido", "ida", "ais", "eis", "ar", "er", "ir", "al", "el", "ou", "eu", "iu", "am", "em", "as", "os", "es"),
        *("a", "o", "e", "s"),
    ),
}
MIN_STEM_LETTERS = {"en": 3, "pt": 3}
# Synonyms. Of a pair, the first stand in questions and the second in documents.
PARAPHRASES: dict[Language, tuple[str | tuple[str, str], ...]] = {
    "en": (
        *(
            ("price cost", "price cost fee charge rate"),
            ("fee charge rate", "price fee charge rate"),
            ("pay", "price fee rent rate"),
        ),
        *("annual yearly year annum", "daily day", "end terminate expire expiry finish", "begin start commence"),
        *("cancel terminate", "landlord lessor", "tenant lessee", "holiday vacation", "penalty fine", "salary wage"),
        *("purchase buy", "phone telephone", "employee worker", "duration term validity"),
    ),
    "pt": (
        *(
            "preco valor custo custa tarifa taxa cobrado cobranca quantia",
            ("pago paga pagar", "preco valor custo taxa"),
        ),
        *("mensal mensais mensalmente mensalidade mes meses", "anual anuais anualmente anuidade ano anos"),
        *("diario diaria dia dias", "semanal semana", "termina acaba encerra fim termino vence vencimento"),
        *("comeca inicia inicio", "rescindir rescisao cancelar cancelamento", "inquilino locatario"),
        *("dono proprietario locador", "duracao vigencia prazo", "multa penalidade", "caucao deposito"),
        *("salario remuneracao", "empregado funcionario trabalhador", "telefone fone", "comprar compra aquisicao"),
    ),
}


def words(text: str) -> list[str]:
    return WORD.findall(fold(text))


@lru_cache(maxsize=20_000)
def stem(word: str, language: Language) -> str:
    """The word (folded) without its ending; figures stay as they are."""
    if word[0].isdigit():
        return word
    for ending in ENDINGS[language]:
        if word.endswith(ending) and len(word) - len(ending) >= MIN_STEM_LETTERS[language]:
            word = word[: -len(ending)]
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]  # cancelled, cancel
    return word


@lru_cache(maxsize=2)
def paraphrases(language: Language) -> dict[str, tuple[str, ...]]:
    """For the stem of a word of the question: its synonyms."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in PARAPHRASES[language]:
        asked, there = entry if isinstance(entry, tuple) else (entry, entry)
        for one in asked.split():
            key = stem(one, language)
            found[key] = tuple(dict.fromkeys((*found.get(key, ()), *there.split())))
    return found


@lru_cache(maxsize=20_000)
def said_otherwise(word: str, language: Language) -> frozenset[str]:
    """The stems of the synonyms of a word with this stem."""
    return frozenset(stem(other, language) for other in paraphrases(language).get(word, ()))


def alike(one: str, other: str) -> bool:
    """Whether two stems mean the same word: equal, or one begins with the other and little is left."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    return len(short) >= 5 and long.startswith(short) and len(long) - len(short) <= 3 and not short[0].isdigit()


def carries_meaning(word: str) -> bool:
    return not is_small(word) and word not in GENERIC


def language_of(*texts: str) -> Language | None:
    """The language of the first text that shows one; None when none does."""
    for text in texts:
        found = words(text[:4000])
        english = sum(word in MARKERS["en"] for word in found)
        portuguese = sum(word in MARKERS["pt"] for word in found) + 2 * len(
            re.findall("[ãõçâêôà]|[áéíóú]", text[:4000].lower())
        )
        if english != portuguese:
            return "en" if english > portuguese else "pt"
    return None

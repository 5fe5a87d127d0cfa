"""Detects the language of a text by its most frequent words."""

from collections import Counter

from backend.documents.models import Language
from backend.documents.words import words_of

SAMPLE = 20_000  # Characters.
MIN_SHARE = 0.05  # Share of the words that must be on the list of the language.

# Words that are frequent in one language and rare in the others. Languages without a stemmer are listed so that Spanish
# is not detected as Portuguese, nor German as English.
FREQUENT = {
    "pt": (
        "não uma são os ou um em do da dos das no na nos nas ao aos à às com mais mas foi é ele ela seu sua isso "
        "também até pelo pela pelos pelas quando muito está já eu você nós entre depois ser tem há essa esse este "
        "esta que de para por como se o a e nao sao tambem ate esta voce"
    ),
    "en": (
        "the of and to is that it was for on are with as his they be at this have from or had by but what were we "
        "when your can said there use an each which she how their if will not you in he a i"
    ),
    "es": (
        "el la los las y una con por del es en se que de lo su al más pero sus le ya fue este ha sí porque esta "
        "son entre está cuando muy sin sobre también me hasta hay donde un para como a o"
    ),
    "de": (
        "der die das und ist von den mit ein eine des dem nicht auf für sich im als auch es an werden aus er hat "
        "dass sie nach wird bei einer um am sind noch wie einem über so zum oder in zu"
    ),
    "fr": (
        "le la les et des est un une du dans que pour qui sur pas au par plus avec ce il sont ne se aux cette ou "
        "mais comme ses été être leur elle nous vous en de à"
    ),
    "it": (
        "il di che la è e un per in una sono non con del si da come al le dei nel alla più ma anche questo della "
        "gli lo delle dal ha degli i a o"
    ),
}
_LISTS = {language: frozenset(words.split()) for language, words in FREQUENT.items()}


def detect(text: str) -> Language:
    """Portuguese, English or undetermined."""
    words = words_of(text[:SAMPLE])
    if not words:
        return Language.UNDETERMINED
    counts: Counter[str] = Counter()
    for word, count in Counter(words).items():
        for language, known in _LISTS.items():
            if word in known:
                counts[language] += count
    best = max(_LISTS, key=lambda language: (counts[language], language in Language.values))
    if best not in Language.values or counts[best] < MIN_SHARE * len(words):
        return Language.UNDETERMINED
    return Language(best)

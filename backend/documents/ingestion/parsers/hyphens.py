"""Decides whether a hyphen at the end of a line belongs to the word or only divides it.

Portuguese joins pronouns to verbs by hyphens (entregá-lo, reúnem-se, dar-lhe-ei) and has many compounds; each may be
cut at its own hyphen. The rules use the two parts of the word, and first of all other words of the same page.
"""

import re
from collections.abc import Set

HYPHENS = "-\u2010\u00ad"
_WORDS = re.compile(r"\w+(?:[-\u2010]\w+)*")
_LAST = re.compile(r"[^\s(\[\"'“‘«]*$")
_FIRST = re.compile(r"[^\s,;:!?)\]\"'”’»]*")
_LETTERS = re.compile(r"[^\W\d_]+")

_COMPOUNDS_LISTED = """guarda-chuva guarda-roupa guarda-costas guarda-sol guarda-móveis guarda-corpo guarda-noturno
    segunda-feira terça-feira quarta-feira quinta-feira sexta-feira decreto-lei salário-mínimo salário-família
    salário-base salário-maternidade salário-educação data-base ano-base palavra-chave carro-chefe matéria-prima
    obra-prima primeiro-ministro médico-hospitalar médico-cirúrgico norte-americano sul-americano latino-americano
    luso-brasileiro afro-brasileiro abaixo-assinado boa-fé má-fé vale-transporte vale-refeição vale-alimentação
    auxílio-doença auxílio-alimentação auxílio-moradia auxílio-creche auxílio-acidente seguro-desemprego
    seguro-garantia seguro-saúde décimo-terceiro meio-dia porta-voz porta-retrato conta-corrente arco-íris
    beija-flor couve-flor bem-estar bem-vindo bem-sucedido bem-querer mal-estar mal-entendido mal-humorado
    curto-circuito alto-falante ponto-chave hora-extra sócio-gerente sócio-administrador procurador-geral
    diretor-geral diretor-presidente secretário-geral advogado-geral controladoria-geral vice-presidente sem-teto
    sem-terra sem-número sem-fim micro-ondas técnico-científico político-administrativo econômico-financeiro
    físico-financeiro sócio-econômico well-known well-being long-term short-term full-time part-time third-party
    follow-up up-to e-mail x-ray so-called non-refundable non-compete non-disclosure decision-making father-in
    mother-in check-in check-out sub-contractor vice-president"""
_COMPOUNDS = frozenset(_COMPOUNDS_LISTED.split())
# Parts after which a word always continues with a hyphen.
_FIRST_PARTS_LISTED = """recém não vice além aquém ex-vice self well terça"""
_FIRST_PARTS = frozenset(_FIRST_PARTS_LISTED.split())
_NOT_COMPOUND = ("selfish", "selfless", "selfie", "wellness", "wellington", "vicej", "vicent", "vicenal")

_PRONOUNS_LISTED = """me te se nos vos lhe lhes lo la los las no na o a os as mo ma lho lha lhos lhas"""
_PRONOUNS = frozenset(_PRONOUNS_LISTED.split())
_FUTURE_LISTED = """ei ás á emos eis ão ia ias íamos íeis iam"""
_FUTURE = frozenset(_FUTURE_LISTED.split())
_ACCENTED = "áéíóúâêôàãõ"
_SHORT_VERBS_LISTED = """dá dê vê lê há é tê pô fá dei vi pôs"""
_SHORT_VERBS = frozenset(_SHORT_VERBS_LISTED.split())
_IRREGULAR_LISTED = """faz diz traz fez quis pôs trouxe disse pode quer"""
_IRREGULAR = frozenset(_IRREGULAR_LISTED.split())

# The first parts of words that look like a verb with a pronoun and are none: esti-lo, cader-nos, conver-se.
_WORDS_IN_LO_LISTED = """esti sigi asi qui vaci argi vi fi mochi tranqui intranqui pupi tequi axi camomi crocodi
    baci mami gri ki dani perfi desfi desti compi horripi"""
_WORDS_IN_LO = frozenset(_WORDS_IN_LO_LISTED.split())
_WORDS_IN_SE_LISTED = """conver disper inver univer diver adver perver ter fra ba qua ca fa te atra emba paráfra
    cateque dioce arquidioce obe repou pou ou cre interes clas pos pas gros mas nes des es is fos"""
_WORDS_IN_SE = frozenset(_WORDS_IN_SE_LISTED.split())
_WORDS_IN_TE_LISTED = """descar encar estandar contrapar apar baluar duar alar"""
_WORDS_IN_TE = frozenset(_WORDS_IN_TE_LISTED.split())
_WORDS_IN_ME_LISTED = """confir desar alar enfer germer sobreno preno codino síndro"""
_WORDS_IN_ME = frozenset(_WORDS_IN_ME_LISTED.split())
_WORDS_IN_LHE_LISTED = """deta esco reco aco traba enco enta fa bri comparti va ma pa ta ore espe mo o bata embru
    fo fi bi torni vasi a me ve ba bo tri"""
_WORDS_IN_LHE = frozenset(_WORDS_IN_LHE_LISTED.split())


def words_of(text: str) -> Set[str]:
    """The words of a text in lower case. The other words of a page show how a divided word is spelled."""
    return frozenset(_WORDS.findall(text.lower()))


def joint(before: str, after: str, known: Set[str] = frozenset()) -> str:
    """The separator between a line that ended in a hyphen, given without it, and the next line: empty or a hyphen.

    :param known: words that occur on the page (``words_of``).
    """
    last, first = _LAST.search(before), _FIRST.match(after)
    left, right = (last[0].lower() if last else ""), (first[0] if first else "")
    if not left or not right or right[0] in HYPHENS:  # A dash; or the hyphen is repeated, as Portuguese does.
        return "-" if right[:1] not in HYPHENS else ""
    if not right[0].islower() or not left[-1].isalpha() or any(mark in left for mark in ("://", "www.", "@", "/", "_")):
        return "-"  # A name, an identifier, an address.
    right = right.lower().rstrip(".")
    if left + right in known:
        return ""
    return "-" if f"{left}-{right}" in known or _belongs(left, right) else ""


def _belongs(left: str, right: str) -> bool:
    """Whether the hyphen is part of the word."""
    if _is_compound(left, right):
        return True
    head, _, tail = right.partition("-")
    if head in _PRONOUNS and (not tail or tail in _FUTURE):
        return bool(tail) or _is_enclitic(left.rpartition("-")[2], head)
    verb, _, pronoun = left.rpartition("-")
    return bool(verb) and pronoun in _PRONOUNS and right in _FUTURE


def _is_compound(left: str, right: str) -> bool:
    whole = f"{left}-{right}"
    if whole in _COMPOUNDS or whole.removesuffix("s") in _COMPOUNDS:
        return True
    if f"{left.removesuffix('s')}-{right.removesuffix('s')}" in _COMPOUNDS:
        return True
    if left in _FIRST_PARTS:
        return not (left + right).startswith(_NOT_COMPOUND)
    links = ("de", "do", "da", "dos", "das", "in", "to", "of", "the", "a", "à")  # mão-de-obra, up-to-date
    return (right.partition("-")[0] in links and "-" in right) or (left.rpartition("-")[2] in links and "-" in left)


def _is_enclitic(left: str, pronoun: str) -> bool:
    """Whether this is a form of a verb that the pronoun is joined to."""
    if not _LETTERS.fullmatch(left):
        return False
    if left in _SHORT_VERBS or left in _IRREGULAR:
        return True
    if pronoun in ("lo", "la", "los", "las"):
        return left[-1] in "áéêíôó" or (left[-1] == "i" and len(left) > 3 and left not in _WORDS_IN_LO)
    if left.endswith(("m", "ão", "õe", "ndo")):  # No Portuguese word continues so.
        return len(left) > 2
    if pronoun in ("no", "na", "o", "a"):
        return len(pronoun) == 1  # No word is divided before its last letter.
    return _follows_ending(left, pronoun)


def _follows_ending(left: str, pronoun: str) -> bool:
    if pronoun in ("os", "as"):
        return left.endswith(("a", "ou", "eu", "iu")) and len(left) > 2
    if left.endswith(("ar", "er", "ir", "ôr")) and (len(left) > 3 or pronoun in ("lhe", "lhes")):
        return _follows_infinitive(left, pronoun)
    return _follows_vowel(left, pronoun)


def _follows_infinitive(left: str, pronoun: str) -> bool:
    if pronoun in ("nos", "vos"):
        return not left.endswith("er")  # cader-nos, ner-vos
    if pronoun in ("te", "me"):
        return left not in (_WORDS_IN_TE | _WORDS_IN_ME) and len(left) > 4
    return left not in _WORDS_IN_SE


def _follows_vowel(left: str, pronoun: str) -> bool:
    if left.endswith(("ou", "eu", "iu")):
        return left not in _WORDS_IN_SE
    if pronoun == "nos":
        return left.endswith(("amo", "emo", "imo")) and len(left) > 4
    if len(left) < 3 or (any(letter in _ACCENTED for letter in left[-4:-1]) and not left.endswith(("i", "u", "ía"))):
        return False if pronoun != "lhe" or len(left) < 4 else left not in _WORDS_IN_LHE
    if pronoun == "se":
        return left.endswith(("a", "e", "ui", "ai")) and left not in _WORDS_IN_SE
    if pronoun in ("lhe", "lhes"):
        return left[-1] in "aeiou" and left not in _WORDS_IN_LHE
    return pronoun == "me" and left.endswith("o") and len(left) > 5 and left not in _WORDS_IN_ME

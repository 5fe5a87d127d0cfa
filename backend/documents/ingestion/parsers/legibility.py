"""Detects unreadable text, which fonts without Unicode values and wrong encodings produce.

All scripts and languages, tables of figures and program code are readable; only text that is *mostly* broken is not.
"""

import itertools
import re
import unicodedata

SAMPLE = 2_000  # Characters that are examined.
_MIN_CHARACTERS = 10  # Visible characters: fewer give no result.
_MIN_PAIRS = 15
_MANY_PAIRS = 60

# Letters of private use, replacement characters, and the names that some writers give to glyphs without a meaning.
_MEANINGLESS = re.compile("[\ue000-\uf8ff\ufffd\U000f0000-\U0010ffff]|\\(cid:[0-9]{1,6}\\)")
_MOSTLY_MEANINGLESS = 0.4  # Of the visible characters. Bullets and symbols of text fonts are fewer.

# The upper half of Windows-1252: UTF-8 that was read as it has pairs and triples of these (the two letters of one
# accented), any other code page has almost nothing else. No language needs them for more than a third of its letters.
_HIGH = (
    "\u00a1-\u00ff\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d\u2018"
    "\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178"
)
_FOLLOWING = _HIGH.replace("\u00ff", "\u00bf") + "\u0080-\u00a0"
_HIGH_LETTER = re.compile(f"[{_HIGH}]")
_UTF_8_MISREAD = re.compile(f"[\u00c2-\u00df][{_FOLLOWING}]|[\u00e0-\u00ef][{_FOLLOWING}]{{2}}")

_FAMILIAR_WORDS = """the of and to in is that for with not be or as by de do da dos das que os não em um uma para por
    com no na se ou el la los las en del y der die das und den von zu le les des et du une il di che per"""
_FAMILIAR = frozenset(_FAMILIAR_WORDS.split())
_ENOUGH_FAMILIAR = 0.15  # Of the words. Ordinary text in these languages has twice as many.
_ACCENTS = re.compile("[\u0300-\u036f]+")
_WORD = re.compile(r"(?<![^\W_])[a-z]{3,25}(?![^\W_])")

# How frequent each pair of adjacent letters is in words, from 0 to 9, where 5 means as frequent as if all letters were
# equally frequent: learned from texts in 59 languages that are written in Latin letters. Columns: a to z, and the end
# of the word.
_FOLLOWS = (
    "345522535346573406664420337",  # a
    "720170047505126006427000506",  # b
    "704060077033028005265000325",  # c
    "700380147502337105315110227",  # d
    "535433414246572317653314138",  # e
    "700074038304028005345000406",  # f
    "630170347314037005547030307",  # g
    "800372026124237003165220207",  # h
    "535654421446576315662420147",  # i
    "801280005011236000446110116",  # j
    "723070036255327004566230307",  # k
    "821470327315326000556200307",  # l
    "850070037212416500515000107",  # m
    "605562636334346503575210408",  # n
    "344622413445573307654440138",  # o
    "702070124007028407345300206",  # p
    "511450005105023013229000004",  # q
    "722471317133536004555210327",  # r
    "604173347155235411575220328",  # s
    "700083047011126306355220427",  # t
    "634462515345663407664211147",  # u
    "801080007103037004214000305",  # v
    "804070216201057204425070507",  # w
    "603060017000015500283000008",  # x
    "734564314245456604564230538",  # y
    "833370347132466201245320437",  # z
    "656665445455565624665530330",  # The start of a word.
)
_USUAL = {
    (one, other): int(_FOLLOWS[row][column])
    for row, one in enumerate("abcdefghijklmnopqrstuvwxyz ")
    for column, other in enumerate("abcdefghijklmnopqrstuvwxyz ")
}
_UNUSUAL = 4.6  # On average. Words of those languages reach 5 to 6, enciphered words 3 to 4.4.
_UNUSUAL_OF_FEW = 4.4  # In a few words chance has a part.
_LONG_WORD = 5  # Lists of codes have shorter ones.


def is_unreadable(text: str, *, lost: int = 0) -> bool:
    """Whether most of the text is not words.

    :param lost: number of visible characters that are not in the text, because they have no Unicode value.
    """
    text = text[:SAMPLE]
    words = text.split()
    visible = sum(map(len, words))
    if visible + lost < _MIN_CHARACTERS:
        return False
    meaningless = lost
    if not text.isascii() or "(cid:" in text:
        meaningless += sum(map(len, _MEANINGLESS.findall(text)))
    if meaningless > _MOSTLY_MEANINGLESS * (visible + lost):
        return True
    if not text.isascii() and _is_misread(text, words=len(words), visible=visible):
        return True
    familiar = sum(word.strip(".,;:()") in _FAMILIAR for word in text.lower().split())
    return familiar <= _ENOUGH_FAMILIAR * len(words) and _is_enciphered(text, visible)


def _is_misread(text: str, *, words: int, visible: int) -> bool:
    """Whether the text was decoded with the wrong encoding."""
    pairs = len(_UTF_8_MISREAD.findall(text))
    if pairs >= 3 and 20 * pairs >= words:
        return True
    high = len(_HIGH_LETTER.findall(text))
    if high < _MIN_CHARACTERS or 5 * high <= 2 * visible:
        return False
    ascii_letters = sum(letter.isascii() and letter.isalpha() for letter in text)
    return 2 * high > 3 * ascii_letters and sum(map(str.isalpha, text)) < 2 * high + ascii_letters


def _is_enciphered(text: str, visible: int) -> bool:
    """Whether the sequences of Latin letters are those of no language."""
    if not text.isascii():
        text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    words = _WORD.findall(text.lower())
    if not any(len(word) >= _LONG_WORD for word in words):
        return False
    if 3 * sum(map(len, words)) < visible:  # Figures, another script, signs.
        return False
    spaced = f" {' '.join(words)} "
    pairs = len(spaced) - 1
    if pairs < _MIN_PAIRS:
        return False
    usual = sum(map(_USUAL.__getitem__, itertools.pairwise(spaced))) / pairs
    return usual < (_UNUSUAL if pairs >= _MANY_PAIRS else _UNUSUAL_OF_FEW)

"""Detects single-byte encodings of Western languages, by whether the decoded text consists of words."""

import re

_LETTERS = "áàâãäåæçéèêëíìîïñóòôõöøœúùûüýÿßÁÀÂÃÄÅÆÇÉÈÊËÍÌÎÏÑÓÒÔÕÖØŒÚÙÛÜÝŸ"
_CAPITAL = "ÁÀÂÃÄÅÆÇÉÈÊËÍÌÎÏÑÓÒÔÕÖØŒÚÙÛÜÝŸŠŽ"
_SMALL = "áàâãäåæçéèêëíìîïñóòôõöøœúùûüýÿšž"
_MARKS = "†‡‚„ˆ˜‰‹•¡¢£¤¥¦§¨©«¬®¯±²³´µ¶¸¹¿Œƒ"
_LETTER = f"A-Za-zß{_CAPITAL}{_SMALL}"
# Signs within words or at the wrong end of one, and capitals between small letters: not in any language.
_ODD = re.compile(
    f"(?<=[a-z{_SMALL}])[{_CAPITAL}](?=[a-z{_SMALL}])|(?<=[A-Z{_CAPITAL}])[{_SMALL}](?=[A-Z{_CAPITAL}])"
    f"|(?<=[{_LETTER}])[{_MARKS}](?=[{_LETTER}{_MARKS}])|(?<=[{_LETTER}\\d])[‚„ˆ˜¨¸¢¦¿¡]|[‚„ˆ˜¢¿¡¨¸](?=\\s|\\Z)"
    f"|[£¤¥ƒ¢](?=[a-z{_SMALL}])|(?<=\\d)[§¦¶]|(?<!\\S)[ŠŽƒ](?!\\S)"
)
# What texts in these languages hardly ever hold; frames are drawn in pieces that do not touch words.
_RARE = re.compile(
    f"[^\\x00-\\x7f{_LETTERS}ºª°€“”‘’–—…«»¿¡·½¼¾¹²³×±£§©®™‚„\xa0\u2500-\u259f]"
    "|(?<=[^\\s\u2500-\u259f])[\u2500-\u259f]|[\u2500-\u259f](?=[^\\s\u2500-\u259f])"
)
_USUAL = "äöüßàáâãçèéêñóôõúíÇÃÉºª"
_ASCII_LETTERS = bytes([*range(65, 91), *range(97, 123)])
_OTHERS = ("cp850", "cp437", "mac_roman")  # Those of DOS and of old Macs.


def other_encoding(sample: bytes) -> str:
    """The encoding in which the text consists of words, if it does not as Windows-1252; empty for most texts."""
    high = _count(sample)
    if not high or high > _count_letters(sample):
        return ""
    if _flaws(sample.decode("cp1252", "replace")) * 10 < high:
        return ""
    texts = [(sample.decode(encoding, "replace"), encoding) for encoding in _OTHERS]
    flaws, _usual, encoding = min((_flaws(text), -sum(map(text.count, _USUAL)), encoding) for text, encoding in texts)
    return encoding if flaws * 20 <= high else ""


def is_odd(sample: bytes) -> bool:
    """Whether the text as Windows-1252 has signs within words."""
    return len(_ODD.findall(sample.decode("cp1252", "replace"))) * 5 > _count(sample)


def _flaws(text: str) -> int:
    return len(_ODD.findall(text)) + len(_RARE.findall(text))


def _count_letters(sample: bytes) -> int:
    return len(sample) - len(sample.translate(None, _ASCII_LETTERS))


def _count(sample: bytes) -> int:
    return len(sample) - len(sample.translate(None, bytes(range(0x80, 0x100))))

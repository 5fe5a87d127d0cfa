"""Decodes bytes to text, by the encoding that a file declares or by detection.

A declaration may be wrong, and most files have none. The order:

1. A byte-order mark.
2. UTF-8, because text in other encodings is hardly ever valid UTF-8. A few invalid bytes are replaced.
3. The declared encoding.
4. Windows-1252, if the result consists of words.
5. A guess, with a warning.
"""

import codecs
import re
import unicodedata

import charset_normalizer

from . import western_encodings

Warnings = list[tuple[str, str]]

_BOMS = [
    (codecs.BOM_UTF8, "utf_8"),
    (codecs.BOM_UTF32_LE, "utf_32_le"),
    (codecs.BOM_UTF32_BE, "utf_32_be"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
]
# The labels of the Encoding Standard (WHATWG, section 4.2) and the codec for each. ISO-8859-1 and ASCII are names of
# Windows-1252 there. Loaded at import, because the parser process can open no files later.
_LABELS = """
utf_8: unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8
  utf-16 utf-16le utf-16be ucs-2 iso-10646-ucs-2 unicode unicodefeff unicodefffe csunicode
cp866: 866 cp866 csibm866 ibm866
iso8859_2: csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2
iso8859_3: csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3
iso8859_4: csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4
iso8859_5: csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988
iso8859_6: arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e iso-8859-6-i
  iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987
iso8859_7: csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7
  iso_8859-7:1987 sun_eu_greek
iso8859_8: csiso88598e csiso88598i csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-8859-8-i iso-ir-138 iso8859-8
  iso88598 iso_8859-8 iso_8859-8:1988 logical visual
iso8859_10: csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6
iso8859_13: iso-8859-13 iso8859-13 iso885913
iso8859_14: iso-8859-14 iso8859-14 iso885914
iso8859_15: csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9
iso8859_16: iso-8859-16
koi8_r: cskoi8r koi koi8 koi8-r koi8_r
koi8_u: koi8-ru koi8-u
mac_roman: csmacintosh mac macintosh x-mac-roman
mac_cyrillic: x-mac-cyrillic x-mac-ukrainian
cp874: dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874
cp1250: cp1250 windows-1250 x-cp1250
cp1251: cp1251 windows-1251 x-cp1251
cp1252: ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1
  iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252 x-user-defined
cp1253: cp1253 windows-1253 x-cp1253
cp1254: cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 windows-1254
  x-cp1254
cp1255: cp1255 windows-1255 x-cp1255
cp1256: cp1256 windows-1256 x-cp1256
cp1257: cp1257 windows-1257 x-cp1257
cp1258: cp1258 windows-1258 x-cp1258
gb18030: chinese csgb2312 csiso58gb231280 gb18030 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk
big5hkscs: big5 big5-hkscs cn-big5 csbig5 x-x-big5
euc_jp: cseucpkdfmtjapanese euc-jp x-euc-jp
iso2022_jp_2: csiso2022jp iso-2022-jp
cp932: csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis
cp949: cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949
"""
CODECS: dict[str, str] = {}  # By label.
_codec = ""
for _word in _LABELS.split():
    if _word.endswith(":") and not _word.startswith("iso_"):
        _codec = codecs.lookup(_word[:-1]).name and _word[:-1]
    else:
        CODECS[_word] = _codec
for _other in ("utf_16_le", "utf_16_be", "utf_32_le", "utf_32_be", "big5", "cp437", "cp850"):
    codecs.lookup(_other)

_SAMPLE = 64 * 1024  # Bytes that a guess uses.
_HIGH = bytes(range(0x80, 0x100))
_LETTERS = bytes([*range(65, 91), *range(97, 123)])
_HIGH_LETTERS = bytes(byte for byte in range(0xC0, 0x100) if byte not in (0xD7, 0xF7)) + b"\x8a\x8c\x8e\x9a\x9c\x9e\x9f"
_NO_1252 = b"\x81\x8d\x8f\x90\x9d"
_NOISE = b"\xff\xfe" + _NO_1252  # In a text of Windows-1252 hardly ever, in a damaged one often.
_SYMBOL_IN_WORD = re.compile(rb"[A-Za-z\xc0-\xff][\xa1-\xa9\xab\xac\xae-\xb1\xb3-\xb6\xb8\xb9\xbb-\xbf][a-z\xdf-\xff]")
_HIGH_WORD = re.compile(rb"[\x80-\xff]+")
_USUAL = "äöüßÄÖÜàáâãåæçèéêíñóôõúÀÁÂÃÇÉÊÍÑÓÔÕÚÅÆØøûìòù".encode("cp1252")
_TURKISH = b"\xf0\xfd\xfe\xd0\xdd\xde"
_HEBREW = bytes(range(0xE0, 0xFB))  # In Windows-1251 these are а to ъ and no capital.
_EURO_OF_LATIN_9 = b"\xa4"  # In Windows-1252 a sign of currencies that no keyboard has.
_C1 = bytes(range(0x80, 0xA0))

_CYRILLIC = ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic")
_FREQUENT = "оеаинтсрвлк"  # Two thirds of the letters of a Russian text, a third of those of the alphabet.
_OTHERS = [
    *("cp932", "euc_jp", "gb18030", "big5", "cp949", "cp1250", "iso8859_2", "cp1253", "cp1254", "cp1255", "cp1256"),
    *("cp1257", "iso8859_7", "mac_roman"),
]
_NAMES = {"gb18030": "GB 18030", "cp932": "Shift_JIS", "cp949": "EUC-KR", "koi8_r": "KOI8-R", "mac_roman": "MacRoman"}
_NAMES |= {"cp850": "IBM850", "cp437": "IBM437"}


def decode(data: bytes, *, label: str = "") -> tuple[str, Warnings]:  # noqa: PLR0911  # One case per way to know it.
    """The text and its warnings.

    :param label: the declared encoding, as browsers name it.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return _decoded(data[len(bom) :], encoding)
    if encoding := wide_encoding(data):
        return _decoded(data, encoding)
    codec = CODECS.get(label.strip().lower(), "")
    if codec == "iso2022_jp_2" or b"\x1b$B" in data or b"\x1b$@" in data:  # Valid UTF-8 as well: all bytes are ASCII.
        return _decoded(data, "iso2022_jp_2")
    if data.isascii():
        return data.decode("ascii"), []
    text, warnings = _decoded(data, "utf_8")
    if not warnings or _is_nearly_utf8(data, text) or codec == "utf_8":
        return text, warnings
    if not data.translate(None, bytes(range(0x80))).strip(_NOISE):
        return text, warnings
    if codec and codec != "cp1252":
        text, warnings = _decoded(data, codec)
        if text.count("\ufffd") * 20 <= _count(data, _HIGH):  # Else the declaration is wrong.
            return text, warnings
    return _guessed(data)


def wide_encoding(data: bytes) -> str:
    """UTF-16 or UTF-32 without a byte-order mark; empty for anything else. ``data`` may be the beginning of a text."""
    head = data[:_SAMPLE]
    if b"\0" not in head:
        return ""
    little = head[0::2].count(0) < head[1::2].count(0)
    for family, size in (("utf_32", 4), ("utf_16", 2)):
        encoding = family + ("_le" if little else "_be")
        whole = head[: len(head) // size * size]
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        try:
            text = decoder.decode(whole)
        except UnicodeDecodeError:
            continue
        if text and all(_is_written(character) for character in set(text)):
            return encoding
    return ""


def is_other_text(head: bytes) -> bool:
    """Whether bytes with many of the control characters of Latin-1 are text, in an encoding that uses them."""
    codec = _cyrillic(head) or _codec_of(head)
    return bool(codec)


def _is_written(character: str) -> bool:
    """Whether a character occurs in texts: assigned, and not a control character except for white space."""
    return unicodedata.category(character) not in ("Cc", "Cn", "Co", "Cs") or character in "\t\n\v\f\r\x1b"


def _decoded(data: bytes, encoding: str) -> tuple[str, Warnings]:
    text = data.decode(encoding, "replace")
    count = text.count("\ufffd")
    if not count or (encoding == "utf_8" and count == data.count("\ufffd".encode())):
        return text, []
    return text, [("text_undecodable", "Some bytes are no text in the encoding of the file; they are shown as \ufffd.")]


def _is_nearly_utf8(data: bytes, text: str) -> bool:
    """Whether the valid characters beyond ASCII outnumber the invalid bytes by enough.

    In other encodings, a few pairs of high bytes are valid UTF-8 by chance, and more are not.
    """
    bad = text.count("\ufffd")
    good = len(text) - bad - (len(data) - _count(data, _HIGH))
    return 0 < bad <= good


def _guessed(data: bytes) -> tuple[str, Warnings]:
    sample = data[:_SAMPLE]
    codec = western_encodings.other_encoding(sample)
    if not codec and _is_western(data):
        if western_encodings.is_odd(sample):
            return _unknown(data)
        return _decoded(data, "iso8859_15" if _EURO_OF_LATIN_9 in data and not _count(data, _C1) else "cp1252")
    codec = codec or ("cp1254" if _is_turkish(data) else _cyrillic(sample) or _codec_of(sample))
    if not codec:
        return _unknown(data)
    text, warnings = _decoded(data, codec)
    name = _NAMES.get(codec) or codec.replace("cp", "windows-").replace("iso8859_", "ISO-8859-").replace("_", "-")
    detail = f"The file does not state its encoding; it was read as {name}."
    return text, [*warnings, ("encoding_guessed", detail)]


def _unknown(data: bytes) -> tuple[str, Warnings]:
    text, warnings = _decoded(data, "cp1252")
    detail = "The file does not state its encoding, and it is in none that could be recognized."
    return text, warnings or [("text_undecodable", detail)]


def _is_western(data: bytes) -> bool:
    """Whether the text as Windows-1252 consists of words: few accented letters, no symbols within words."""
    high = _count(data, _HIGH)
    letters, accented = _count(data, _LETTERS), _count(data, _HIGH_LETTERS)
    if _count(data, _NO_1252) * 50 > high or accented > letters or _is_turkish(data):
        return False
    if accented * 4 > letters + accented and _count(data, _USUAL) * 10 < accented * 9:
        return False
    return sum(1 for _ in _SYMBOL_IN_WORD.finditer(data)) * 20 <= high


def _is_turkish(data: bytes) -> bool:
    """Whether more of its letters are ş, ğ and ı than Icelandic has of þ, ð and ý, which are the same bytes."""
    return _count(data, _TURKISH) * 9 > _count(data, _HIGH_LETTERS) * 5 and _count(data, _LETTERS) > 0


def _cyrillic(sample: bytes) -> str:
    """The Cyrillic encoding of a text by the letters that are frequent in it; empty if it is in none."""
    best, best_share = "", 0.5
    words = [len(word) for word in _HIGH_WORD.findall(sample)]
    if 2 * len(words) >= sum(words) or (len(words) > 2 and not any(length % 2 for length in words)):
        return ""  # Single letters within words, or pairs of bytes.
    high = sample.translate(None, bytes(range(0x80)))
    could_be_hebrew = len(high) > 20 and not high.translate(None, _HEBREW)
    for encoding in ("koi8_r",) if could_be_hebrew else _CYRILLIC:
        text = high.decode(encoding, "replace")
        lower = sum(map(text.count, _FREQUENT))
        upper = sum(map(text.count, _FREQUENT.upper()))
        share = (lower + 0.85 * upper) / len(text)
        if share > best_share:
            best, best_share = encoding, share
    return best


def _codec_of(sample: bytes) -> str:
    """The most probable of the other encodings; empty if there is none."""
    found = charset_normalizer.from_bytes(sample, cp_isolation=_OTHERS, preemptive_behaviour=False).best()
    return found.encoding if found else ""


def _count(data: bytes, wanted: bytes) -> int:
    return len(data) - len(data.translate(None, wanted))

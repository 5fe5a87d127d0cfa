"""Text files in any encoding: read correctly, or with a warning."""

import json

import pytest

from backend.documents.ingestion.parsers.decoding import decode
from backend.documents.tests.cast import make_document, upload
from backend.documents.tests.test_docx import WEB_ARCHIVE
from backend.documents.tests.wordml import docx, item, level, numbering, p
from tests.actors import Person

RUSSIAN = "Договор поставки номер пять. Цена составляет сто рублей и не меняется."
POLISH = "Umowa dostawy numer pięć. Cena wynosi sto złotych i nie ulega zmianie. Żółć gęślą jaźń."
JAPANESE = "契約の価格は百ユーロです。支払いは五月に行われます。"
CHINESE = "合同的价格是一百欧元，付款应在五月进行。买方应当检查货物。"

DOS = [
    "Preço é ação não coração",
    "A única alteração é a rescisão após o mês; não há previsão.",
    "INDENIZAÇÃO NÃO É DEVIDA",
    "Fee é 5",
    "10º andar, 5ª seção",
    "L'été à la façade coûte 500 francs.",
    "El año señor corazón español, única cláusula",
    "Città perché è più",
]

STATED = [  # Known for certain: no warning.
    ("rescisão é de trinta dias", "utf-8"),
    ("rescisão € 500 – 5º “sim”", "cp1252"),
    ("können\n\näöüß", "cp1252"),
    ("ÇÃO NÃO: INDENIZAÇÃO", "cp1252"),
    ("L'été coûte 500 €.", "iso8859_15"),
    ("Città perché è più", "cp1252"),
    ("word—word, 1990–1995… ‘a’", "cp1252"),
    ("§ 5º, art. 5º: £5 é ½, «sim» © 2020 É", "cp1252"),
    (RUSSIAN, "utf-16"),
    ("a text of ASCII", "utf-16-le"),
    ("a text of ASCII", "utf-16-be"),
    (RUSSIAN, "utf-16-le"),
    ("São Paulo", "utf-32-be"),
    (JAPANESE, "iso2022_jp"),
]
GUESSED = [
    *((RUSSIAN, encoding) for encoding in ("cp1251", "koi8_r", "cp866", "iso8859_5")),
    ("ДОГОВОР ПОСТАВКИ НОМЕР ПЯТЬ", "koi8_r"),
    ("Цена сто рублей", "cp1251"),
    (POLISH, "cp1250"),
    *((text, encoding) for text in DOS for encoding in ("cp850", "mac_roman")),
    ("können für Straße Größe Äpfel über", "cp437"),
    ("┌────┐\nLe coût de l'été est à payer\n└────┘", "cp437"),
    ("Sözleşmenin fiyatı yüz avrodur ve değişmez. Ödeme mayıs ayında yapılır.", "cp1254"),
    ("Η σύμβαση προμήθειας αριθμός πέντε. Η τιμή είναι εκατό ευρώ και δεν αλλάζει.", "cp1253"),
    ("סכום החוזה הוא מאה יורו ואינו משתנה. התשלום במאי.", "cp1255"),
    (JAPANESE, "cp932"),
    (JAPANESE, "euc_jp"),
    (CHINESE, "gbk"),
    ("계약의 가격은 백 유로입니다. 지불은 오월에 이루어집니다.", "cp949"),
]


@pytest.mark.parametrize(("text", "encoding"), STATED, ids=[encoding for _, encoding in STATED])
def test_the_encoding_of_a_text_is_detected(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == (text, [])


@pytest.mark.parametrize(("text", "encoding"), GUESSED, ids=[encoding for _, encoding in GUESSED])
def test_a_guessed_encoding_gives_a_warning(text: str, encoding: str) -> None:
    found, warnings = decode(text.encode(encoding))

    assert (found, [code for code, _ in warnings]) == (text, ["encoding_guessed"])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a rescisão é de trinta dias. ".encode() + b"\xff fim", "a rescisão é de trinta dias. \ufffd fim"),
        ("é, ã, ".encode() * 20 + b"\xe9 \xc3(\xa0\xe2\x82 ", "é, ã, " * 20 + "\ufffd \ufffd(\ufffd\ufffd "),
        (b"plain \xff text", "plain \ufffd text"),
        ("cut in two: ção, é".encode()[:-1], "cut in two: ção, \ufffd"),
        ("São".encode("utf-16") + b"\x00", "São\ufffd"),
    ],
)
def test_bad_bytes_are_replaced_and_nothing_else_changes(data: bytes, expected: str) -> None:
    text, warnings = decode(data)

    assert (text, [code for code, _ in warnings]) == (expected, ["text_undecodable"])


@pytest.mark.parametrize("data", [bytes(range(128, 256)) * 9, b"\x81\x8d\x8f\x90\x9d" * 9, b"\xe1\xe9" * 4000])
def test_binary_data_is_never_read_without_a_warning(data: bytes) -> None:
    assert decode(data)[1]


def _sealed(person: Person, content: bytes, name: str) -> tuple[str, list[str]]:
    document = make_document(person, content, name)
    shown = person.get(f"/api/v1/documents/{document.public_id}").json()
    listed = person.get("/api/v1/documents").json()["results"][0]
    assert listed["warnings"] == shown["warnings"]
    text: str = json.loads(b"".join(person.get(f"/api/v1/documents/{document.public_id}/text")))["text"]
    return text, [warning["code"] for warning in shown["warnings"]]


@pytest.mark.django_db
def test_all_of_it_is_read_where_no_file_can_be_opened(owner: Person) -> None:
    """In the parser process: nothing that a format needs can be loaded there any more."""
    numbered = numbering(level(0, "%1.", "upperRoman"))
    chunk_part = ("aFChunk", "word/c.mht", WEB_ARCHIVE)
    chunk = '<w:altChunk r:id="rId1"/>'
    for content, name, expected, warnings in (
        (RUSSIAN.encode("koi8_r"), "a.txt", RUSSIAN, ["encoding_guessed"]),
        (CHINESE.encode("gbk"), "b.csv", CHINESE, ["encoding_guessed"]),
        (JAPANESE.encode("cp932"), "c.txt", JAPANESE, ["encoding_guessed"]),
        (RUSSIAN.encode("utf-16-le"), "d.txt", RUSSIAN, []),
        ("rescisão é".encode() + b"\xff", "e.md", "rescisão é\ufffd", ["text_undecodable"]),
        ("<html><meta charset=euc-kr>계약".encode("cp949"), "f.html", "계약", []),
        (b"a\t\t30", "g.tsv", "a\t\t30", []),
        (docx(item("A") + chunk, numbered, chunk_part), "h.docx", "I. A\n\nSão 5 euros", []),
        (docx(p("text"), main="word/document2.xml", separator="\\"), "i.docx", "text", []),
    ):  # fmt: skip
        assert _sealed(owner, content, name) == (expected, warnings), name


@pytest.mark.django_db
@pytest.mark.parametrize("content", [bytes(range(256)) * 10, b"\0\1\2\3" * 100, b"\x80\x00\x90\x01" * 100])
def test_binary_data_is_still_refused(owner: Person, content: bytes) -> None:
    assert upload(owner, content, "data").status_code == 415

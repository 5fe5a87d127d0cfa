"""Text that is mostly not words gives a warning; languages, tables and code do not."""

import pytest

from backend.documents.ingestion.parsers.legibility import is_unreadable
from backend.documents.ingestion.reading_warnings import add_unreadable_pages
from backend.documents.tests.cast import make_document, pdf
from tests.actors import Person

READABLE = [
    "Total due amount in euros",
    "Preço total do contrato: R$ 1.500,00",
    "NÃO CONFORMIDADE: AÇÃO, REAÇÃO, PÃO E MÃE",
    "« Café » à la crème : « déjà vu » où l’été",
    "Szczęście źdźbło chrząszcz brzmi w trzcinie w Szczebrzeszynie",
    "Cwmni adeiladu yng Nghymru sydd yn gweithio gyda'r llywodraeth",
    "Hợp đồng này có hiệu lực từ ngày ký và không thể thay đổi",
    "契約の価格は百万円です。支払い期限は五月です。",
    "العقد ينص على دفع مبلغ ألف يورو كل شهر",
    "Договор поставки номер пять. Цена составляет сто рублей.",
    "Η τιμή είναι τριακόσια ευρώ το μήνα",
    "สัญญานี้มีผลบังคับใช้ตั้งแต่วันที่ลงนาม",
    "तीन सौ यूरो प्रति माह किराया है",
    "12 33,00 40,59 44,00 108,24 2024-05-01 17 18 19 20",
    "GRU GIG BSB CNF SSA REC FOR POA CWB MSFT NVDA XLK",
    "for (int i = 0; i < n; ++i) { sum += xs[i] * ys[i]; }",
    "SELECT DISTINCT cstmr_id, prdct_nm FROM tbl_xyz WHERE qty > 3",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301 9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d",
    "\uf0b7 First item of the list \uf0b7 Second item of the list",
    "a \ufffd",
    "",
]
UNREADABLE = [
    "7RWDO GXH DPRXQW LQ HXURV",  # Each letter 29 codes before itself.
    "Uif dpousbdu jt tjhofe cz cpui qbsujft",  # Each letter one further.
    "Äîãîâîð ïîñòàâêè íîìåð ïÿòü. Öåíà ñîñòàâëÿåò ñòî ðóáëåé.",  # Windows-1251 read as Windows-1252.
    "O prazo de rescisÃ£o Ã© de trinta dias. A indenizaÃ§Ã£o Ã© de dois salÃ¡rios.",  # UTF-8 read so.
    "ã“ã‚“ã«ã¡ã¯ã€å¥‘ç´„ã®ä¾¡æ\xa0¼",
    "(cid:12)(cid:55)(cid:3)(cid:90) (cid:12)(cid:55)",
    "\ue001\ue002\ue003\ue004 \ue005\ue006\ue007\ue008\ue009\ue00a",
    "\ufffd\ufffd\ufffd\ufffd\ufffd \ufffd\ufffd\ufffd\ufffd\ufffd",
]


@pytest.mark.parametrize(
    ("text", "unreadable"), [*((text, False) for text in READABLE), *((t, True) for t in UNREADABLE)]
)
def test_text_is_readable_if_most_of_it_is_words(text: str, unreadable: bool) -> None:
    assert is_unreadable(text) is unreadable


def test_characters_that_are_lost_count() -> None:
    assert is_unreadable("1 2", lost=40)
    assert not is_unreadable("One word more than are lost", lost=5)


@pytest.mark.django_db
def test_a_warning_names_the_unreadable_pages(owner: Person) -> None:
    words = "The tenant pays the whole amount in June."
    cipher = "7KH WHQDQW SDBV WKH ZKROH DPRXQW LQ -XQH"
    document = make_document(owner, pdf(words, cipher, cipher, words), "cipher.pdf")
    text = make_document(owner, UNREADABLE[3], "notes.txt")

    shown, plain = (owner.get(f"/api/v1/documents/{each.public_id}").json() for each in (document, text))
    assert [each["code"] for each in shown["warnings"] + plain["warnings"]] == ["text_unreadable"] * 2
    assert "of pages 2–3 is" in shown["warnings"][0]["detail"]
    assert set(shown["warnings"][0]) == {"code", "detail"}


def test_the_pages_of_all_batches_are_in_one_warning() -> None:
    damaged = {"code": "page_unreadable", "detail": "Page 3 is damaged and was left out."}
    warnings = add_unreadable_pages([damaged], [1, 2], paged=True)
    warnings = add_unreadable_pages(warnings, [], paged=True)
    warnings = add_unreadable_pages(warnings, [4, 5, 6, 9], paged=True)

    (unreadable,) = [each for each in warnings if each["code"] == "text_unreadable"]
    assert "pages 1–2, 4–6, 9 is" in unreadable["detail"]
    assert damaged in warnings

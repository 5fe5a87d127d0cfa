"""How many tokens text is taken for, against what the dearest of three tokenizers counts: o200k, cl100k, Claude's."""

import pytest

from backend.llm.chat import ChatRequest, Message, count_request
from backend.llm.tests.asking import request
from backend.llm.tokens import count_tokens
from tests.providers import FakeProvider

DENSE = [
    ("figures", "1 2 3 4 5 6 7 8 9 0 ", 20),
    ("digits", "398259791907483378876232860129040479666972510273464686958969", 24),
    ("json", '{"id":7,"ok":[1,2,{"c":null}],"v":0.83175,"t":"a-b"}', 30),
    ("markdown table", "| 318 | 0.175 | xQz |\n|---|---|---|\n| 41 | 0.902 | pRv |\n", 33),
    ("csv", "48213,7719,30077,91824\n12,5590,71,66802\n", 22),
    ("code", "for(i=0;i<n;++i){a[i]^=b[i>>3]&0x7f;}//?\n", 33),
    ("punctuation", "/@\"<+?'.<=(%}}&[%_*\"=`_(##]@<:#>!%'#-_=;*#@?\\)]]|]'<`:>`;>@!", 42),
    ("arrows", "> > > > > > > > > > ", 10),
    ("arrow lines", ">\n>\n>\n>\n>\n>\n>\n>\n", 16),
    ("letter lines", "a\na\nb\na\nc\na\na\nb\n", 16),
    ("white space", " \n\t\n  \t \n\n \t\t \n   \t\n \t \n", 10),
    ("base64", "1KEKwEQequ60tI76Cx8KvYDpmKNaul6gvYeZwTUNQ55xiXqnX94xNKSqcuBWKKxv", 42),
    ("hexadecimal", "e87316a58a2b4d98ebd9dd1d460fd71e9a72937116d10f35970d13a48f1b7633", 40),
    ("letters", "kpYrZiaFOKzdWrprNHHBdEuXadXichdeEcTfGGFukuewyPyLtxqmvBhiJaTU", 37),
    (
        "control characters",
        "\x07\x02\x03\x01\x06\x08\x07\x01\x07\x01\x06\x08\x06\x07\x07\x08\x01\x04\x04\x05\x02\x07\x04\x07\x03\x01\x06\x06\x05\x02\x08\x02\x07\x02\x06\x02\x01\x08\x03\x04",
        40,
    ),
    (
        "bytes",
        "Ç\x16/2À[\x0c®>\r:ö\x91\x99-\x12z63\x1f¦\\'{\\\x7fèÉ\x81¼Ë³Ö*ÀxÓRÔ÷OÍLS1þ÷â_E\x88eK¡v\x97Ó\x88o\x9d",
        71,
    ),
    ("Chinese", "人工智能是计算机科学的一个分支,它企图了解智能的实质。", 30),
    ("seldom Han", "㐁㐅㑇㒳㓚㔾㕣㖏㗊㘎㙍㚻㛎㜷", 42),
    ("Japanese", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。", 39),
    ("Korean", "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.", 44),
    ("Thai", "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน", 71),
    ("Amharic", "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው።", 113),
    ("Greek", "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι.", 50),
    ("emoji", "👩\u200d👩\u200d👧\u200d👦🫠🦖🏴\u200d☠️\U0001fabf🧿🎏🛝", 44),
    ("combining marks", "ạ̴͓́ë̱͜ô̶̗ͅ", 24),
]
PROSE = [
    (
        "A fishing licence costs 318 crowns per season, and residents over 65 are exempt from the fee. Whoever fishes "
        "without one pays twice as much, and the warden may keep the rod until the fee is paid.",
        45,
    ),
    (
        "A licença de pesca custa 318 coroas por temporada, e os residentes com mais de 65 anos estão isentos da taxa. "
        "Quem pesca sem ela paga o dobro, e o fiscal pode ficar com a vara até o pagamento.",
        58,
    ),
]


@pytest.mark.parametrize(("text", "counted"), [row[1:] for row in DENSE], ids=[row[0] for row in DENSE])
@pytest.mark.parametrize("times", [1, 50])
def test_no_text_is_taken_for_less_than_it_is(text: str, counted: int, times: int) -> None:
    assert counted * times <= count_tokens(text * times) <= 3 * counted * times


@pytest.mark.parametrize(("text", "counted"), PROSE)
def test_prose_is_taken_for_little_more_than_it_is(text: str, counted: int) -> None:
    assert counted <= count_tokens(text) <= 1.8 * counted


def test_half_of_a_surrogate_pair_counts_as_something() -> None:
    assert (count_tokens(""), count_tokens("\ud83c") > 0) == (0, True)


def test_a_request_counts_all_that_is_sent(provider: FakeProvider) -> None:
    empty, asked = request("chat", messages=()), Message(role="user", text="> " * 100)
    assert isinstance(empty, ChatRequest)
    assert count_request(request("chat", messages=(asked,))) - count_request(empty) >= 100

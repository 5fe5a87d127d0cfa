"""The offline model: asks for passages, quotes what answers, and reports when nothing does."""

import asyncio
import json
import re
from typing import Any

import pytest

from backend.llm.catalog import catalog
from backend.llm.chat import ChatRequest, Message, TextDelta, ToolCall, ToolDefinition, chat_model, count_request
from backend.llm.offline.languages import spoken_in
from backend.llm.offline.model import Chat, reply_to
from backend.llm.offline.parts import parts_of
from backend.llm.offline.replies import TEXTS
from backend.llm.offline.sentences import sentences
from backend.llm.offline.words import Language, language_of
from backend.llm.tests.asking import ask, end_of, run, text_of
from tests.work import at_most

SEARCH = ToolDefinition(
    name="search_knowledge",
    description="Searches.",
    parameters={"type": "object", "properties": {"query": {"type": "string"}}},
)
RENTAL = {
    "n": 1,
    "document": "Boat rental.pdf",
    "page": 3,
    "text": "Rates and conditions\n\nThe harbour opens at eight. A boat for four people costs 120 reais for each\n"
    "hour. A boat for two people costs 80 reais for each hour. Life jackets are free of charge.",
}
RULES = {
    "n": 2,
    "document": "Boat rental.pdf",
    "page": 5,
    "text": "Cancellation\n\nA booking may be cancelled free of charge up to 48 hours before it begins. Later "
    "cancellations cost half the price.",
}
CONTRATO = {
    "n": 3,
    "document": "Contrato de locação.pdf",
    "page": 2,
    "text": "Cláusula 5ª. O locatário pagará multa de 10% em caso de atraso no pagamento do aluguel. O prazo de "
    "vigência do contrato é de trinta meses, com início em 1º de março de 2024. "
    "A empresa Aurora Marinas Ltda. é a locadora.",
}
EVERYTHING = [RENTAL, RULES, CONTRATO]


def asked(*turns: Message | str, tools: tuple[ToolDefinition, ...] = (SEARCH,), **members: Any) -> ChatRequest:
    messages = tuple(Message(role="user", text=turn) if isinstance(turn, str) else turn for turn in turns)
    return ChatRequest(model=catalog().get("offline"), messages=messages, tools=tools, **members)


def query_for(*questions: str) -> str:
    turns: list[Message | str] = []
    for question in questions:
        turns += [question, Message(role="assistant", text="Something.")]
    call = reply_to(asked(*turns[:-1]))
    assert isinstance(call, ToolCall)
    return str(json.loads(call.arguments)["query"])


def answer_to(
    question: str, passages: list[dict[str, Any]] = EVERYTHING, *, before: tuple[str, ...] = (), reader: str = ""
) -> str:
    earlier: list[Message] = []
    for text in before:
        earlier += [Message(role="user", text=text), Message(role="assistant", text="Something.")]
    call = ToolCall(id="call_1", name="search_knowledge", arguments="{}")
    found = (
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", text=json.dumps({"passages": passages}), tool_call_id="call_1"),
    )
    answer = reply_to(asked(*earlier, question, *found, language=reader))
    if isinstance(answer, ToolCall):  # It searches once more, in other words.
        answer = reply_to(asked(*earlier, question, *found, *found, language=reader))
    assert isinstance(answer, str)
    return answer


def quoted(answer: str) -> list[tuple[str, int]]:
    return [(text, int(n)) for text, n in re.findall(r"“([^”]*)” \[(\d+)\]", answer)]


def test_it_first_asks_for_passages() -> None:
    request = asked("How much is a boat?")
    answer = run(collect(request))

    assert isinstance(answer[0], ToolCall)
    assert (answer[0].name, json.loads(answer[0].arguments)) == ("search_knowledge", {"query": "How much is a boat?"})
    assert end_of(answer).reason == "tool_calls"
    assert end_of(answer).usage.input_tokens == count_request(request)


async def collect(request: ChatRequest) -> list[Any]:
    return [event async for event in chat_model(request.model).stream(request)]


@pytest.mark.parametrize(
    ("question", "text", "n"),
    [
        ("How much does a boat for four people cost?", "A boat for four people costs 120 reais for each hour.", 1),
        ("Can I cancel a booking?", "A booking may be cancelled free of charge up to 48 hours before it begins.", 2),
        ("When does the harbour open?", "The harbour opens at eight.", 1),
        ("Are life jackets free?", "Life jackets are free of charge.", 1),
        ("Qual é a multa por atraso?", "O locatário pagará multa de 10% em caso de atraso no pagamento do aluguel.", 3),
        ("qual o prazo do contrato", "O prazo de vigência do contrato é de trinta meses, com início em 1º de março", 3),
        ("Quem é a locadora?", "A empresa Aurora Marinas Ltda. é a locadora.", 3),
        ("QUAL A MULTA POR ATRASO NO PAGAMENTO?", "O locatário pagará multa de 10%", 3),
    ],
)
def test_it_quotes_the_sentence_that_answers_and_cites_its_passage(question: str, text: str, n: int) -> None:
    answer = answer_to(question)

    assert any(quote.startswith(text) and mark == n for quote, mark in quoted(answer))


def test_every_quotation_is_literal_and_its_document_and_page_are_named() -> None:
    answer = answer_to("How much does a boat for four people cost?")

    for text, n in quoted(answer):
        passage = next(passage for passage in EVERYTHING if passage["n"] == n)
        assert text in " ".join(str(passage["text"]).split())
    assert "[1] — Boat rental.pdf, page 3" in answer
    assert "I am the offline model" in answer


def test_a_document_without_pages_is_named_without_one() -> None:
    answer = answer_to("How much is a boat?", [{"n": 4, "document": "notes.md", "page": None, "text": RENTAL["text"]}])

    assert "[4] — notes.md" in answer
    assert "page" not in answer


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What is the boiling point of mercury?", "I found nothing"),
        ("Who won the World Cup in 1998?", "I found nothing"),
        ("How do I bake bread?", "I found nothing"),
        ("Qual é a capital da Mongólia?", "Não encontrei"),
        ("Como se faz feijoada?", "Não encontrei"),
        ("Quem descobriu a penicilina?", "Não encontrei"),
    ],
)
@pytest.mark.parametrize("passages", [EVERYTHING, []])
def test_when_nothing_fits_it_says_so_and_cites_nothing(
    question: str, words: str, passages: list[dict[str, Any]]
) -> None:
    answer = answer_to(question, passages)

    assert answer.startswith(words)
    assert "“" not in answer
    assert "[" not in answer


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How much does a boat for four people cost?", "This is what the documents say:"),
        ("Quanto custa um barco?", "Não encontrei"),  # The passages have it in English: no word of theirs meets.
        ("Qual é a multa por atraso?", "Isto é o que dizem os documentos:"),
        ("What is the role of Aurora Marinas?", "This is what the documents say:"),  # A name is a name everywhere.
    ],
)
def test_it_answers_in_the_language_of_the_question(question: str, expected: str) -> None:
    assert answer_to(question).startswith(expected)


def test_a_name_or_figure_is_found_across_languages() -> None:
    answer = answer_to("What is the role of Aurora Marinas?")

    assert ("A empresa Aurora Marinas Ltda. é a locadora.", 3) in quoted(answer)
    assert "página" not in answer


@pytest.mark.parametrize(
    ("questions", "query"),
    [
        (["What does a boat cost?", "And for two people?"], "What does a boat cost? And for two people?"),
        (["Qual é a multa?", "E o prazo?"], "Qual é a multa? E o prazo?"),
        (["What does a boat cost?", "How fast is it?"], "What does a boat cost? How fast is it?"),
        (["What does a boat cost?", "Why?"], "What does a boat cost? Why?"),
        (
            ["What does a boat cost?", "And for two?", "And for six?"],
            "What does a boat cost? And for two? And for six?",
        ),
        (["What does a boat cost?", "Where is the harbour office?"], "Where is the harbour office?"),
        (["What does a boat cost?", "Who may steer a boat?"], "Who may steer a boat?"),
    ],
)
def test_a_follow_up_is_searched_for_with_what_it_follows(questions: list[str], query: str) -> None:
    assert query_for(*questions) == query


def test_a_follow_up_is_answered_with_what_it_follows() -> None:
    answer = answer_to("And for a boat with two people?", before=("How much does a boat for four people cost?",))

    assert quoted(answer)[0] == ("A boat for two people costs 80 reais for each hour.", 1)


LEASE = {
    "n": 1,
    "document": "lease.txt",
    "page": None,
    "text": "CLÁUSULA 1 - DO PREÇO\nA LOCATÁRIA pagará o valor mensal de R$ 750,00.\n\nCLÁUSULA 2 - DO PRAZO\nO prazo "
    "do contrato é de 24 meses.\n\nCLÁUSULA 3 - DA MULTA\nO atraso no pagamento gera multa de 2%.\n\nCLÁUSULA 4 - DOS "
    "ANIMAIS\nSão permitidos até dois animais.\n\nCLÁUSULA 5 - DO FORO\nFica eleito o foro de Campinas, em três vias.",
}


@pytest.mark.parametrize(
    ("before", "question", "expected"),
    [
        (("Qual é a multa por atraso no pagamento?",), "E o foro?", "Fica eleito o foro de Campinas, em três vias."),
        (("Qual é a multa por atraso?", "E o foro?"), "E o prazo?", "O prazo do contrato é de 24 meses."),
        (("Qual é o valor mensal?",), "E a multa?", "O atraso no pagamento gera multa de 2%."),
        (("Qual é a multa por atraso no pagamento?",), "E o IPTU?", None),
        (("Qual é a multa por atraso no pagamento?",), "Quem é a CFO e como falo com ela?", None),
    ],
)
def test_a_follow_up_about_something_new_is_about_that(
    before: tuple[str, ...], question: str, expected: str | None
) -> None:
    assert [text for text, _ in quoted(answer_to(question, [LEASE], before=before))] == ([expected] if expected else [])


@pytest.mark.parametrize("question", ["Posso ter três cachorros?", "Existe cláusula de confidencialidade?"])
def test_a_figure_or_a_word_that_stands_everywhere_is_no_answer(question: str) -> None:
    assert quoted(answer_to(question, [LEASE])) == []


SERVICE = {
    "n": 4,
    "document": "service.txt",
    "page": None,
    "text": "Either party may end this contract with a notice of ninety days. The deposit is 1,250 euros. The price is "
    "900 euros per month. The contract ends on 31 March 2031. The parties are Farol Ltda. and Moinho Ltda.",
}
SERVICO = {
    "n": 5,
    "document": "servico.txt",
    "page": None,
    "text": "O preço é de R$ 900,00 por mês. O contrato termina em 31 de março de 2031. A multa por atraso é de 2%. As "
    "partes são a Farol Ltda. e a Moinho Ltda.",
}


@pytest.mark.parametrize(
    ("question", "expected", "unanswered"),
    [
        ("How many days of notice are needed, and what is the deposit?", ["ninety days", "1,250 euros"], []),
        ("What is the deposit; when does it end?", ["1,250 euros", "31 March 2031"], []),
        ("Who are the parties, what is the fee, and when does it end?", ["Farol", "900 euros", "31 March"], []),
        ("What are the deposit and the price?", ["1,250 euros", "900 euros"], []),
        ("When does the contract end? Which court decides?", ["31 March"], ["Which court decides"]),
        ("What is the deposit, and what is the [4] colour?", ["1,250 euros"], ["what is the 4 colour"]),
        ("Quem são as partes, qual é o valor e quando acaba?", ["Farol", "R$ 900,00", "31 de março"], []),
        ("Qual a multa por atraso e qual é o foro?", ["2%"], ["qual é o foro"]),
        ("Qual é o preço e o índice?", ["R$ 900,00"], ["o índice"]),
        ("Which court decides, and what is the colour?", [], []),  # Nothing at all is said once.
    ],
)
def test_each_part_of_a_question_is_answered_or_said_to_be_unanswered(
    question: str, expected: list[str], unanswered: list[str]
) -> None:
    english = spoken_in(question) == "en"
    answer = answer_to(question, [SERVICE if english else SERVICO])
    begins = "answers this part: " if english else "responda a esta parte: "

    texts = " ".join(text for text, _ in quoted(answer))
    assert all(words in texts for words in expected), answer
    assert re.findall(begins + r"(.*)\?", answer) == unanswered
    assert ("I found nothing in the documents that answers this question" in answer) is (not expected)


@pytest.mark.parametrize(
    "question",
    [
        "When and where does the court sit?",
        "What is the difference between the owner and the tenant?",
        "Qual a multa para o locador e o locatário?",
        "O locatário, que mora aqui, paga multa?",
        "The tenant, who lives here, pays what?",
        "Como se faz bolo de cenoura e chocolate?",
    ],
)
def test_what_belongs_together_is_one_question(question: str) -> None:
    assert parts_of(question) == [question]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Qual o valor mensal?", "O preço é de R$ 900,00 por mês."),
        ("Quanto pago por mês?", "O preço é de R$ 900,00 por mês."),
        ("Quando vence o contrato?", "O contrato termina em 31 de março de 2031."),
        ("What is the monthly fee?", "The price is 900 euros per month."),
        ("How much do I pay each month?", "The price is 900 euros per month."),
        ("When does the contract expire?", "The contract ends on 31 March 2031."),
        ("Qual o valor anual?", None),
        ("What is the yearly fee?", None),
    ],
)
def test_other_words_for_the_same_are_found(question: str, expected: str | None) -> None:
    passage = SERVICE if spoken_in(question) == "en" else SERVICO

    assert [text for text, _ in quoted(answer_to(question, [passage]))][:1] == ([expected] if expected else [])


def test_a_search_that_gave_no_answer_is_repeated_once_in_other_words() -> None:
    call = ToolCall(id="call_1", name="search_knowledge", arguments="{}")
    none = (
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", text='{"passages": []}', tool_call_id="call_1"),
    )

    again = reply_to(asked("Qual o valor mensal?", *none))

    assert isinstance(again, ToolCall)
    assert again.id != call.id
    assert {"valor", "preco", "mensal", "mes"} <= set(json.loads(again.arguments)["query"].lower().split())
    assert isinstance(reply_to(asked("Qual o valor mensal?", *none, *none)), str)
    assert isinstance(reply_to(asked("Qual o valor mensal?", *none, tools=())), str)
    assert isinstance(reply_to(asked("Who is the tallest?", *none)), str)


COLUMNS = "City | Hotel limit | Meal limit"
TRAVEL = f"Travel\n\n{COLUMNS}\nLisbon | 140 EUR | 35 EUR\nOslo | 210 EUR | 62 EUR"
SALES = "Sales by region in thousands.\n\nRegion 2022 2023\n\nNorth 1,250 1,410\n\nEast 2,015 2,377"
FEES = "Mês Condomínio IPTU\n\nJaneiro R$ 410,00 R$ 95,00\nFevereiro R$ 415,00 R$ 96,50\n\nMarço R$ 398,00 R$ 97,25"


@pytest.mark.parametrize(
    ("table", "question", "expected"),
    [
        (TRAVEL, "What is the meal limit in Oslo?", [COLUMNS, "Oslo | 210 EUR | 62 EUR"]),
        (TRAVEL, "What is the hotel limit?", [COLUMNS, "Lisbon | 140 EUR | 35 EUR", "Oslo | 210 EUR | 62 EUR"]),
        (SALES, "What did the East region sell in 2023?", ["Region 2022 2023", "East 2,015 2,377"]),
        (FEES, "Qual o IPTU de fevereiro?", ["Mês Condomínio IPTU", "Fevereiro R$ 415,00 R$ 96,50"]),
    ],
)
def test_a_row_of_a_table_is_read_and_quoted_with_its_header(table: str, question: str, expected: list[str]) -> None:
    passages = [{"n": 1, "document": "tables", "page": None, "text": table}]

    assert [text for text, _ in quoted(answer_to(question, passages))] == expected


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("How long is the pump warranty?", "The warranty lasts 30 months from delivery. Pumps are blue."),
        ("De quanto em quanto tempo o capacete deve ser trocado?", "O capacete é substituído a cada três anos."),
    ],
)
def test_words_that_only_ask_for_a_figure_are_not_looked_for(question: str, text: str) -> None:
    passages = [{"n": 1, "document": "manual", "page": None, "text": text}]

    assert quoted(answer_to(question, passages))[0][0] == text[: text.index(".") + 1]


def test_each_question_is_searched_for_anew() -> None:
    call = ToolCall(id="call_1", name="search_knowledge", arguments="{}")
    request = asked(
        "How much is a boat?",
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", text=json.dumps({"passages": EVERYTHING}), tool_call_id="call_1"),
        Message(role="assistant", text="It is [1]."),
        "Can I cancel?",
    )

    assert isinstance(reply_to(request), ToolCall)


@pytest.mark.parametrize(
    ("question", "words"), [("What is it?", "this agent has none"), ("O que é?", "não tem nenhum")]
)
def test_without_documents_it_says_what_to_do(question: str, words: str) -> None:
    answer = reply_to(asked(question, tools=()))

    assert isinstance(answer, str)
    assert words in answer


@pytest.mark.parametrize("question", ["prazo do contrato?", "multa?", "Aurora Marinas", "prazo vigência"])
def test_a_question_that_shows_no_language_is_answered_in_that_of_the_documents(question: str) -> None:
    assert answer_to(question, [CONTRATO]).startswith("Isto é o que dizem os documentos")
    assert answer_to("boat price?", [RENTAL]).startswith("This is what the documents say")


@pytest.mark.parametrize(
    ("question", "reader", "language"),
    [
        *[(question, "en", "pt") for question in ("Qual o prazo?", "prazo?", "multa?", "Quando?", "Qual é?")],
        *[(question, "en", "pt") for question in ("E a multa?", "rescisao do contrato", "Como se faz feijoada?")],
        *[(question, "pt-br", "en") for question in ("When?", "deadline?", "the rent?", "Who pays the prazo?")],
        *[(question, "pt-br", "pt") for question in ("Zebra?", "Maria Silva", "12.345/2024-7", "¿Cuál es el plazo?")],
        *[(question, "en", "en") for question in ("Zebra?", "¿Cuándo termina el contrato?", "Quelle est la durée ?")],
        *[
            (question, "", "en")
            for question in ("Wann endet der Vertrag?", "Quando scade il contratto?", "契約の価格は")
        ],
        *[(question, "", "pt") for question in ("Quando termina o contrato?", "valor do aluguel")],
    ],
)
def test_an_answer_is_in_one_language(question: str, reader: str, language: Language) -> None:
    """That of the question; if it has none or one that is not written here, what the client reads."""
    answers = [answer_to(question, [CONTRATO], reader=reader), answer_to(f"{question} lorota", [], reader=reader)]
    other = TEXTS["en" if language == "pt" else "pt"]

    for answer in answers:
        frame = re.sub("“[^”]*”", "", answer)
        assert any(text in frame for text in TEXTS[language].values() if " " in text)
        assert not any(text in frame for text in other.values() if len(text) > 3)


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        ("Hello!", "ask me about"),
        ("Good evening", "ask me about"),
        ("Olá, bom dia", "pergunte sobre"),
        ("Oi, tudo bem?", "pergunte sobre"),
        ("Obrigado!", "pergunte sobre"),
    ],
)
def test_a_greeting_is_greeted(greeting: str, words: str) -> None:
    answer = reply_to(asked(greeting))

    assert isinstance(answer, str)
    assert words in answer


def test_a_question_without_a_subject_is_answered_with_the_beginning() -> None:
    assert quoted(answer_to("What is this document about?"))[0][1] == 1


@pytest.mark.parametrize(
    "result", ['{"error": "The search failed."}', "nonsense", "", "[]", '{"passages": [{"n": "x"}]}']
)
def test_a_search_that_failed_is_reported(result: str) -> None:
    call = ToolCall(id="call_1", name="search_knowledge", arguments="{}")
    turns = (Message(role="assistant", tool_calls=(call,)), Message(role="tool", text=result, tool_call_id="call_1"))

    answer = reply_to(asked("How much is a boat?", *turns))

    assert isinstance(answer, str)
    assert "did not work" in answer


def test_a_question_answered_under_its_heading() -> None:
    faq = (
        "How do I reset my password?\nOpen the settings and choose Forgotten. A mail arrives.\n\nWho may join?\nAnyone."
    )
    passages = [{"n": 1, "document": "faq.md", "page": None, "text": faq}]

    assert quoted(answer_to("How can I reset the password?", passages))[0][0].startswith("Open the settings")


@pytest.mark.parametrize(
    ("question", "passage", "expected"),
    [
        ("What does the canoe cost?", "Prices\nCanoe 45 reais\nKayak 60 reais", "Canoe 45 reais"),
        ("What does the canoe cost?", "Prices:\n- Canoe for 45 reais\n- Kayak for 60 reais", "Canoe for 45 reais"),
        ("What about refunds?", "Refunds\nMoney comes back within a week.", "Money comes back within a week."),
    ],
)
def test_rows_items_and_what_stands_under_a_heading_are_quoted(question: str, passage: str, expected: str) -> None:
    passages = [{"n": 1, "document": "list.md", "page": None, "text": passage}]

    assert expected in quoted(answer_to(question, passages))[0][0]


@pytest.mark.parametrize(
    ("passage", "expected"),
    [
        ("Dr. Silva came at 3.5 hours. It rained.", ["Dr. Silva came at 3.5 hours.", "It rained."]),
        ("A line that was\nwrapped here. Next one.", ["A line that was wrapped here.", "Next one."]),
        ("# Title\nBody text.", ["Title", "Body text."]),
        ("- one item\n- two items", ["one item", "two items"]),
        ("Nos termos do art. 5º da lei. Fim.", ["Nos termos do art. 5º da lei.", "Fim."]),
        ("tudo em minúsculas. sem maiúsculas.", ["tudo em minúsculas.", "sem maiúsculas."]),
        ("\n\n  \n", []),
        (
            "A Aurora S.A. Ltda. tem CNPJ 12.345.678/0001-95. Sim.",
            ["A Aurora S.A. Ltda. tem CNPJ 12.345.678/0001-95.", "Sim."],
        ),
        ("Nº 12.345/2024-7, fls. 3 e ss. Pág. 5. Sim.", ["Nº 12.345/2024-7, fls. 3 e ss. Pág. 5.", "Sim."]),
        ("São, p. ex. R$ 1.000,00. Sim.", ["São, p. ex. R$ 1.000,00.", "Sim."]),
        ("O Dr. João e a Profa. Ana. V. Exa. Fim", ["O Dr. João e a Profa. Ana.", "V. Exa. Fim"]),
        ("2. Payment is due in May. 2.1. The rent is 9.", ["2. Payment is due in May.", "2.1. The rent is 9."]),
        ("The deposit must be paid within\n\nten days. Fine.", ["The deposit must be paid within ten days.", "Fine."]),
        ("The keys are returned to the\n\nOwner. Fine.", ["The keys are returned to the Owner.", "Fine."]),
        ("The rent of the flat is, as agreed,\n\n900 euros.", ["The rent of the flat is, as agreed, 900 euros."]),
        ("Conditions of the rent\n\nThe rent is 900 euros.", ["Conditions of the rent", "The rent is 900 euros."]),
        (
            "The rent of this flat is 900.\n\nthe deposit is 600.",
            ["The rent of this flat is 900.", "the deposit is 600."],
        ),
        ("One of the flats\n\n- a garage\n\n- a garden", ["One of the flats", "a garage", "a garden"]),
        ("Plan | Price of the\n\ngold | 5", ["Plan | Price of the", "gold | 5"]),
    ],
)
def test_passages_are_cut_into_sentences(passage: str, expected: list[str]) -> None:
    assert [sentence.text for sentence in sentences(passage)] == expected


@pytest.mark.parametrize(
    ("text", "begins", "quote", "page"),
    [
        ("It must be paid within\n", "Ten days. The rent is 9.", "It must be paid within Ten days.", "pages 3–4"),
        (
            "Lease.\nThe deposit must be paid within\n\n",
            "ten days. So.",
            "The deposit must be paid within ten days.",
            "pages 3–4",
        ),
        ("Lease of the flat.\n\n", "The deposit must be paid soon. Fine.", "The deposit must be paid soon.", "page 4"),
        ("The deposit must be paid soon.\n\n", "The rent is 9.", "The deposit must be paid soon.", "page 3"),
    ],
)
def test_a_sentence_over_the_end_of_a_page_is_quoted_whole(text: str, begins: str, quote: str, page: str) -> None:
    passage = {"n": 1, "document": "a.pdf", "page": 3, "page_breaks": [len(text)], "text": text + begins}
    answer = answer_to("When must it be paid?", [passage])

    assert f"“{quote}” [1] — a.pdf, {page}\n" in answer


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the price?", "en"),
        ("Qual o preço?", "pt"),
        ("preço total", "pt"),
        ("how to pay", "en"),
        ("multa de atraso", "pt"),
        ("IPTU 2024", None),
    ],
)
def test_the_language_is_detected_in_few_words(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_it_writes_word_by_word_at_its_pace_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("backend.llm.offline.model.asyncio.sleep", sleep)
    answer = run(collect(asked("What is it?", tools=())))

    pieces = [event.text for event in answer if isinstance(event, TextDelta)]
    assert len(pieces) > 20
    assert all(len(piece.split()) == 1 for piece in pieces)
    assert pauses == [1 / 60] * len(pieces)  # The models file names no other pace.
    assert end_of(answer).usage.output_tokens > 20


def test_it_keeps_to_the_limit() -> None:
    answer = run(collect(asked("What is it?", tools=(), max_tokens=10)))

    assert end_of(answer).reason == "length"
    assert end_of(answer).usage.output_tokens <= 10
    assert text_of(answer)


def test_it_can_be_stopped() -> None:
    async def stop() -> str:
        said = ""
        stream = chat_model(request.model).stream(request)
        async for event in stream:
            said += event.text if isinstance(event, TextDelta) else ""
            if len(said) > 10:
                break
        await stream.aclose()
        return said

    request = asked("What is it?", tools=())
    assert len(asyncio.run(stop())) < 30


def test_a_huge_question_and_huge_passages_are_bounded() -> None:
    assert len(query_for("boat price " * 100_000)) <= 2000
    answer = answer_to(
        "boat price " * 100_000, [{**RENTAL, "n": n, "text": str(RENTAL["text"]) * 5000} for n in range(1, 30)]
    )

    assert len(answer) < 5000


def test_it_needs_no_network() -> None:
    assert isinstance(chat_model(catalog().get("offline")), Chat)
    assert text_of(ask("offline"))


@pytest.mark.parametrize(
    "shape",
    [
        ".",
        ".”",
        ". ",
        "!?",
        "- ",
        "# ",
        "> ",
        "1) ",
        " | ",
        "a,",
        "\n",
        "a\n",
        "A\n\n",
        "?",
        "1.1,",
        "\u0301\u0327",
        "boat ",
        "ﷺ ",
    ],
)
def test_a_passage_and_a_question_of_any_shape_take_little(shape: str) -> None:
    long = (shape * 100_000)[:100_000]
    passages = [{"n": n, "document": long, "page": n, "text": long} for n in range(1, 30)]

    with at_most(20):
        answer_to(f"What does a boat cost? {long}", passages)

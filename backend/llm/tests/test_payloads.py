"""How bodies are split into events: each way of writing them, received in pieces that end anywhere."""

import json

import pytest

from backend.llm.sse import DONE, Payloads

ONE, TWO = '{"n": 1, "text": "}\\n\\"[DONE]"}', '{"n": 2}'
PRETTY = json.dumps(json.loads(ONE), indent=1)
MARK = "\ufeff"
BODIES = {
    "as specified": f"data: {ONE}\n\ndata: {TWO}\n\ndata: [DONE]\n\n",
    "carriage returns and line feeds": f"data: {ONE}\r\n\r\ndata: {TWO}\r\n\r\ndata: [DONE]\r\n\r\n",
    "carriage returns": f"data: {ONE}\r\rdata: {TWO}\r\rdata: [DONE]\r\r",
    "line ends of every kind": f"data: {ONE}\r\n\ndata: {TWO}\n\r\ndata: [DONE]\r\r\n",
    "no space": f"data:{ONE}\n\ndata:{TWO}\n\ndata:[DONE]\n\n",
    "more space": f"data:  {ONE} \n\ndata:\t{TWO}\n\ndata:   [DONE] \n\n",
    "no blank lines": f"data: {ONE}\ndata: {TWO}\ndata: [DONE]\n",
    "no last line end": f"data: {ONE}\n\ndata: {TWO}\n\ndata: [DONE]",
    "a byte order mark": f"{MARK}data: {ONE}\n\ndata: {TWO}\n\ndata: [DONE]\n\n",
    "a byte order mark before a comment": f"{MARK}: hi\ndata: {ONE}\n\ndata: {TWO}\n\ndata: [DONE]\n\n",
    "a byte order mark later is none": f"data: {ONE}\n\n{MARK}data: {ONE}\n\ndata: {TWO}\n\ndata: [DONE]\n\n",
    "comments": f": hi\n\n:\ndata: {ONE}\n: OPENROUTER PROCESSING\n\ndata: {TWO}\n\n: bye\n\ndata: [DONE]\n\n",
    "other fields": f"retry: 5\nid: 1\nevent: x\ndata: {ONE}\n\nid\nevent: x\ndata: {TWO}\n\nid: 3\ndata: [DONE]\n\n",
    "remarks": f"data: ping\n\ndata: {ONE}\n\ndata:\n\ndata\n\ndata: null\n\ndata: {TWO}\n\ndata: [DONE]\n\n",
    "marks of other spellings": f'data: {ONE}\n\ndata: {TWO}\n\ndata: "[DONE]"\n\n',
    "a mark in lower case": f"data: {ONE}\n\ndata: {TWO}\n\ndata: [done]\n\n",
    "data twice": f"data: data: {ONE}\n\ndata: {TWO}\n\ndata: data: [DONE]\n\n",
    "several lines": "data: " + PRETTY.replace("\n", "\ndata: ") + f"\n\ndata: {TWO}\n\ndata: [DONE]\n\n",
    "several lines, once data": f"data: {PRETTY}\n\ndata: {TWO}\n\ndata: [DONE]\n\n",
    "several lines and a comment": "data: "
    + PRETTY.replace("\n", "\n: c\ndata: ")
    + f"\n\ndata: {TWO}\n\ndata: [DONE]\n",
    "arrays": f"data: [{ONE}, {TWO}]\n\ndata: [DONE]\n\n",
    "json lines": f"{ONE}\n{TWO}\n[DONE]\n",
    "json lines with blank ones": f"\n{ONE}\n\n{TWO}\n\n[DONE]",
    "a document that is an array": f"[{ONE},\n{TWO}]",
    "an array over lines": f"[\n{PRETTY}\n\n,\n{TWO}\n]\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_every_way_to_write_events_gives_the_same(body: str) -> None:
    raw = body.encode()
    for size in (len(raw), 1, 2, 3, 7):
        payloads = Payloads()
        found = [each for at in range(0, len(raw), size) for _, each in payloads.feed(raw[at : at + size])]
        found += [each for _, each in payloads.end()]
        assert [json.loads(each) for each in found if each != DONE] == [json.loads(ONE), json.loads(TWO)], size
        assert found.count(DONE) == ("DONE]" in body.replace(ONE, "").replace(PRETTY, "").upper())


@pytest.mark.parametrize("body", [f"{MARK}{PRETTY}", f"  {PRETTY}\n", ONE, f"{MARK}{ONE}\r\n", f"[{PRETTY}]"])
def test_a_body_may_be_one_document(body: str) -> None:
    raw = body.encode()
    for size in (len(raw), 1, 5):
        payloads = Payloads()
        found = [each for at in range(0, len(raw), size) for _, each in payloads.feed(raw[at : at + size])]
        assert [json.loads(each) for each in (*found, *dict(payloads.end()).values())] == [json.loads(ONE)]


def test_the_name_of_an_event_is_that_of_its_payload() -> None:
    body = b"event: one\ndata: {}\n\ndata: {}\n\nevent:two\ndata: {\ndata: }\n\ndata: [DONE]\n\n"

    assert [name for name, _ in Payloads().feed(body)] == [b"one", b"", b"two", b""]


def test_what_has_not_ended_is_counted() -> None:
    payloads = Payloads()
    for _ in range(10):
        payloads.feed(b"data: {" + b"x" * 93)
    assert payloads.pending == 1000
    payloads.feed(b"\n" + b"y" * 50)
    assert 1000 <= payloads.pending <= 1060

"""Reasoning between tags, with the text cut anywhere; only at the beginning of an answer."""

import pytest

from backend.llm.tests.frames import DONE, chunk, frames, named, read
from backend.llm.thoughts import MAX_HELD_CHARACTERS, Thoughts

SPLIT = [
    ("<think>secret plan</think>\n\nalpha beta", ("secret plan", "alpha beta")),
    ("<think>\nsecret\n\nplan: 1 < 2 <b>\n</think>\n\nalpha beta\n", ("secret\n\nplan: 1 < 2 <b>", "alpha beta\n")),
    ("\n <Thinking>a</Thinking>b", ("a", "b")),
    ("<THINK>a</think>b", ("a", "b")),
    ("<thought>a</thought>b", ("a", "b")),
    ("<reasoning>a </think> b</reasoning>c", ("a </think> b", "c")),
    ("<seed:think>a</seed:think>b", ("a", "b")),
    ("[THINK]a[/THINK]b", ("a", "b")),
    ("<think>a</think>\n<think>b</think>c", ("ab", "c")),
    ("<think></think>b", ("", "b")),
    ("<think>\n\n</think>\n\n  b", ("", "b")),
    ("<think>never closed </th", ("never closed </th", "")),
    ("<think>İ𝄞é</think>é", ("İ𝄞é", "é")),
    ("</think>\n\nalpha", ("", "alpha")),  # The rest of the reasoning was in a field of its own.
    ("<think>a</think>b <think>c</think>", ("a", "b <think>c</think>")),
    ("Use <think> and </think> for it.", ("", "Use <think> and </think> for it.")),
    ("`<think>` is a tag", ("", "`<think>` is a tag")),
    ("<thinker>a</thinker>", ("", "<thinker>a</thinker>")),
    ("<p>a</p>", ("", "<p>a</p>")),
    ("<thin", ("", "<thin")),
    (" \n ", ("", " \n ")),
    ("  indented", ("", "  indented")),
    ("1 < 2", ("", "1 < 2")),
    ("[1] says so", ("", "[1] says so")),
]


def split(pieces: list[str]) -> tuple[str, str]:
    thoughts, said = Thoughts(), {True: "", False: ""}
    for piece in pieces:
        for reasoning, text in [(False, piece)] if thoughts.over else thoughts.feed(piece):
            said[reasoning] += text
    for reasoning, text in thoughts.end():
        said[reasoning] += text
    return said[True], said[False]


@pytest.mark.parametrize(("text", "expected"), SPLIT)
def test_reasoning_is_separated_from_text_wherever_it_is_cut(text: str, expected: tuple[str, str]) -> None:
    for size in range(1, len(text) + 1):
        assert split([text[at : at + size] for at in range(0, len(text), size)]) == expected
    for at in range(len(text)):
        assert split([text[:at], text[at:]]) == expected


@pytest.mark.parametrize("begun", ["", "<think>", "<think>a"])
def test_white_space_is_not_held_back_for_ever(begun: str) -> None:
    thoughts, said = Thoughts(), 0
    for piece in (begun, *[" " * 100] * (3 * MAX_HELD_CHARACTERS // 100)):
        if not thoughts.over:
            said += sum(len(text) for _, text in thoughts.feed(piece))

    assert said >= MAX_HELD_CHARACTERS or begun == "<think>"  # White space after a tag belongs to it.


def test_every_adapter_separates_them() -> None:
    pieces = ["<thi", "nk>secret ", "plan</th", "ink>\n", "\nalpha", " beta"]
    expected = ("alpha beta", "secret plan")

    chat = read("chat", frames(*[chunk(content=piece) for piece in pieces], chunk("stop")) + DONE)
    responses = read(
        "responses",
        named(
            *[{"type": "response.output_text.delta", "delta": piece} for piece in pieces],
            {"type": "response.completed", "response": {"status": "completed"}},
        ),
    )
    claude = read(
        "claude",
        named(
            *[{"type": "content_block_delta", "index": 0, "delta": {"text": piece}} for piece in pieces],
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        ),
    )

    assert [answer[:2] for answer in (chat, responses, claude)] == [expected] * 3

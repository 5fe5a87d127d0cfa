"""Separates reasoning from the answer where a server sends both in one text: ``<think>…</think>`` before the answer.

As Ollama, llama.cpp and LM Studio do, only tags at the beginning of an answer count: later ones are text about tags.
"""

from collections.abc import Iterator

OPENING = {
    f"<{name}>": f"</{name}>"
    for name in ("think", "thinking", "thought", "thoughts", "reasoning", "seed:think", "antthinking")
} | {"[think]": "[/think]"}
# Without its opening tag, which is in the prompt of some models or went to another field with the reasoning.
CLOSING = tuple(OPENING.values())
TAGS = (*OPENING, *CLOSING)
MAX_HELD_CHARACTERS = 4096  # White space that is held back; more of it belongs to no tag.
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}  # str.lower() may change the length.


class Thoughts:
    """Splits the text of one answer, given in pieces that may end anywhere, into reasoning and answer."""

    def __init__(self) -> None:
        self.over = False  # The answer itself has begun: what follows is text, and need not be given here.
        self._held = ""  # What may still become a tag, or white space beside one.
        self._closing = ""  # The tag that ends the reasoning; empty outside of it.
        self._fresh = False  # Reasoning or its end came just now: white space that follows belongs to the tags.

    def feed(self, piece: str) -> Iterator[tuple[bool, str]]:
        """The parts that are certain, each with whether it is reasoning."""
        self._held += piece
        while self._held and not self.over:
            before = (len(self._held), self._closing)
            yield from self._reasoning() if self._closing else self._beginning()
            if (len(self._held), self._closing) == before:
                return

    def end(self) -> Iterator[tuple[bool, str]]:
        """What was held back, now that nothing follows."""
        held, self._held = self._held, ""
        if self._fresh:
            held = held.lstrip()
        if self._closing:
            held = held.rstrip()
        if held:
            yield bool(self._closing), held

    def _beginning(self) -> Iterator[tuple[bool, str]]:
        text = self._held.lstrip()
        start = text[:16].translate(_LOWER)
        for opening, closing in OPENING.items():
            if start.startswith(opening):
                self._held, self._closing, self._fresh = text[len(opening) :], closing, True
                return
        for closing in CLOSING:
            if start.startswith(closing):
                self._held, self._fresh = text[len(closing) :], True
                return
        if len(self._held) <= MAX_HELD_CHARACTERS and any(tag.startswith(start) for tag in TAGS):
            return  # Nothing but white space so far, or the beginning of a tag.
        self.over = True
        text, self._held = (text if self._fresh else self._held), ""
        yield False, text

    def _reasoning(self) -> Iterator[tuple[bool, str]]:
        text = self._held.lstrip() if self._fresh else self._held
        end = text.translate(_LOWER).find(self._closing)
        if end >= 0:
            thought, self._held = text[:end].rstrip(), text[end + len(self._closing) :]
            self._closing, self._fresh = "", True
        else:
            certain = len(text) - _overlap(text, self._closing)
            thought = text[:certain]
            if len(text) <= MAX_HELD_CHARACTERS:
                thought = thought.rstrip()
            self._held = text[len(thought) :]
            self._fresh = self._fresh and not thought
        if thought:
            yield True, thought


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of the text may be the beginning of the tag."""
    end = text[-len(tag) + 1 :].translate(_LOWER)
    return next((size for size in range(len(end), 0, -1) if end.endswith(tag[:size])), 0)

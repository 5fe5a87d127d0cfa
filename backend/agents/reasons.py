"""Translates why a run failed. Workers store reasons in English, since a run has readers in several languages.

The reason of a provider's failure begins with the provider's name, may contain the HTTP status, and may end with the
provider's own message, which is not translated.
"""

import re

from django.utils.translation import gettext, gettext_noop

_MAX_LENGTH = 1_000  # Characters of a reason.
_STATUS = re.compile(r"(failed|refused the request|asks to slow down|has no such model or route) \(status (\d{3})\)")
_KEY = " is not set."

REASONS = frozenset(
    {
        gettext_noop("What was set aside for this answer does not cover its next step."),
        gettext_noop("The agent used all its steps without coming to an answer."),
        gettext_noop("A tool that the agent needs failed again and again."),
        gettext_noop("A tool was at work when the worker died: whether it did what it was to do is not known."),
        gettext_noop("The question and what was found for it are more than the model can read at once."),
        gettext_noop("The documents were still being read when the time that this agent may take was over."),
        gettext_noop("This provider is not available."),
    }
)
OF_PROVIDER = frozenset(
    {
        gettext_noop("failed"),
        gettext_noop("refused the request"),
        gettext_noop("asks to slow down"),
        gettext_noop("has no such model or route"),
        gettext_noop("broke off"),
        gettext_noop("did not accept the connection in time"),
        gettext_noop("stopped sending in the middle of the answer"),
        gettext_noop("did not answer in time"),
        gettext_noop("cannot be reached"),
        gettext_noop("broke the connection in the middle of the answer"),
        gettext_noop("broke the connection"),
        gettext_noop("sent an event that is not valid"),
        gettext_noop("sent a line without an end"),
        gettext_noop("took too long over the answer"),
        gettext_noop("ended the answer in the middle"),
        gettext_noop("withheld the answer because of its content rules"),
    }
)


def in_words(detail: object, *, provider: str | None = None) -> str:
    """A stored reason in the active language; unchanged if it has no translation."""
    text = str(detail or "")[:_MAX_LENGTH]
    if text in REASONS:
        return gettext(text)
    if text.endswith(_KEY) and " " not in text[: -len(_KEY)]:
        return gettext("%(name)s is not set.") % {"name": text[: -len(_KEY)]}
    if not provider or not text.startswith(f"{provider} "):
        return text
    rest = text[len(provider) + 1 :]
    status = _STATUS.match(rest)
    if status is not None:
        translated = f"{gettext(status[1])} (status {status[2]})"
        return f"{provider} {translated}{rest[status.end() :]}"
    what, colon, own = rest.partition(": ")
    what = what.removesuffix(".")
    if what not in OF_PROVIDER:
        return text
    return f"{provider} {gettext(what)}{colon}{own}" if colon else f"{provider} {gettext(what)}."

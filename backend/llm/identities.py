"""Removes what identifies the operator's account from a provider's message, because clients read these messages.

Each pattern looks at a bounded stretch of text, and the message is short by then.
"""

import re

HIDDEN = "[…]"

# The order matters: the first remove as a whole what later ones would remove in parts.
PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s<>\"']{1,2000}", re.IGNORECASE), HIDDEN),
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"), HIDDEN),
    # Google's and Azure's names of things: projects/acme-prod/locations/…
    (
        re.compile(
            r"\b(projects|organizations|accounts|subscriptions|resourceGroups|deployments|tenants|workspaces)/"
            r"[^\s/,;)]{1,200}",
            re.IGNORECASE,
        ),
        rf"\1/{HIDDEN}",
    ),
    (
        re.compile(r"\b(?:org|organization|proj|project|user|acct|team|wrkspc|req)[-_][\w*-]{4,200}", re.IGNORECASE),
        HIDDEN,
    ),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), HIDDEN),
    (re.compile(r"\b(?:AIza|AKIA|ASIA|gsk_|hf_|xai-|ghp_)[\w-]{4,200}"), HIDDEN),
    (re.compile(r"\b[\w-]{40,2000}"), HIDDEN),
    (re.compile(r"\b(ending (?:in|with)|starting with)[\s:]{1,3}\S{1,64}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # A name beside the word: in organization "Acme", project Acme Labs, the account 1234.
    (
        re.compile(
            r"\b(organi[sz]ation|project|workspace|tenant|account|team|resource|subscription)"
            r"((?:[ _-]?(?:id|name))?\s?[:=(]?\s?)"
            r"(?:'[^']{1,200}'|\"[^\"]{1,200}\"|`[^`]{1,200}`|[A-Z0-9][\w&.-]{0,63}(?: [A-Z0-9][\w&.-]{0,63}){0,5})"
        ),
        rf"\1\2{HIDDEN}",
    ),
    # The same in lower case, after the two words that introduce names most.
    (
        re.compile(
            r"\b(organi[sz]ation|project) (?!(?:must|may|might|is|are|was|has|have|had|does|do|can|cannot|could|will|"
            r"in|on|at|for|from|by|to|of|that|which|and|or|with|without|not|settings?|policy|policies|owners?|admins?|"
            r"administrators?|level|limits?|quota|usage|page|keys?|id|name)\b)[\w&.-]{1,63}",
        ),
        rf"\1 {HIDDEN}",
    ),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b"), HIDDEN),
    (
        re.compile(
            r"\b[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}"
            r"(?:\.(?:internal|local|localdomain|lan|corp|intranet|svc|cluster)\b(?::\d{1,5})?|:\d{4,5}\b)",
            re.IGNORECASE,
        ),
        HIDDEN,
    ),
)


def anonymous(text: str) -> str:
    """The message without ids and names of organisations and projects, e-mail addresses, parts of keys and addresses
    of servers. ``text`` is short: see ``refusals.MAX_DETAIL_CHARACTERS``."""
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text

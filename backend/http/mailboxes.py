"""The canonical form of e-mail addresses, so that each mailbox has one account.

``Ana@BÜCHER.example`` and ``ana@xn--bcher-kva.example`` are one mailbox. Everything that stores, looks up, counts or
mails an address uses the form that ``canonical`` returns: ASCII, in lower case, the domain as its IDNA 2008 A-labels.
"""

import re
import unicodedata

import idna
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

MAX_EMAIL_LENGTH = 254  # RFC 5321 section 4.5.3.1.3, without the angle brackets.

# A dot-atom of RFC 5322. Quoted local parts are refused: "ana"@example.com is ana@example.com once more.
_LOCAL_PART = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")

# IDNA 2003 and IDNA 2008 map these to different domains (UTS 46 section 6: deviations), so mail servers disagree about
# whose mailbox it is.
_DEVIATIONS = frozenset("ßẞς\u200c\u200d")


class InvalidEmail(ValueError):
    """The text is not an e-mail address with a canonical form."""


def canonical(text: str) -> str:
    """The canonical form of an address.

    Case makes no difference, nor do compatibility characters such as full-width letters, ``ſ`` and the Kelvin sign,
    which Unicode (NFKC) defines as ASCII letters in another shape.

    :raises InvalidEmail: the text is not an address, or mail servers disagree about its mailbox: a quoted local part,
        letters outside ASCII in the local part, an IP address as the domain, a domain with ``ß`` or ``ς``.
    """
    text = text.strip()
    if len(text) > MAX_EMAIL_LENGTH:  # Before anything that takes time.
        raise InvalidEmail
    local, _, domain = text.rpartition("@")
    local = unicodedata.normalize("NFKC", local).lower()
    if not _LOCAL_PART.fullmatch(local):
        raise InvalidEmail
    address = f"{local}@{_domain(domain)}"
    try:
        validate_email(address)
    except ValidationError as error:
        raise InvalidEmail from error
    if len(address) > MAX_EMAIL_LENGTH:
        raise InvalidEmail
    return address


def without_tag(email: str) -> str:
    """A canonical address without the parts that many providers ignore: ``+tag``, and the dots of Gmail.

    At other providers the two addresses may be two mailboxes, so this form must not be stored or mailed to.
    """
    local, _, domain = email.partition("@")
    local = local.partition("+")[0] or local
    if domain in ("gmail.com", "googlemail.com"):
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"


def _domain(text: str) -> str:
    if text.startswith("["):  # An IP address, which can be written in many ways.
        raise InvalidEmail
    if text.isascii() and "xn--" not in text.lower():
        return text.lower()
    try:
        # Twice, so that an A-label that is not the encoding of what it decodes to becomes the one that is.
        readable = idna.decode(idna.encode(text, uts46=True, std3_rules=True))
        encoded = idna.encode(readable, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidEmail from error
    if _DEVIATIONS & set(text + readable):
        raise InvalidEmail
    return encoded

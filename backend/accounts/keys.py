"""The RSA keys that sign and verify tokens, and the public half of them as a JWK set (RFC 7517)."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

PEM = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)
MIN_KEY_BITS = 2048  # Bits; RFC 7518 section 3.3.


@dataclass(frozen=True, eq=False)
class KeyRing:
    """One key signs; it and the previous ones verify, each found by its ``kid``."""

    private: rsa.RSAPrivateKey
    kid: str
    public: dict[str, rsa.RSAPublicKey]

    def jwks(self) -> dict[str, Any]:
        return {"keys": [{**jwk(key), "kid": kid, "use": "sig", "alg": "RS256"} for kid, key in self.public.items()]}


def key_ring() -> KeyRing:
    """The keys of the settings as they are now.

    :raises ImproperlyConfigured: a key is missing or is not an RSA key of 2048 bits or more.
    """
    return _read(settings.JWT_PRIVATE_KEY, settings.JWT_PREVIOUS_PUBLIC_KEYS, settings.DEBUG)


@cache
def _read(private_pem: str, previous_pems: str, debug: bool) -> KeyRing:
    private = _private_key(private_pem, debug=debug)
    keys = [private.public_key(), *(_public_key(pem) for pem in PEM.findall(previous_pems))]
    return KeyRing(private=private, kid=thumbprint(keys[0]), public={thumbprint(key): key for key in keys})


def _private_key(pem: str, *, debug: bool) -> rsa.RSAPrivateKey:
    if not pem and debug:
        return rsa.generate_private_key(
            public_exponent=65537, key_size=MIN_KEY_BITS
        )  # In memory only: its tokens end with this process.
    if not pem:
        raise ImproperlyConfigured("JWT_PRIVATE_KEY is empty: set it to an RSA private key in PEM form.")
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ImproperlyConfigured(f"JWT_PRIVATE_KEY is not a PEM private key without a password: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
        raise ImproperlyConfigured(f"JWT_PRIVATE_KEY must be an RSA key of at least {MIN_KEY_BITS} bits.")
    return key


def _public_key(pem: str) -> rsa.RSAPublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError as error:
        raise ImproperlyConfigured(f"JWT_PREVIOUS_PUBLIC_KEYS holds what is no PEM public key: {error}") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        raise ImproperlyConfigured(f"JWT_PREVIOUS_PUBLIC_KEYS may hold RSA keys of {MIN_KEY_BITS} bits or more only.")
    return key


def jwk(key: rsa.RSAPublicKey) -> dict[str, str]:
    """The members that RFC 7638 requires of an RSA key, in its order."""
    numbers = key.public_numbers()
    return {"e": _base64url_of_number(numbers.e), "kty": "RSA", "n": _base64url_of_number(numbers.n)}


def thumbprint(key: rsa.RSAPublicKey) -> str:
    """The key's name: base64url of SHA-256 over its canonical JWK (RFC 7638)."""
    canonical = json.dumps(jwk(key), separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _base64url_of_number(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

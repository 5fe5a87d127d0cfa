"""Forged, foreign, stale and broken tokens open nothing."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from django.conf import settings
from django.test import Client
from django.utils import timezone

from backend.accounts.keys import key_ring, thumbprint
from backend.accounts.models import Session
from backend.accounts.tokens import AccessToken
from tests.actors import Person

ROUTES = ["/api/v1/users/me", "/api/v1/sessions", "/api/v1/workspaces", "/api/v1/auth/session", "/api/v1/account/email"]


def get(authorization: str | None, path: str = ROUTES[0]) -> Any:
    headers = {} if authorization is None else {"Authorization": authorization}
    return Client(raise_request_exception=False).get(path, headers=headers)


def claims(person: Person, **changes: Any) -> dict[str, Any]:
    payload = jwt.decode(person.access_token, options={"verify_signature": False})
    payload.update(changes)
    return {name: value for name, value in payload.items() if value is not None}


def signed(payload: dict[str, Any], **header: Any) -> str:
    keys = key_ring()
    return jwt.encode(payload, keys.private, "RS256", headers={"typ": "at+jwt", "kid": keys.kid, **header})


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_an_access_token_has_the_documented_claims(owner: Person) -> None:
    header = jwt.get_unverified_header(owner.access_token)
    assert header == {"alg": "RS256", "typ": "at+jwt", "kid": thumbprint(key_ring().private.public_key())}
    payload = jwt.decode(
        owner.access_token, key_ring().private.public_key(), ["RS256"], audience="orquestra", issuer=settings.JWT_ISSUER
    )
    assert payload.keys() == {"iss", "aud", "sub", "sid", "jti", "iat", "exp", "amr"}
    assert payload["sub"] == owner.user.public_id
    assert payload["sid"] == Session.objects.get().public_id
    assert payload["exp"] - payload["iat"] == 600
    assert payload["amr"] == ["pwd"]
    assert payload["aud"] == ["orquestra", "accounts", "agents", "documents", "billing"]
    assert len(owner.access_token) < 1000


def test_a_refresh_token_has_the_documented_claims(owner: Person) -> None:
    assert jwt.get_unverified_header(owner.refresh_token)["typ"] == "rt+jwt"
    payload = jwt.decode(owner.refresh_token, options={"verify_signature": False})
    assert payload.keys() == {"iss", "aud", "sub", "sid", "jti", "iat", "exp", "gen"}
    assert payload["gen"] == 1
    assert payload["aud"] == ["orquestra", "accounts"]
    assert timedelta(days=29) < timedelta(seconds=payload["exp"] - payload["iat"]) <= timedelta(days=30)


def test_a_token_made_like_ours_by_our_key_opens(owner: Person) -> None:
    assert get(f"Bearer {signed(claims(owner))}").status_code == 200  # So that what follows fails for its own reason.


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_has_no_case(owner: Person, scheme: str) -> None:
    assert get(f"{scheme} {owner.access_token}").status_code == 200


@pytest.mark.parametrize("path", ROUTES)
def test_expired(owner: Person, path: str) -> None:
    past = int((timezone.now() - timedelta(seconds=1)).timestamp())

    response = get(f"Bearer {signed(claims(owner, exp=past))}", path)

    assert response.status_code == 401
    assert response.json()["code"] == "token_expired"
    assert response["WWW-Authenticate"].startswith('Bearer realm="orquestra", error="invalid_token"')


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("authorization", [None, "", "Basic b3duZXI6cGFzc3dvcmQ="])
def test_missing(db: None, path: str, authorization: str | None) -> None:
    response = get(authorization, path)

    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"
    assert response["WWW-Authenticate"].startswith("Bearer")


def hs256_with_the_public_key(person: Person) -> str:
    secret = key_ring().private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    message = f"{encoded({'alg': 'HS256', 'typ': 'at+jwt', 'kid': key_ring().kid})}.{encoded(claims(person))}"
    mac = hmac.new(secret, message.encode(), hashlib.sha256).digest()
    return f"{message}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def another_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


FORGERIES: dict[str, Callable[[Person], str]] = {
    "alg none": lambda p: f"{encoded({'alg': 'none', 'typ': 'at+jwt', 'kid': key_ring().kid})}.{encoded(claims(p))}.",
    "alg None": lambda p: f"{encoded({'alg': 'None', 'typ': 'at+jwt', 'kid': key_ring().kid})}.{encoded(claims(p))}.",
    "HS256 with the public key": hs256_with_the_public_key,
    "RS512": lambda p: jwt.encode(
        claims(p), key_ring().private, "RS512", headers={"typ": "at+jwt", "kid": key_ring().kid}
    ),
    "another key under our kid": lambda p: jwt.encode(
        claims(p), another_key(), "RS256", headers={"typ": "at+jwt", "kid": key_ring().kid}
    ),
    "unknown kid": lambda p: signed(claims(p), kid="unknown"),
    "no kid": lambda p: jwt.encode(claims(p), key_ring().private, "RS256", headers={"typ": "at+jwt"}),
    "kid that is a number": lambda p: (
        f"{encoded({'alg': 'RS256', 'typ': 'at+jwt', 'kid': 7})}.{encoded(claims(p))}.AAAA"
    ),
    "kid that is a path": lambda p: signed(claims(p), kid="../../etc/passwd"),
    "typ of another kind": lambda p: signed(claims(p), typ="JWT"),
    "typ of a refresh token": lambda p: signed(claims(p), typ="rt+jwt"),
    "no typ": lambda p: signed(claims(p), typ=None),
    "another issuer": lambda p: signed(claims(p, iss="https://elsewhere.example")),
    "no issuer": lambda p: signed(claims(p, iss=None)),
    "another audience": lambda p: signed(claims(p, aud="elsewhere")),
    "two audiences": lambda p: signed(claims(p, aud=["orquestra", "elsewhere"])),
    "no audience": lambda p: signed(claims(p, aud=None)),
    "the services of another installation": lambda p: signed(claims(p, aud=list(settings.EVERY_SERVICE))),
    "this installation and no service": lambda p: signed(claims(p, aud=["orquestra"])),
    "some of the services": lambda p: signed(claims(p, aud=["orquestra", "agents"])),
    "one service too many": lambda p: signed(claims(p, aud=[*claims(p)["aud"], "elsewhere"])),
    "an audience that is a number": lambda p: signed({**claims(p), "aud": [7]}),
    "no subject": lambda p: signed(claims(p, sub=None)),
    "subject of another kind": lambda p: signed(claims(p, sub=p.workspace.public_id)),
    "subject that is a number": lambda p: signed({**claims(p), "sub": 7}),
    "session that is none": lambda p: signed(claims(p, sid="ses_nonsense")),
    "no session": lambda p: signed(claims(p, sid=None)),
    "no end": lambda p: signed(claims(p, exp=None)),
    "an end that is text": lambda p: signed(claims(p, exp="tomorrow")),
    "an end that is a list": lambda p: signed(claims(p, exp=[1])),
    "refresh as access": lambda p: p.refresh_token,
    "payload changed": lambda p: ".".join(
        [
            p.access_token.split(".")[0],
            encoded(claims(p, sub="usr_00000000000000000000000000")),
            p.access_token.split(".")[2],
        ]
    ),
    "signature cut off": lambda p: p.access_token.rpartition(".")[0] + ".",
    "cut short": lambda p: p.access_token[:-20],
    "nothing": lambda p: "",
    "garbage": lambda p: "nonsense",
    "dots": lambda p: "..",
    "two tokens": lambda p: f"{p.access_token} {p.access_token}",
    "huge": lambda p: "a" * 8000,
    "huge and of three parts": lambda p: f"{'a' * 30000}.{'b' * 30000}.c",
    "nested too deep": lambda p: f"{base64.urlsafe_b64encode(b'[' * 2900).rstrip(b'=').decode()}.e30.AAAA",
    "not ASCII": lambda p: "téken",
    "an array for a header": lambda p: f"{encoded([])}.{encoded({})}.AAAA",
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_forged(owner: Person, kind: str) -> None:
    for path in (ROUTES[0], "/api/v1/auth/session"):  # By REST framework and by allauth.
        response = get(f"Bearer {FORGERIES[kind](owner)}", path)

        assert response.status_code == 401, response.content
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == "not_authenticated"
        assert response["WWW-Authenticate"].startswith('Bearer realm="orquestra", error="invalid_token"')


def test_a_previous_key_still_verifies_and_signs_nothing_new(owner: Person, settings: Any) -> None:
    old = settings.JWT_PRIVATE_KEY
    new = another_key()
    settings.JWT_PRIVATE_KEY = new.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    assert get(f"Bearer {owner.access_token}").status_code == 401
    settings.JWT_PREVIOUS_PUBLIC_KEYS = public_pem(old) + "\n" + public_pem(settings.JWT_PRIVATE_KEY)

    assert get(f"Bearer {owner.access_token}").status_code == 200
    assert key_ring().kid == thumbprint(new.public_key())
    assert [key["kid"] for key in Client().get("/.well-known/jwks.json").json()["keys"]] == list(key_ring().public)
    assert len(key_ring().public) == 2


def public_pem(private: str) -> str:
    key = load_pem_private_key(private.encode(), None).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_anybody_can_verify_a_token_with_the_published_keys(owner: Person) -> None:
    response = Client().get("/.well-known/jwks.json")

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "public, max-age=300"
    (key,) = response.json()["keys"]
    assert key.keys() == {"kid", "use", "alg", "kty", "n", "e"}
    found = jwt.PyJWKSet.from_dict(response.json())[jwt.get_unverified_header(owner.access_token)["kid"]]
    verified = jwt.decode(owner.access_token, found, ["RS256"], audience="orquestra")
    assert verified["sub"] == owner.user.public_id


def test_the_published_keys_are_only_read(db: None) -> None:
    assert Client().post("/.well-known/jwks.json").status_code == 405


def test_a_thumbprint_is_as_rfc_7638_computes_it() -> None:
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
        "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5haj"
        "rn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = jwt.PyJWK({"kty": "RSA", "n": n, "e": "AQAB"}).key
    assert thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_tokens_of_an_unknown_user_are_refused(db: None) -> None:
    nobody = Session(id=uuid4(), user_id=uuid4(), expires_at=timezone.now() + timedelta(days=1))
    token = AccessToken.of(nobody)

    for path in ("/api/v1/users/me", "/api/v1/auth/session", "/api/v1/account/email"):
        assert get(f"Bearer {token}", path).json()["code"] == "session_revoked"
    for path in ("/api/v1/sessions", "/api/v1/workspaces"):
        assert get(f"Bearer {token}", path).json()["results"] == []

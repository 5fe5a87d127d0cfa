"""The operations of allauth in the OpenAPI document, without the unused ones for phones and providers."""

from backend.accounts.flows_schema import (
    BEARER,
    EMAIL,
    GIVEN,
    NEW_PASSWORD,
    PASSWORD,
    SESSION_TOKEN,
    TEXT,
    Flow,
)
from backend.http.openapi.descriptions import Schema

PENDING = ("AuthenticationRequired", "One more step is needed: the pending one of `data.flows`.")
NOT_LOGGED_IN = ("AuthenticationRequired", "Not logged in.")
AGAIN = ("AuthenticationRequired", "Not logged in, or the last proof is too long ago (`reauthentication_required`).")
LOGGED_IN = {200: ("Authenticated", "Logged in: `meta` has the tokens."), 401: PENDING}
CODE: Schema = {**GIVEN, "description": "Of the authenticator app, or a recovery code."}


def _key_header(name: str) -> Schema:
    return {"in": "header", "name": name, "required": True, "description": "The mailed key.", "schema": TEXT}


FLOWS: dict[tuple[str, str], Flow] = {
    ("/api/v1/config", "get"): Flow(
        "Get the configuration",
        "How accounts work on this server, such as whether addresses are verified by code and which second factors "
        "there are.",
        {200: ("Done", "The configuration.")},
    ),
    ("/api/v1/auth/signup", "post"): Flow(
        "Sign up",
        "Makes a user with a personal workspace and logs in. It takes no `Idempotency-Key`: an address signs up once, "
        "so after a lost answer log in with the same password. An address that is taken is refused with 422 "
        "`email_taken`.",
        LOGGED_IN,
        {"email": EMAIL, "password": NEW_PASSWORD},
        refusals=("conflict",),
    ),
    ("/api/v1/auth/login", "post"): Flow(
        "Log in",
        "With the password. Where a second factor is needed the answer is 401 with the pending flow "
        "`mfa_authenticate`; go on with `POST /api/v1/auth/2fa/authenticate` and its `meta.session_token`.",
        LOGGED_IN,
        {"email": EMAIL, "password": PASSWORD},
        refusals=("conflict",),
    ),
    ("/api/v1/auth/session", "get"): Flow(
        "Get the log-in",
        "Who is logged in by the access token, and how.",
        {200: ("Authenticated", "The user."), 401: NOT_LOGGED_IN},
        security=BEARER,
    ),
    ("/api/v1/auth/session", "delete"): Flow(
        "Log out",
        "Ends the log-in of the access token. The answer is 401, since the client is logged out.",
        {401: ("AuthenticationRequired", "Logged out.")},
        security=BEARER,
    ),
    ("/api/v1/auth/reauthenticate", "post"): Flow(
        "Prove the password again",
        "Before a sensitive change, when it was refused with `reauthentication_required`. The proof counts for five "
        "minutes.",
        {200: ("Authenticated", "Proved."), 401: NOT_LOGGED_IN},
        {"password": PASSWORD},
        security=BEARER,
    ),
    ("/api/v1/auth/2fa/authenticate", "post"): Flow(
        "Log in by the second factor",
        "The second step of a log-in whose first one was answered with the pending flow `mfa_authenticate`.",
        LOGGED_IN,
        {"code": CODE},
        headers=(SESSION_TOKEN,),
    ),
    ("/api/v1/auth/2fa/reauthenticate", "post"): Flow(
        "Prove the second factor again",
        "As with the password, before a sensitive change. The proof counts for five minutes.",
        {200: ("Authenticated", "Proved."), 401: NOT_LOGGED_IN},
        {"code": CODE},
        security=BEARER,
    ),
    ("/api/v1/auth/email/verify", "get"): Flow(
        "Look at a mailed verification key",
        "Which address and account the key is for. Nothing is verified yet.",
        {200: ("EmailKey", "The address and its account.")},
        headers=(_key_header("X-Email-Verification-Key"), SESSION_TOKEN),
    ),
    ("/api/v1/auth/email/verify", "post"): Flow(
        "Verify an address",
        "With the mailed key. Sent with the `X-Session-Token` of the sign-up it logs in; sent with an access token it "
        "verifies an address that was added to the account. A key of an address that another account uses needs that "
        "token (422 `other_account`).",
        LOGGED_IN,
        {"key": GIVEN},
        headers=(SESSION_TOKEN,),
    ),
    ("/api/v1/auth/password/request", "post"): Flow(
        "Ask for a new password",
        "Mails a link to set one. The answer is the same whether there is such an account or not.",
        {200: ("Done", "Sent, if there is such an account.")},
        {"email": EMAIL},
    ),
    ("/api/v1/auth/password/reset", "get"): Flow(
        "Look at a mailed password key",
        "Which account the key is for. Nothing is changed yet.",
        {200: ("PasswordKey", "The account.")},
        headers=(_key_header("X-Password-Reset-Key"),),
    ),
    ("/api/v1/auth/password/reset", "post"): Flow(
        "Set a new password",
        "With the mailed key. Every other log-in ends.",
        LOGGED_IN,
        {"key": GIVEN, "password": NEW_PASSWORD},
    ),
    ("/api/v1/auth/code/request", "post"): Flow(
        "Ask for a code to log in",
        "Mails a code. The answer is 401 with the pending flow `login_by_code`, whether there is such an account or "
        "not; go on with its `meta.session_token`. Who is logged in already gets 200.",
        {
            200: ("Authenticated", "Logged in already."),
            401: ("AuthenticationRequired", "Sent, if there is an account."),
        },
        {"email": EMAIL},
    ),
    ("/api/v1/auth/code/confirm", "post"): Flow(
        "Log in by the mailed code",
        "The second step after a code was asked for. Without a log-in that waits for a code the answer is 409.",
        LOGGED_IN,
        {"code": GIVEN},
        headers=(SESSION_TOKEN,),
        refusals=("conflict",),
    ),
    ("/api/v1/account/password/change", "post"): Flow(
        "Change the password",
        "Every other log-in ends.",
        {200: ("Authenticated", "Changed."), 401: NOT_LOGGED_IN},
        {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
        security=BEARER,
    ),
    ("/api/v1/account/email", "get"): Flow(
        "List addresses",
        "The e-mail addresses of the caller, which is the primary one, and which are verified.",
        {200: ("EmailAddresses", "The addresses."), 401: NOT_LOGGED_IN},
        security=BEARER,
    ),
    ("/api/v1/account/email", "post"): Flow(
        "Add an address",
        "It counts once it is verified by the mailed link.",
        {200: ("EmailAddresses", "The addresses."), 401: AGAIN},
        {"email": EMAIL},
        security=BEARER,
        refusals=("reauthentication_required",),
    ),
    ("/api/v1/account/email", "put"): Flow(
        "Mail the link again",
        "For an address of the caller that is not verified. When it cannot be sent now, the answer is 403.",
        {200: ("Done", "Sent."), 401: NOT_LOGGED_IN},
        {"email": EMAIL},
        security=BEARER,
        refusals=("forbidden",),
    ),
    ("/api/v1/account/email", "patch"): Flow(
        "Make an address the primary one",
        "It must be verified.",
        {200: ("EmailAddresses", "The addresses."), 401: AGAIN},
        {"email": EMAIL, "primary": {"type": "boolean", "const": True}},
        security=BEARER,
        refusals=("reauthentication_required",),
    ),
    ("/api/v1/account/email", "delete"): Flow(
        "Remove an address",
        "Not the primary one. The mailbox gets a notice.",
        {200: ("EmailAddresses", "The addresses."), 401: AGAIN},
        {"email": EMAIL},
        security=BEARER,
        refusals=("reauthentication_required",),
    ),
    ("/api/v1/account/authenticators", "get"): Flow(
        "List second factors",
        "An authenticator app (`totp`) and recovery codes, if the caller has them.",
        {200: ("Authenticators", "The second factors."), 401: NOT_LOGGED_IN},
        security=BEARER,
    ),
    ("/api/v1/account/authenticators/totp", "get"): Flow(
        "Get the authenticator app",
        "While there is none the answer is 404, and its `meta` has a secret to set one up with.",
        {200: ("OneAuthenticator", "There is one."), 404: ("NewTotp", "There is none yet."), 401: NOT_LOGGED_IN},
        security=BEARER,
        refusals=("conflict",),
    ),
    ("/api/v1/account/authenticators/totp", "post"): Flow(
        "Set up an authenticator app",
        "With a code that it made of the secret. From then on log-ins need it; recovery codes are made along.",
        {200: ("OneAuthenticator", "Set up."), 401: AGAIN},
        {"code": GIVEN},
        security=BEARER,
        refusals=("reauthentication_required", "conflict"),
    ),
    ("/api/v1/account/authenticators/totp", "delete"): Flow(
        "Remove the authenticator app",
        "Log-ins need no second factor any more.",
        {200: ("Done", "Removed, or there was none."), 401: AGAIN},
        security=BEARER,
        refusals=("reauthentication_required",),
    ),
    ("/api/v1/account/authenticators/recovery-codes", "get"): Flow(
        "Get the recovery codes",
        "Each of them is a second factor once. Without an authenticator app there are none.",
        {200: ("RecoveryCodes", "The unused codes."), 404: (None, "There are none."), 401: AGAIN},
        security=BEARER,
        refusals=("reauthentication_required",),
    ),
    ("/api/v1/account/authenticators/recovery-codes", "post"): Flow(
        "Make new recovery codes",
        "The ones before are void.",
        {200: ("RecoveryCodes", "The new codes."), 401: AGAIN},
        security=BEARER,
        refusals=("reauthentication_required",),
    ),
}

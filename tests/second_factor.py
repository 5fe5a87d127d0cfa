"""A second factor as a person has it: an app that shows a code every 30 seconds, and recovery codes on paper."""

import time
from dataclasses import dataclass
from typing import Any

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from redis import Redis

from tests.http_client import ApiClient
from tests.live import Stack

PERIOD = 30
PASSWORD = "a long enough pass phrase"


@dataclass
class SecondFactor:
    secret: str
    recovery_codes: list[str]
    redis_url: str

    def code(self) -> str:
        """What the app shows; for at least ten seconds more, and not used yet as far as the server remembers."""
        left = PERIOD - time.time() % PERIOD
        if left < 10:
            time.sleep(left)
        with Redis.from_url(self.redis_url) as redis:
            for key in redis.scan_iter("*mfa.totp.used*"):
                redis.delete(key)
        return str(format_hotp_value(hotp_value(self.secret, int(time.time()) // PERIOD)))


def somebody_with_a_second_factor(live: Stack) -> tuple[str, SecondFactor]:
    """Register, confirm the address and turn on TOTP through the API: their e-mail address, and what they carry."""
    person = ApiClient.sign_up(live.base_url, password=PASSWORD)
    live.rows("UPDATE account_emailaddress SET verified = true WHERE email = %s RETURNING id", person.email)
    factor = SecondFactor(_offered_secret(person), [], live.environment["REDIS_URL"])
    person.call("POST", "/api/v1/auth/reauthenticate", {"password": PASSWORD})
    person.call("POST", "/api/v1/account/authenticators/totp", {"code": factor.code()})
    codes = person.call("GET", "/api/v1/account/authenticators/recovery-codes")["data"]["unused_codes"]
    person.close()
    return person.email, SecondFactor(factor.secret, codes, factor.redis_url)


def _offered_secret(person: ApiClient) -> str:
    offer: dict[str, Any] = person.http.get("/api/v1/account/authenticators/totp").json()
    return str(offer["meta"]["secret"])

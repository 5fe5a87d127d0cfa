"""System checks on the settings of billing."""

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from backend.http.money import parse_money


def money_settings_are_usable(**_: Any) -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    if not re.fullmatch(r"[A-Z]{3}", settings.CURRENCY):
        errors.append(Error(f"CURRENCY={settings.CURRENCY!r} is not an ISO 4217 code such as USD.", id="billing.E001"))
    try:
        usable = parse_money(settings.SIGNUP_CREDIT) >= 0
    except ValueError:
        usable = False
    if not usable:
        errors.append(
            Error(f"SIGNUP_CREDIT={settings.SIGNUP_CREDIT!r} is not an amount such as 5.00.", id="billing.E002")
        )
    return errors

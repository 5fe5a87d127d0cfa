"""Every address in the one spelling of its mailbox. Of two accounts with one mailbox, the one that verified it keeps it."""

import logging
from typing import Any

import django.db.models.functions.text
from django.db import migrations, models

from backend.http.mailboxes import InvalidEmail, canonical

logger = logging.getLogger(__name__)


def spell_addresses(apps: Any, schema_editor: Any) -> None:
    User = apps.get_model("accounts", "User")
    EmailAddress = apps.get_model("account", "EmailAddress")
    rows = EmailAddress.objects.order_by("-verified", "-primary", "pk")
    kept: dict[tuple[Any, str], Any] = {}
    owners: dict[str, Any] = {}
    for row in rows.iterator():
        try:
            email = canonical(row.email)
        except InvalidEmail:
            row.delete()  # Its account keeps its name for it below, as no address.
            continue
        if (row.user_id, email) in kept or owners.get(email, row.user_id) != row.user_id:
            row.delete()  # Said twice, or another account has verified it.
            continue
        kept[row.user_id, email] = row
        if row.verified:
            owners[email] = row.user_id
        if row.email != email:
            EmailAddress.objects.filter(pk=row.pk).update(email=email)
    users = list(User.objects.order_by("created_at", "pk").values_list("pk", "email"))
    _replace_unverified_primaries(EmailAddress)
    primaries = dict(EmailAddress.objects.filter(primary=True, verified=True).values_list("user_id", "email"))
    wanted: dict[Any, str] = {}
    for pk, written in users:
        wanted[pk] = primaries.get(pk) or _spelled(written)
    taken = set(primaries.values())
    for pk, written in users:  # The oldest account first.
        email = wanted[pk]
        if pk not in primaries:
            if not email or email in taken or owners.get(email, pk) != pk:
                logger.warning("account %s loses an address that is another's or none: %s", pk, written)
                EmailAddress.objects.filter(user_id=pk, email=email).delete()
                email = f"{pk.hex}@lost.invalid"
            taken.add(email)
        wanted[pk] = email
    changed = [(pk, written) for pk, written in users if wanted[pk] != written]
    for pk, _written in changed:  # Out of the way first: two accounts may swap spellings.
        User.objects.filter(pk=pk).update(email=f"{pk.hex}@moving.invalid")
    for pk, _written in changed:
        User.objects.filter(pk=pk).update(email=wanted[pk])


def _spelled(email: str) -> str:
    try:
        return canonical(email)
    except InvalidEmail:
        return ""


def _replace_unverified_primaries(EmailAddress: Any) -> None:
    """A verified address counts; the unverified primary of the same account no longer does."""
    for row in EmailAddress.objects.filter(verified=True).order_by("user_id", "pk").iterator():
        if not EmailAddress.objects.filter(user_id=row.user_id, primary=True, verified=True).exists():
            EmailAddress.objects.filter(user_id=row.user_id, primary=True).update(primary=False)
            EmailAddress.objects.filter(pk=row.pk).update(primary=True)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("account", "0009_emailaddress_unique_primary_email")]

    operations = [
        migrations.RunPython(spell_addresses, migrations.RunPython.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),  # Before the tables are altered.
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("email__regex", "^[!-~]+$"))
                & models.Q(("email", django.db.models.functions.text.Lower("email"))),
                name="user_email_canonical",
            ),
        ),
        migrations.RunSQL(
            "ALTER TABLE account_emailaddress ADD CONSTRAINT emailaddress_canonical"
            " CHECK (email ~ '^[!-~]+$' AND email = lower(email))",
            "ALTER TABLE account_emailaddress DROP CONSTRAINT emailaddress_canonical",
        ),
    ]

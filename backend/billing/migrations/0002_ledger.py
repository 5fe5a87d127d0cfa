"""Installs the functions, triggers and views of ``ledger.sql``."""

from pathlib import Path

from django.db import migrations

LEDGER = Path(__file__).resolve().parent.parent / "ledger.sql"

REMOVE = """
DROP VIEW ledger_discrepancies, ledger_postings;
DROP TRIGGER transfer_immutable ON billing_transfer;
DROP TRIGGER transfer_never_truncated ON billing_transfer;
DROP TRIGGER usage_immutable ON billing_usagerecord;
DROP TRIGGER usage_user_only_forgotten ON billing_usagerecord;
DROP TRIGGER wallet_moves_with_transfers ON billing_wallet;
DROP FUNCTION ledger_reserve, ledger_record_usage, ledger_capture, ledger_release, ledger_transfer,
    ledger_expire_grant, ledger_post, ledger_spend_grants, ledger_refuse_insufficient, ledger_lock_wallet,
    ledger_guard_wallet, ledger_refuse_change, ledger_open_wallet;
ALTER TABLE billing_wallet RESET (fillfactor);
ALTER TABLE billing_creditgrant RESET (fillfactor);
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [migrations.RunSQL(LEDGER.read_text(encoding="utf-8"), REMOVE)]

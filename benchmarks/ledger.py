"""How many charges a second the ledger takes, beside PostgreSQL's own benchmark on the same server in the same run.

    .venv/bin/python benchmarks/ledger.py [--seconds 10] [--clients 8] [--json]

Starts a durable PostgreSQL of its own (fsync on, commits waited for) and drives it with pgbench: `pgbench -N` as it
is, then the ledger's functions, over many wallets and over a single hot one. A pair is two commits: the hold, then the
usage record with its capture. `raw` is measured first and last; ratios are to the mean of both. Ends by checking the
books; exit 1 when they are off.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from backend.embedded import postgres  # noqa: E402  # The checkout is importable only now.
from backend.embedded.privileges import own, popen_options, unprivileged  # noqa: E402

WALLETS = 1_000
THREADS = 2

# Each wallet is the number of a row, so that pgbench can draw one. `hot` scripts take the first.
WORKSPACE = "(SELECT workspace_id FROM bench_wallet WHERE number = :number)"
TRANSFER = f"""
SELECT ledger_transfer({WORKSPACE}, gen_random_uuid(), 'adjustment', 'debit', 1, gen_random_uuid()::text,
    'run_bench', 'A charge', NULL, 0);
"""
RUN = f"""
\\set reference random(1, 9000000000000000000)
SELECT ledger_reserve({WORKSPACE}, gen_random_uuid(), 'run_' || :reference, 5000, now() + interval '1 hour');
BEGIN;
SELECT ledger_record_usage({WORKSPACE}, gen_random_uuid(), 'run_' || :reference, 1, 1, NULL, NULL, NULL, 'plain',
    'acme', 1000, 0, 100, 1.0, 1.0, 2.0, 0.0012);
SELECT ledger_capture('run_' || :reference, gen_random_uuid(), gen_random_uuid(), 'A run');
END;
"""
SCRIPTS = {
    "single transfers, random wallets": f"\\set number random(1, {WALLETS})" + TRANSFER,
    "single transfers, one hot wallet": "\\set number 1" + TRANSFER,
    "reserve + settle pairs, random wallets": f"\\set number random(1, {WALLETS})" + RUN,
    "reserve + settle pairs, one hot wallet": "\\set number 1" + RUN,
}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def server(root: Path) -> Iterator[tuple[Path, int]]:
    """A fresh durable cluster; yields the folder of its binaries and its port."""
    account = unprivileged()
    root.chmod(0o755)
    sockets = root / "sockets"
    sockets.mkdir()
    own(sockets, account)
    binaries = postgres.reachable_binaries(root, account)
    postgres.initialize(root / "data", account, binaries)
    port = free_port()
    with (root / "postgres.log").open("wb") as log:
        process = subprocess.Popen(
            postgres.server_command(root / "data", binaries=binaries, sockets=sockets, port=port),
            cwd="/",
            stdout=log,
            stderr=log,
            **popen_options(account),
        )
        try:
            postgres.wait_until_ready(root / "data", process)
            yield binaries, port
        finally:
            process.send_signal(postgres.STOP)
            process.wait(30)


def prepare(port: int) -> None:
    """The ledger's tables, and wallets with money and three grants each."""
    os.environ |= {
        "DATABASE_URL": f"postgres://orquestra@127.0.0.1:{port}/orquestra",
        "DJANGO_SETTINGS_MODULE": "backend.settings",
    }
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from backend.accounts.models import Workspace
    from backend.billing.models import Wallet

    call_command("migrate", "billing", verbosity=0, skip_checks=True)
    workspaces = Workspace.objects.bulk_create(Workspace(name=f"Bench {number}") for number in range(WALLETS))
    Wallet.objects.bulk_create(Wallet(workspace=workspace, currency="USD") for workspace in workspaces)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE bench_wallet (number int PRIMARY KEY, workspace_id uuid NOT NULL);"
            "INSERT INTO bench_wallet SELECT row_number() OVER (ORDER BY id), workspace_id FROM billing_wallet;"
            "SELECT ledger_transfer(workspace_id, gen_random_uuid(), 'top_up', 'credit', 1000000000000,"
            "    'top-up-' || number, '', '', NULL, 0) FROM bench_wallet;"
        )
        for days in (7, 30, 365):
            cursor.execute(
                "SELECT ledger_transfer(workspace_id, gen_random_uuid(), 'grant', 'credit', 1000000000000,"
                " 'grant-' || number || '-' || %s, '', '', now() + make_interval(days => %s), 0) FROM bench_wallet",
                [days, days],
            )
        cursor.execute("ANALYZE")
    connection.close()


def pgbench(binaries: Path, port: int, *options: str) -> str:
    command = [str(binaries / "pgbench"), "-h", "127.0.0.1", "-p", str(port), "-U", "orquestra", *options, "orquestra"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def rate(report: str) -> float:
    """Transactions per second, without the time to connect."""
    found = re.search(r"^tps = ([\d.]+)", report, re.MULTILINE)
    if found is None or "number of failed transactions: 0 " not in report:
        raise SystemExit(report)
    return float(found[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    load = ["-n", "-T", str(asked.seconds), "-c", str(asked.clients), "-j", str(THREADS)]
    with tempfile.TemporaryDirectory(prefix="orquestra-bench-") as folder, server(Path(folder)) as (binaries, port):
        prepare(port)
        pgbench(binaries, port, "-i", "-q", "-s", "20")
        raw = [rate(pgbench(binaries, port, "-N", *load))]
        rates: dict[str, float] = {}
        for number, (name, script) in enumerate(SCRIPTS.items()):
            path = Path(folder) / f"{number}.sql"
            path.write_text(script)
            rates[name] = rate(pgbench(binaries, port, "-f", str(path), *load))
        raw.append(rate(pgbench(binaries, port, "-N", *load)))

        from backend.billing.queries import discrepancies

        off = discrepancies()
        from django.db import connection

        connection.close()
        if asked.json:
            print(json.dumps({"raw_per_second": raw, "per_second": rates, "books_are_right": not off}))
            return 1 if off else 0
        mean = sum(raw) / len(raw)
        print(f"{asked.clients} clients, {asked.seconds} s each, fsync on, {WALLETS} wallets with three grants each")
        print(f"{'pgbench -N (raw)':40} {mean:8.0f} /s   (first {raw[0]:.0f}, last {raw[1]:.0f})")
        for name, per_second in rates.items():
            print(f"{name:40} {per_second:8.0f} /s   {per_second / mean:.2f} of raw")
        print("the books are right" if not off else f"the books are off: {off[:5]}")
        return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())

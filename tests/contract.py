"""Calls every operation as the OpenAPI document allows and forbids, and holds the answers against it.

python -m tests.contract http://localhost:8000 [options of schemathesis, such as -n 100 --seed 7]
"""

import os
import subprocess
import sys

from tests.live import ROOT

# CONTRACT_EXAMPLES=100 makes many requests of each operation, which takes a quarter of an hour; see CONTRIBUTING.md.
EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "0"))


def run(base: str, *options: str, sample: int = 1) -> "subprocess.CompletedProcess[str]":
    """
    :param base: the product's address, behind which the limits are generous.
    :param sample: only one of so many cases of the coverage phase.
    """
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.contract_hooks",
        "CONTRACT_BASE": base,
        "CONTRACT_SAMPLE": str(sample),
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "tests/contract.toml", "run"]
    command += [f"{base}/api/schema", "--checks=all", "--continue-on-failure", "--warnings=off", *options]
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)


if __name__ == "__main__":
    done = run(sys.argv[1].rstrip("/"), *sys.argv[2:])
    sys.stdout.write(done.stdout + done.stderr)
    sys.exit(done.returncode)

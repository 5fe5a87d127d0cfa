"""Writes the environment file from `.env.example` with newly generated secrets. Needs only the standard library.

    python3 docker/make_env.py [FILE]        FILE is .env by default; to one that exists only new secrets are added

The RSA key is made by openssl, by the package cryptography of .venv, or in a container: by whichever is there.
"""

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MADE_UP = {
    "SECRET_KEY": 38,
    "POSTGRES_PASSWORD": 24,
    "POSTGRES_APP_PASSWORD": 24,
    "REDIS_PASSWORD": 24,
    "S3_ACCESS_KEY": 12,
    "S3_SECRET_KEY": 30,
}
ADDED = {"POSTGRES_APP_PASSWORD"}  # Secrets that files of earlier versions lack.
WITH_CRYPTOGRAPHY = """
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
print(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
"""


def rsa_key() -> str:
    """A new private key as PEM."""
    openssl = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    image = os.environ.get("PYTHON_IMAGE") or "python:3.12-slim-bookworm"
    ways = [
        openssl,
        [str(ROOT / ".venv/bin/python"), "-c", WITH_CRYPTOGRAPHY],
        ["docker", "run", "--rm", "--network=none", image, *openssl],
    ]
    for way in ways:
        if shutil.which(way[0]) is None:
            continue
        done = subprocess.run(way, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode == 0 and "PRIVATE KEY-----" in done.stdout:
            return done.stdout.strip()
    sys.exit("An RSA key is needed, and neither openssl nor cryptography nor docker is here to make it.")


def filled_in(example: str) -> str:
    """The lines of the example with generated values for secrets, and all others unchanged."""
    values = {name: secrets.token_urlsafe(size) for name, size in MADE_UP.items()}
    # On one line, since not every reader of such files takes several.
    values["JWT_PRIVATE_KEY"] = "'" + rsa_key().replace("\n", "\\n") + "'"
    lines = []
    for line in example.splitlines():
        name = line.lstrip("#").partition("=")[0]
        lines.append(f"{name}={values.pop(name)}" if name in values else line)
    if values:
        sys.exit(f".env.example has no line for {', '.join(sorted(values))}.")
    return "\n".join(lines) + "\n"


def write(target: Path) -> bool:
    """Write the file unless it exists. Returns whether it was written."""
    if target.exists():
        return False
    text = filled_in((ROOT / ".env.example").read_text())
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return True


def complete(target: Path) -> list[str]:
    """Add variables that are new to a file of an earlier version; never change a line. Returns what was added."""
    there = {line.partition("=")[0] for line in target.read_text().splitlines()}
    missing = sorted(ADDED - there) if "POSTGRES_PASSWORD" in there else []
    with target.open("a") as file:
        file.writelines(f"\n{name}={secrets.token_urlsafe(MADE_UP[name])}\n" for name in missing)
    return missing


def main(target: Path) -> None:
    if write(target):
        print(f"{target} is written, with new secrets. Keep it: without it the data cannot be opened again.")
    elif added := complete(target):
        print(f"{target} is there already; this version needs {', '.join(added)} too, which is added at its end.")
    else:
        print(f"{target} is there already and stays as it is.")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".env"))

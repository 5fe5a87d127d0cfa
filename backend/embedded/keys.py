"""Secrets of one data folder, generated once and readable for its owner alone."""

import os
import secrets
from pathlib import Path


def text(folder: Path, name: str, *, length: int = 40) -> str:
    """The secret of that name, generated at the first call."""
    return _kept(folder / name) or _keep(folder / name, secrets.token_urlsafe(length)[:length])


def token(folder: Path, name: str) -> str:
    """A secret of twelve hexadecimal characters, usable in file names."""
    return _kept(folder / name) or _keep(folder / name, secrets.token_hex(6))


def rsa(folder: Path, name: str) -> Path:
    """The file of an RSA private key in PEM, generated at the first call."""
    if _kept(folder / name) is None:
        from cryptography.hazmat.primitives import serialization  # A slow import, needed once per data folder.
        from cryptography.hazmat.primitives.asymmetric import rsa as algorithm

        key = algorithm.generate_private_key(public_exponent=65537, key_size=2048)
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        _keep(folder / name, key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode())
    return folder / name


def _kept(path: Path) -> str | None:
    try:
        return path.read_text() or None
    except FileNotFoundError:
        return None


def _keep(path: Path, value: str) -> str:
    """Write a temporary file and rename it, so that a crash leaves no partial secret."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return value

"""The password hasher."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2id(Argon2PasswordHasher):
    """Argon2id as OWASP's password storage cheat sheet sets it: 19 MiB, two passes, one lane, about 20 ms."""

    time_cost = 2
    memory_cost = 19456
    parallelism = 1

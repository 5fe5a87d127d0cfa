"""`.env.example` and what is read from the environment are the same list, with the same defaults."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Read by the launcher and by create_operator, and by Compose itself.
ELSEWHERE = {"OPERATOR_EMAIL", "OPERATOR_PASSWORD", "COMPOSE_PROJECT_NAME"}


def read_by_settings() -> dict[str, object]:
    """Each variable of settings.py with its default, where that is a plain value."""
    found: dict[str, object] = {}
    for node in ast.walk(ast.parse((ROOT / "backend/settings.py").read_text())):
        if isinstance(node, ast.Call) and re.fullmatch(r"env\.\w+", ast.unparse(node.func)):
            name = ast.literal_eval(node.args[0])
            default = next((keyword.value for keyword in node.keywords if keyword.arg == "default"), None)
            found[name] = default.value if isinstance(default, ast.Constant) else found.get(name)
    return found


def read_by_gunicorn() -> dict[str, object]:
    source = (ROOT / "backend/server/gunicorn.py").read_text()
    found: list[tuple[str, str]] = re.findall(r'os\.environ\.get\("([A-Z_]+)", "(.*?)"\)', source)
    return dict(found)


def read_by_models() -> set[str]:
    providers = tomllib.loads((ROOT / "models.toml").read_text())["provider"]
    return {provider["api_key_env"] for provider in providers if "api_key_env" in provider}


def read_by_compose() -> dict[str, str]:
    """Each variable that containers are made from, with its default."""
    source = (ROOT / "docker/docker-compose.yml").read_text()
    found: list[tuple[str, str]] = re.findall(r"\$\{([A-Z0-9_]+)(?::?-([^}]*))?", source)
    return dict(found)


def examples() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    found = [(match[1], match[2]) for line in lines if (match := re.fullmatch(r"#?([A-Z0-9_]+)=(.*)", line))]
    assert len(found) == len(dict(found)), "a variable stands there twice"
    return dict(found)


def test_every_variable_is_listed_and_no_other() -> None:
    read = (
        read_by_settings().keys() | read_by_gunicorn().keys() | read_by_models() | read_by_compose().keys() | ELSEWHERE
    )
    assert len(read) > 40
    assert sorted(examples()) == sorted(read)


def test_the_listed_defaults_are_the_real_ones() -> None:
    written = examples()
    for name, default in {**read_by_settings(), **read_by_gunicorn()}.items():
        if isinstance(default, bool):
            assert written[name] == str(default).lower(), name
        elif isinstance(default, int | float | str) and name not in ("SECRET_KEY", "DATA_DIR", "MODELS_FILE"):
            assert written[name] == str(default), name


def test_the_defaults_of_containers_are_listed_too() -> None:
    written = examples()
    theirs = read_by_settings().keys() | read_by_models() | {"FORWARDED_ALLOW_IPS"}  # Wired otherwise in containers.
    for name, default in read_by_compose().items():
        if name not in theirs:
            assert written[name] == default, name


def test_every_variable_is_explained() -> None:
    """A comment stands above each, or above the group of lines that it begins."""
    explained = False
    for line in (ROOT / ".env.example").read_text().splitlines():
        if line.startswith("# "):
            explained = True
        elif not line:
            explained = False
        else:
            assert explained, line

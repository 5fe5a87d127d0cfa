"""The compose file, the Dockerfile and the environment file, as far as they can be judged without an engine.

`make compose-test` does the rest with one.
"""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # It has none.
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

ROOT = Path(__file__).resolve().parent.parent
SOURCE = (ROOT / "docker/docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(SOURCE)
SERVICES: dict[str, Any] = COMPOSE["services"]
ONCE = {"migrate", "minio-volume"}
OPTIONAL = {"clamav", "mail", "flower"}
PORTS = {"accounts": 8001, "agents": 8002, "documents": 8003, "billing": 8004}
SECRETS = (
    *("SECRET_KEY", "JWT_PRIVATE_KEY", "S3_ACCESS_KEY", "S3_SECRET_KEY"),
    *("POSTGRES_PASSWORD", "POSTGRES_APP_PASSWORD", "REDIS_PASSWORD"),
)


def values_of(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


# The compose file ----------------------------------------------------------------------------------------------------


def test_compose_1_29_accepts_the_file() -> None:
    """By the schema that docker-compose 1.29.2 came with (Apache 2.0); v2 reads all that 1.29 does."""
    schema = json.loads((ROOT / "tests/compose_spec_1.29.json").read_text())

    jsonschema.Draft7Validator(schema).validate(COMPOSE)

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate({**COMPOSE, "name": "orquestra"})  # As of v2.


def test_no_variable_is_nested() -> None:
    """Which 1.29 cannot read."""
    assert not re.search(r"\$\{[^}]*\$\{", SOURCE)


def test_all_services_are_defined() -> None:
    workers = {"agents-worker", "documents-worker", "default-worker", "beat"}
    assert SERVICES.keys() == {"gateway", *PORTS, *workers, "postgres", "redis", "minio"} | ONCE | OPTIONAL
    assert {name for name, each in SERVICES.items() if each.get("profiles")} == OPTIONAL
    for name in OPTIONAL:
        assert SERVICES[name]["profiles"] == [name]


def test_only_the_gateway_is_published_on_all_addresses() -> None:
    published = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each and "profiles" not in each}
    direct = {name: [f"127.0.0.1:${{{name.upper()}_PORT:-{port}}}:{port}"] for name, port in PORTS.items()}
    assert published == {"gateway": ["${GATEWAY_PORT:-8000}:8000"], **direct}
    for name in OPTIONAL:
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ())), name


def test_the_file_contains_no_secret() -> None:
    for name in SECRETS:
        assert f"${{{name}:?is missing; make env writes it}}" in SOURCE
    for service, each in SERVICES.items():
        for name, value in each.get("environment", {}).items():
            if value and re.search("PASSWORD|SECRET|_KEY|AUTH", name):
                assert re.fullmatch(r"\$\{[A-Z0-9_]+:[?-][^}]*\}", value), f"{service}: {name}"


def test_only_migrate_and_postgresql_get_the_password_of_the_databases_owner() -> None:
    """The file that all containers read has it, so it is emptied there."""
    for name, each in SERVICES.items():
        environment = each.get("environment", {})
        if name in ("migrate", "postgres"):
            continue
        assert "POSTGRES_PASSWORD" not in json.dumps([value for value in environment.values() if value]), name
        if "env_file" in each:
            assert environment["POSTGRES_PASSWORD"] == environment["MIGRATION_DATABASE_URL"] == "", name
            assert "${POSTGRES_APP_USER:-orquestra_app}:${POSTGRES_APP_PASSWORD:?" in environment["DATABASE_URL"], name
    migrate = SERVICES["migrate"]["environment"]
    assert "${POSTGRES_USER:-orquestra}:${POSTGRES_PASSWORD:?" in migrate["MIGRATION_DATABASE_URL"]
    assert "POSTGRES_APP_PASSWORD" in migrate["DATABASE_URL"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_limits_and_no_privileges(service: str) -> None:
    each = SERVICES[service]
    assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z0-9./-]+:[a-z0-9.-]+\}", each["image"])
    assert each["mem_limit"]
    assert each["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}
    assert "no-new-privileges:true" in each["security_opt"]
    if service != "clamav":  # Its image starts as root and writes where it likes.
        assert each["read_only"] is True
        assert each["cap_drop"] == ["ALL"]
    if service in ONCE:
        assert each["restart"] == "no"
    else:
        assert each["restart"] == "unless-stopped"
        assert each["healthcheck"]["test"]
        assert float(each["healthcheck"]["interval"].rstrip("s")) >= 3
    ours = each["image"].startswith("${ORQUESTRA_IMAGE")
    if service not in ("clamav", "minio-volume"):
        assert each.get("user", "image's own" if ours else "") not in ("", "root", "0", "0:0")


def test_every_container_waits_for_its_dependencies() -> None:
    healthy, done = {"condition": "service_healthy"}, {"condition": "service_completed_successfully"}
    ready = {"migrate": done, "postgres": healthy, "redis": healthy, "minio": healthy}
    for name in [*PORTS, "agents-worker", "documents-worker", "default-worker", "beat"]:
        assert SERVICES[name]["depends_on"] == ready, name
    assert SERVICES["gateway"]["depends_on"] == dict.fromkeys(PORTS, healthy)
    assert SERVICES["migrate"]["depends_on"] == dict.fromkeys(("postgres", "redis", "minio"), healthy)


def test_each_service_serves_itself_and_has_a_health_check() -> None:
    for name, port in PORTS.items():
        environment = SERVICES[name]["environment"]
        assert (environment["SERVICES"], environment["BIND"]) == (name, f"0.0.0.0:{port}")
        assert SERVICES[name]["healthcheck"]["test"][-1] == "web"
    for name in ("agents-worker", "documents-worker", "default-worker", "beat"):
        assert SERVICES[name]["environment"]["HEARTBEAT_FILE"] == "/tmp/heartbeat"
        assert SERVICES[name]["healthcheck"]["test"][-1] == ("beat" if name == "beat" else "worker")


def test_every_queue_has_its_worker(settings: Any) -> None:
    queues = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()} | {settings.CELERY_TASK_DEFAULT_QUEUE}
    commands = [str(SERVICES[name]["command"]) for name in SERVICES if name.endswith("-worker")]
    assert sorted(re.findall(r"--queues (\w+)", " ".join(commands))) == sorted(queues)


def test_every_variable_of_the_gateway_is_known_to_it() -> None:
    defaults = values_of(ROOT / "nginx/defaults.env")
    told = SERVICES["gateway"]["environment"]
    assert told.keys() <= defaults.keys()
    for name, value in told.items():
        if match := re.fullmatch(r"\$\{([A-Z_]+):-(.*)\}", value):
            assert (match[1], match[2]) == (name, defaults[name])


# The image -----------------------------------------------------------------------------------------------------------


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"

    good = subprocess.run([hadolint, ROOT / "docker/Dockerfile"], capture_output=True, text=True, check=False)
    bad = subprocess.run(
        [hadolint, "-"], input="FROM debian\nRUN cd /tmp\n", capture_output=True, text=True, check=False
    )

    assert (good.returncode, good.stdout) == (0, "")
    assert bad.returncode == 1


def test_the_dockerfile_has_no_syntax_line_and_an_unprivileged_user() -> None:
    lines = (ROOT / "docker/Dockerfile").read_text().splitlines()
    assert not [line for line in lines if re.match(r"#\s*syntax\s*=", line, re.IGNORECASE)]
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    last = [line for line in lines if line.startswith("CMD ")][-1]
    assert json.loads(last.removeprefix("CMD "))[0] == "gunicorn"  # No shell before it that keeps signals.


def test_only_listed_files_go_into_the_image() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {line for line in lines if line.startswith("!")} == {
        "!manage.py",
        "!models.toml",
        "!requirements.txt",
        "!backend",
    }


# The environment file ------------------------------------------------------------------------------------------------


def make_env(target: Path, **environment: str) -> str:
    command = [sys.executable, str(ROOT / "docker/make_env.py"), str(target)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("path", [os.environ["PATH"], "/nonexistent"])
def test_make_env_generates_every_secret_for_its_owner_alone(path: str, tmp_path: Path) -> None:
    """Also where there is no openssl."""
    make_env(tmp_path / "env", PATH=path)

    values = values_of(tmp_path / "env")
    for name in SECRETS:
        assert len(values[name]) >= 16, name
    assert len(values["SECRET_KEY"]) >= 50
    assert len({values[name] for name in SECRETS}) == len(SECRETS)
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600
    pem = values["JWT_PRIVATE_KEY"].strip("'").replace("\\n", "\n")
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    assert key.key_size == 2048
    named = set(re.findall(r"^#?([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert values.keys() <= named


def test_make_env_does_not_change_an_existing_file(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("SECRET_KEY=mine\n")

    said = make_env(tmp_path / "env")

    assert "stays as it is" in said
    assert (tmp_path / "env").read_text() == "SECRET_KEY=mine\n"


def test_make_env_adds_variables_that_are_new(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("SECRET_KEY=mine\nPOSTGRES_PASSWORD=mine too")

    first, second = make_env(tmp_path / "env"), make_env(tmp_path / "env")

    assert "needs POSTGRES_APP_PASSWORD too" in first
    assert "stays as it is" in second
    values = values_of(tmp_path / "env")
    assert values == {"SECRET_KEY": "mine", "POSTGRES_PASSWORD": "mine too"} | {
        "POSTGRES_APP_PASSWORD": values["POSTGRES_APP_PASSWORD"]
    }
    assert len(values["POSTGRES_APP_PASSWORD"]) >= 16


def test_two_files_have_no_secret_in_common(tmp_path: Path) -> None:
    make_env(tmp_path / "one")
    make_env(tmp_path / "two")

    one, two = values_of(tmp_path / "one"), values_of(tmp_path / "two")
    assert not [name for name in SECRETS if one[name] == two[name]]


def test_production_settings_exist() -> None:
    named = set(re.findall(r"^#?([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    changed = re.findall(r"^#?([A-Z0-9_]+)=", (ROOT / "docs/production.env").read_text(), re.MULTILINE)
    assert set(changed) <= named
    assert len(changed) == len(set(changed))

"""The launcher, started for real: as an ordinary user, in a folder whose name has spaces; as root too where we are."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest

from backend.embedded import folders, identity
from backend.embedded.commands import Commands
from backend.embedded.options import LauncherError, from_environment
from tests.launched import CHILDREN, ORDINARY, Launcher, as_ordinary_user, copy_of_the_project

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(autouse=True)
def clean_redis() -> None:
    """These tests use none of the servers of the other ones."""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that the ordinary user owns, with spaces in its name."""
    with tempfile.TemporaryDirectory(prefix="orquestra launcher ", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        if ORDINARY:
            os.chown(folder, ORDINARY.uid, ORDINARY.gid)
        (folder / "the project").mkdir()
        copy_of_the_project(folder / "the project")
        yield folder


@pytest.fixture(scope="module")
def running(place: Path) -> Iterator[Launcher]:
    """A launcher that is ready. Tests may kill what they like, as long as they leave it ready."""
    launcher = Launcher(place / "the project", place / "the data", place / "said.txt")
    launcher.start()
    try:
        launcher.wait_until_ready()
        yield launcher
    finally:
        launcher.clean_up()


def another(place: Path, name: str, **options: object) -> Launcher:
    return Launcher(place / "the project", place / f"{name} data", place / f"{name}.txt", **options)  # type: ignore[arg-type]  # As given.


def test_the_launcher_becomes_ready_and_prints_the_operators_password_once(running: Launcher) -> None:
    lines = running.output.splitlines()
    ready = lines.index(f"Orquestra is ready at http://localhost:{running.port}")
    password = (running.data / "secrets" / "operator-password").read_text()

    assert running.status() == 200
    assert lines[ready + 1] == f"Operator: operator@orquestra.local   password: {password}"
    assert len(password) == 16


def test_each_queue_has_a_worker_of_its_own(running: Launcher) -> None:
    """The sweeps that free what hangs wait behind no answer and no document."""
    pids = running.pids()
    queues = {}
    for name in ("agents", "documents", "default"):
        arguments = Path(f"/proc/{pids[name]}/cmdline").read_bytes().split(b"\0")
        queues[name] = arguments[arguments.index(b"-Q") + 1].decode()
    assert queues == {"agents": "agents", "documents": "documents", "default": "default"}


def test_secrets_and_sockets_are_for_their_owner_alone(running: Launcher) -> None:
    secrets = list((running.data / "secrets").iterdir())

    assert {path.name for path in secrets} == {
        "database-password",
        "instance",
        "jwt-private-key.pem",
        "operator-password",
        "secret-key",
    }
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    assert (running.data / "sockets").stat().st_mode & 0o777 == 0o700


def connect(launcher: Launcher, role: str, password: str = "") -> psycopg.Connection:
    place = launcher.data / "sockets"
    return psycopg.connect(host=str(place), user=role, password=password, dbname="orquestra", connect_timeout=10)


def assert_roles_are_apart(launcher: Launcher) -> None:
    for role in ("orquestra", "orquestra_app", "postgres"):
        for password in ("", "orquestra", (launcher.data / "secrets" / "secret-key").read_text()):
            with pytest.raises(psycopg.OperationalError, match=r"no password supplied|password authentication failed"):
                connect(launcher, role, password)
    password = (launcher.data / "secrets" / "database-password").read_text()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(launcher, "orquestra", password)
    with connect(launcher, "orquestra_app", password) as connection:
        for statement in (b"UPDATE billing_wallet SET held = 0", b"SET session_replication_role = replica"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(statement)


def test_connections_to_the_socket_of_postgresql_need_a_password_and_the_products_role_is_no_superuser(
    running: Launcher,
) -> None:
    assert_roles_are_apart(running)


def test_the_product_has_no_password_of_the_superuser(tmp_path: Path) -> None:
    data = tmp_path / "data"
    folders.open_data(data)
    laid_out = folders.lay_out(data)
    programs = Commands(from_environment({"DATA_DIR": str(data)}), laid_out, descriptors={"web": []})
    try:
        preparation, product = programs.preparation(), programs.product()
    finally:
        shutil.rmtree(laid_out.place if laid_out.place != data else laid_out.sockets)

    assert programs.superuser_password in preparation.environment["MIGRATION_DATABASE_URL"]
    assert len(product) == 4
    for child in (*product, programs.postgres(), programs.redis()):
        assert programs.superuser_password not in json.dumps([child.environment, list(child.command)]), child.name
    kept = [path.read_text() for path in (data / "secrets").iterdir()]
    assert programs.superuser_password not in kept


def below(pid: int) -> list[int]:
    """The children of a process."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(each) for file in found for each in file.read_text().split()]


LOOK = """
import json, sys
from backend.embedded import identity
instance, *pids = sys.argv[1:]
read = []
for pid in pids:
    for name in ("environ", "mem"):
        try:
            open(f"/proc/{pid}/{name}", "rb").close()
            read.append(f"{pid} {name}")
        except OSError:
            pass
print(json.dumps([read, identity.marked(instance)]))
"""


@pytest.mark.skipif(not identity.LINUX, reason="Other systems have no /proc.")
def test_processes_with_secrets_hide_them_from_their_own_user_and_are_found_all_the_same(running: Launcher) -> None:
    def look() -> tuple[list[str], set[int]]:
        """What their own user can read of them, and which are known by their mark."""
        command = as_ordinary_user([sys.executable, "-c", LOOK, instance, *map(str, (launcher, *ours()))])
        done = subprocess.run(command, cwd=running.project, capture_output=True, check=True)
        read, marked = json.loads(done.stdout)
        return read, set(marked)

    def ours() -> set[int]:
        python = ("web", "agents", "documents", "default")
        forks = [each for name in ("web", "documents") for each in below(running.pid(name))]
        return {*map(running.pid, python), *forks}

    assert running.process is not None
    launcher, instance = running.process.pid, (running.data / "secrets" / "instance").read_text()
    running.wait_for(lambda: all(running.pids().values()) and below(running.pid("documents")) != [])
    running.wait_for(lambda: look()[0] == [])  # Each from when it has read its settings.
    running.wait_for(lambda: ours() <= look()[1])


def test_every_process_logs_json_lines(running: Launcher) -> None:
    for name in (*CHILDREN, "launcher"):
        running.wait_for((running.data / "log" / f"{name}.log").exists)
        lines = (running.data / "log" / f"{name}.log").read_text().splitlines()
        assert lines
        assert all({"timestamp", "level", "event"} <= json.loads(line).keys() for line in lines), name


@pytest.mark.parametrize("child", CHILDREN)
def test_a_child_that_dies_is_named_and_restarted(running: Launcher, child: str) -> None:
    said = len(running.output)

    before = running.send(child, signal.SIGKILL)
    running.wait_for(lambda: f"{child} is started again (process {running.pid(child)})" in running.output[said:])
    running.wait_for(lambda: running.status() == 200)

    assert f"{child} (process {before}) was killed by SIGKILL" in running.output[said:]
    assert running.pid(child) != before


def test_requests_wait_while_the_web_process_restarts(running: Launcher) -> None:
    before = running.send("web", signal.SIGKILL)
    running.wait_for(lambda: f"web (process {before}) was killed" in running.output)

    assert running.status("/healthz") == 200
    running.wait_for(lambda: running.pid("web") not in (0, before))


def test_a_port_that_is_taken_is_named(running: Launcher, place: Path) -> None:
    second = another(place, "second", port=running.port)
    second.start()
    second.wait_for(lambda: second.ended)

    assert second.process is not None
    assert second.process.returncode == 1
    assert f"PORT {running.port} is taken by another program" in second.output
    assert second.everything_of_it() == []


def test_a_data_folder_in_use_is_named(running: Launcher, place: Path) -> None:
    second = Launcher(running.project, running.data, place / "in use.txt")
    before = running.pids()
    second.start()
    second.wait_for(lambda: second.ended)

    assert second.process is not None
    assert running.process is not None
    assert second.process.returncode == 1
    assert f"DATA_DIR {running.data} is in use by another Orquestra (process {running.process.pid})" in second.output
    assert running.pids() == before


def test_two_copies_run_side_by_side_and_ctrl_c_ends_one_of_them_completely(running: Launcher, place: Path) -> None:
    second = another(place, "side")
    second.start(OPERATOR_EMAIL="somebody@example.org", OPERATOR_PASSWORD="a password of one's own")
    try:
        second.wait_until_ready()
        assert (second.status(), running.status()) == (200, 200)
        assert "Operator: somebody@example.org   password: as set by OPERATOR_PASSWORD" in second.output
        pids = second.pids()
        assert len(set(second.everything_of_it())) > len(CHILDREN)  # It does see them.

        code = second.stop(signal.SIGINT)

        assert code == 0
        assert [name for name, pid in pids.items() if identity.started(pid)] == []
        assert second.everything_of_it() == []
        assert second.output.splitlines()[-1].endswith("| Everything is stopped")
        assert running.status() == 200
    finally:
        second.clean_up()


def test_after_kill_9_the_next_start_ends_the_left_over_children_and_no_other_process(running: Launcher) -> None:
    bystander = subprocess.Popen(["sleep", "300"])
    before = running.pids()
    try:
        for name in ("agents", "redis"):
            running.send(name, signal.SIGSTOP)  # So that it cannot end by itself.
        running.kill()
        record = {"pid": bystander.pid, "started": "long ago", "stop": int(signal.SIGTERM)}
        (running.data / "run" / "default.json").write_text(json.dumps(record))
        running.start()
        running.wait_until_ready()

        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    assert f"agents ({before['agents']})" in running.output
    assert f"redis ({before['redis']})" in running.output
    assert [name for name, pid in before.items() if identity.started(pid)] == []
    assert "The database is up to date" in running.output
    assert "password: as set before" in running.output
    assert running.status() == 200


def test_the_data_of_a_version_that_trusted_every_connection_is_kept_and_closed(running: Launcher) -> None:
    running.stop()
    (running.data / "postgres" / "pg_hba.conf").write_text("local all all trust\n")
    (running.data / "secrets" / "database-password").unlink()
    operator = {"email": "operator@orquestra.local"}
    operator["password"] = (running.data / "secrets" / "operator-password").read_text()

    running.start()
    running.wait_until_ready()

    assert "The database is migrated" in running.output
    assert_roles_are_apart(running)
    login = httpx2.post(f"http://127.0.0.1:{running.port}/api/v1/auth/login", json=operator, timeout=30)
    assert login.status_code == 200


def test_another_operator_password_ends_the_operators_log_ins(place: Path) -> None:
    launcher = another(place, "operator")

    def post(path: str, **body: str) -> httpx2.Response:
        return httpx2.post(f"http://127.0.0.1:{launcher.port}/api/v1/{path}", json=body, timeout=30)

    def start(password: str) -> None:
        launcher.start(OPERATOR_PASSWORD=password)
        launcher.wait_until_ready()

    email = "operator@orquestra.local"
    try:
        start("the first password")
        kept = post("auth/login", email=email, password="the first password").json()["meta"]["refresh_token"]
        launcher.stop()
        start("the second password")
        refused = post("tokens/refresh", refresh_token=kept)

        assert (refused.status_code, refused.json()["code"]) == (401, "session_revoked")
        assert post("auth/login", email=email, password="the first password").status_code == 422
        assert post("auth/login", email=email, password="the second password").status_code == 200
    finally:
        launcher.clean_up()


def test_the_launcher_ends_when_its_make_is_killed(place: Path) -> None:
    launcher = another(place, "made")
    launcher.start(above=["sh", "-c", '"$0" "$@"; exit'], MAKELEVEL="1")
    try:
        launcher.wait_for(lambda: bool(launcher.pid("redis")))
        below = launcher.everything_of_it()
        launcher.kill()

        launcher.wait_for(lambda: launcher.everything_of_it() == [], 15)
        assert below
        launcher.wait_for(lambda: launcher.output.rstrip().endswith("| Everything is stopped"), 5)
    finally:
        launcher.clean_up()


def test_the_launcher_ends_when_its_terminal_is_closed(place: Path) -> None:
    launcher = another(place, "terminal")
    ours, theirs = os.openpty()
    launcher.start(screen=theirs)
    os.close(theirs)
    try:
        launcher.wait_for(lambda: bool(launcher.pid("redis")))
        os.close(ours)

        launcher.wait_for(lambda: launcher.ended, 15)
        assert launcher.process is not None
        assert launcher.process.returncode == 0
        assert launcher.everything_of_it() == []
    finally:
        launcher.clean_up()


def test_a_folder_that_cannot_be_written_is_named(place: Path) -> None:
    (place / "closed").mkdir(mode=0o555, exist_ok=True)
    launcher = Launcher(place / "the project", place / "closed" / "data", place / "closed.txt")
    launcher.start()
    launcher.wait_for(lambda: launcher.ended)

    assert launcher.process is not None
    assert launcher.process.returncode == 1
    assert f"DATA_DIR {launcher.data} cannot be written: Permission denied" in launcher.output


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 5 * 2**20))

    with pytest.raises(LauncherError, match=r"is full: 5 MB free, 300 MB needed"):
        folders.open_data(tmp_path / "data")


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "80 80", "８０００"])
def test_an_invalid_port_is_refused(port: str) -> None:
    with pytest.raises(LauncherError, match="a number from 1 to 65535"):
        from_environment({"PORT": port})


def test_children_get_only_the_variables_that_they_need(tmp_path: Path) -> None:
    models = tmp_path / "models.toml"
    models.write_text('[[provider]]\nname = "mine"\napi_key_env = "MY_KEY"\n')
    needed = {
        "PATH": "/bin",
        "SIGNUP_CREDIT": "7",
        "S3_SECRET_KEY_FILE": "/s",
        "MODELS_FILE": str(models),
        "MY_KEY": "k",
        "EMAIL_URL": "smtp://localhost",
    }
    foreign = {"AWS_SECRET_ACCESS_KEY": "s", "PYTHONPATH": "/x", "OTHER_KEY": "o"}
    ours = {"DATABASE_URL": "postgres://elsewhere/", "SECRET_KEY_FILE": "/s", "DEBUG": "true"}

    assert from_environment({**needed, **foreign, **ours}).passed_on == needed


if os.geteuid() == 0:

    def test_as_root_the_cluster_goes_where_its_account_reaches_it(place: Path) -> None:
        hidden = place / "hidden"
        hidden.mkdir(mode=0o700)
        launcher = Launcher(place / "the project", hidden / "data", place / "root.txt", ordinary=False)
        launcher.start()
        outside = None
        try:
            launcher.wait_until_ready()
            outside = Path("/var/lib/orquestra") / (launcher.data / "secrets" / "instance").read_text()
            assert f"its data in {outside}" in launcher.output
            assert (outside / "postgres" / "PG_VERSION").exists()
            assert not (launcher.data / "postgres").exists()
            assert hidden.stat().st_mode & 0o777 == 0o700
            assert launcher.stop(signal.SIGTERM) == 0
        finally:
            launcher.clean_up()
            if outside:
                shutil.rmtree(outside)

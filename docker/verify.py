"""Starts the whole stack, does the main job, breaks each part, stops it, and checks that the data is still there.

    docker/verify.sh            everything, under a Compose project of its own with secrets of its own; 0 if all is well

Set by variables: GATEWAY_PORT, ACCOUNTS_PORT … and the images, as in `.env.example`; COMPOSE, such as "docker-compose";
UP_OPTIONS of `up`, such as "--pull never"; KEEP=1 leaves the stack as it is in the end.
Needs Docker with Compose v2 or v1.29, and Python's library.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import make_env
from verify_client import Person, main_job, opens_admin, request
from verify_engine import Failed, Stack, run, until

PORTS = {"accounts": 8001, "agents": 8002, "documents": 8003, "billing": 8004}
ONE_ROUTE_OF = {
    "accounts": "/api/v1/users/me",
    "agents": "/api/v1/agents",
    "documents": "/api/v1/documents",
    "billing": "/api/v1/billing/balance",
}
OURS = [*PORTS, "agents-worker", "documents-worker", "default-worker", "beat"]
DEPENDENCIES = {"postgres": "database", "redis": "redis", "minio": "storage"}
MAX_IMAGE_BYTES = 400_000_000  # Bytes of the image.
OPERATOR = ("operator@example.com", "an operator's long pass phrase")


class Verification:
    """:ivar failures: the steps that failed."""

    def __init__(self, folder: Path) -> None:
        self.began = time.monotonic()
        self.failures: list[str] = []
        self.steps = 0
        self.environment = folder / "environment"
        make_env.write(self.environment)
        self.settings = _settings()
        with self.environment.open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in self.settings.items())
        self.stack = Stack(f"orquestra-verify-{os.getpid()}", self.environment)
        gateway = f"http://localhost:{self.settings['GATEWAY_PORT']}"
        self.gateway = dict.fromkeys(PORTS, gateway)
        self.services = {name: f"http://127.0.0.1:{self.settings[f'{name.upper()}_PORT']}" for name in PORTS}
        self.person = Person(self.gateway)
        self.kept: dict[str, Any] = {}
        self.storage_forgets = False

    def step(self, name: str, do: Callable[[], object]) -> bool:
        """Run a step and print one line about it."""
        self.steps += 1
        began = time.monotonic()
        try:
            said = do()
        except (Failed, OSError, KeyError, ValueError, IndexError) as error:
            self.failures.append(name)
            print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)
            return False
        print(f"ok      {name}{f': {said}' if said else ''} ({time.monotonic() - began:.1f} s)", flush=True)
        return True

    def all(self) -> None:
        stack, person = self.stack, self.person
        if not self.step("the image builds", lambda: stack.compose("build", seconds=1800) and None):
            return
        if not self.step("everything comes up and is healthy", lambda: f"{stack.up():.0f} s"):
            return
        self.step("the image is small", self.image_is_small)
        self.step("only the gateway and, to this machine alone, the services are published", self.ports)
        self.step("no container is root, writes to its image or keeps a capability", self.sealed)
        self.step("no service can alter the ledger or knows the database's owner", self.roles)
        self.step("the operator opens the admin", self.operator)
        self.step("a person signs up through the gateway", lambda: person.enter("signup"))
        self.step("the main job through the gateway", self.job)
        for service in PORTS:
            self.step(f"{service} answers for its own routes alone", partial(self.own_routes, service))
        self.step("the main job through each service directly", self.job_directly)
        for service in [*OURS, "redis", "postgres", "minio", "gateway"]:
            self.step(f"{service} is killed and comes back", partial(stack.crash, service))
            if service == "minio":
                self.step("its bucket is there", self.bucket)
            self.step("   and the job works", self.job_after_crash)
        for container, name in DEPENDENCIES.items():
            self.step(f"without {container} /readyz names it, and recovers", partial(self.outage, container, name))
        self.step("without billing the others go on", self.service_down)
        self.step("the main job after all that", self.job)
        self.step("what our containers log is JSON", self.logs)
        self.step("everything ends when asked to", self.ends)
        self.step("down", lambda: stack.down(with_data=False))
        self.step("up again", lambda: f"{stack.up():.0f} s")
        self.step("the data is there", self.data)
        self.step("the main job after down and up", self.job)

    # Steps ----------------------------------------------------------------------------------------------------------

    def image_is_small(self) -> str:
        size = int(run("docker", "image", "inspect", "--format", "{{.Size}}", self.stack.image()))
        if size >= MAX_IMAGE_BYTES:
            raise Failed(f"{size / 1e6:.0f} MB")
        return f"{size / 1e6:.0f} MB"

    def ports(self) -> str:
        found = set()
        for name, each in self.stack.containers().items():
            for bindings in (each["NetworkSettings"]["Ports"] or {}).values():
                found |= {(name, binding["HostIp"], int(binding["HostPort"])) for binding in bindings or []}
        local = {(name, "127.0.0.1", int(self.settings[f"{name.upper()}_PORT"])) for name in PORTS}
        public = {(name, port) for name, _address, port in found - local}
        if not local <= found or public != {("gateway", int(self.settings["GATEWAY_PORT"]))}:
            raise Failed(str(sorted(found)))
        return ", ".join(f"{address or '*'}:{port}" for _name, address, port in sorted(found))

    def sealed(self) -> str:
        running = self.stack.running()
        for name, each in running.items():
            host = each["HostConfig"]
            if not host["ReadonlyRootfs"] or not host["Memory"] or "ALL" not in (host["CapDrop"] or []):
                raise Failed(f"{name}: {host['ReadonlyRootfs']}, {host['Memory']}, {host['CapDrop']}")
            users = {line.split()[0] for line in run("docker", "top", each["Id"], "-eo", "uid,pid").splitlines()[1:]}
            if "0" in users:
                raise Failed(f"{name} runs as root")
        for name in OURS:
            if _exec_status(running[name]["Id"], "touch /app/x") == 0:
                raise Failed(f"{name} can write to its image")
        return f"{len(running)} containers"

    def roles(self) -> None:
        lines = [line.partition("=") for line in self.environment.read_text().splitlines()]
        [password] = [value for name, _, value in lines if name == "POSTGRES_PASSWORD"]
        running = self.stack.running()
        for name in OURS:
            if password in json.dumps(running[name]["Config"]):
                raise Failed(f"{name} knows the owner's password")
        asked = (
            "from backend.billing import checks as c; print(c.the_products_role_cannot_alter_the_ledger(['default']))"
        )
        said = run(
            "docker", "exec", running["billing"]["Id"], "python", "manage.py", "shell", "-v0", "-c", asked
        ).strip()
        if said != "[]":
            raise Failed(said)

    def operator(self) -> None:
        if not opens_admin(self.gateway["accounts"], *OPERATOR):
            raise Failed("it does not open")

    def job(self) -> str:
        self.person.enter("login")
        self.kept = main_job(self.person)
        return f"balance {self.kept['balance']['available']} {self.kept['balance']['currency']}"

    def job_directly(self) -> str:
        person = Person(self.services)
        person.enter("signup")
        return f"balance {main_job(person)['balance']['available']}"

    def job_after_crash(self) -> str:
        """Try at once, and a few more times, as a person would."""
        took = until("the job works", lambda: self.job() or True, seconds=90)
        return f"after {took:.1f} s"

    def own_routes(self, service: str) -> str:
        base, token = self.services[service], self.person.token
        seen = {name: request("GET", base + path, token=token)[0] for name, path in ONE_ROUTE_OF.items()}
        if seen != {name: 200 if name == service else 404 for name in PORTS}:
            raise Failed(str(seen))
        return str(seen)

    def bucket(self) -> str:
        """MinIO without its disk has no bucket: `migrate` creates it."""
        said = self.stack.compose("run", "--rm", "migrate", "python", "manage.py", "make_bucket").strip()
        self.storage_forgets = "is made" in said
        return "this storage keeps nothing, so it was made again" if self.storage_forgets else ""

    def outage(self, container: str, name: str) -> str:
        ready = f"{self.services['documents']}/readyz"

        def named() -> bool:
            status, body = request("GET", ready)
            return status == 503 and json.loads(body)["checks"][name] == "error"

        self.stack.compose("stop", container)
        try:
            until(f"/readyz names {name}", named, seconds=40)
        finally:
            self.stack.compose("start", container)
        took = until("/readyz is 200", lambda: request("GET", ready)[0] == 200, seconds=90)
        if container == "minio":
            self.bucket()
        until("everything is healthy", lambda: not self.stack.unwell(), seconds=180)
        return f"ready again after {took:.1f} s, the job works {self.job_after_crash()}"

    def service_down(self) -> None:
        url = f"{self.gateway['billing']}/api/v1/billing/balance"

        def refused() -> bool:
            status, body = request("GET", url, token=self.person.token)
            return status == 503 and json.loads(body)["code"] == "service_unavailable"

        self.stack.compose("stop", "billing")
        try:
            until("the gateway answers 503 in its place", refused, seconds=15)
            for service in ("accounts", "agents", "documents"):
                status, _ = request("GET", self.gateway[service] + ONE_ROUTE_OF[service], token=self.person.token)
                if status != 200:
                    raise Failed(f"{service} answers {status}")
        finally:
            self.stack.compose("start", "billing")
        until("billing is back", self.person.balance, seconds=60)

    def logs(self) -> str:
        lines = {name: self.stack.log(name) for name in [*OURS, "gateway"]}
        odd = [f"{name}: {line}" for name, found in lines.items() for line in found if not line.startswith("{")]
        gateway = [line for line in odd if line.startswith("gateway: ")]  # nginx's own error log has no JSON.
        if len(odd) > len(gateway):
            raise Failed("\n".join(line for line in odd if line not in gateway)[:1500])
        return f"{sum(map(len, lines.values()))} lines"

    def ends(self) -> str:
        codes = self.stack.stop_all()
        killed = [name for name, code in codes.items() if code == 137 and name != "minio"]
        if killed:
            raise Failed(f"had to be killed: {', '.join(killed)}")
        return ", ".join(f"{name} {code}" for name, code in sorted(codes.items()) if code) or "every exit code is 0"

    def data(self) -> str:
        kept, person = self.kept, self.person
        person.enter("login")
        if person.balance() != kept["balance"]:
            raise Failed(f"the balance was {kept['balance']} and is {person.balance()}")
        if person.messages(kept["conversation"]) != kept["messages"]:
            raise Failed("the conversation is another")
        text = person.call("documents", "GET", f"/api/v1/documents/{kept['document']}/text")["text"]
        if text.strip().encode() != kept["text"]:
            raise Failed(f"the document's text is {text!r}")
        if self.storage_forgets:
            return "log-in, balance, conversation and text; files cannot be, for this storage keeps nothing"
        if person.content(kept["document"]) != kept["text"]:
            raise Failed("the file is another")
        return "log-in, balance, conversation, text and file"


def _settings() -> dict[str, str]:
    """Variables in addition to those of `make env`: from this shell, or the defaults of this test."""
    example = (make_env.ROOT / ".env.example").read_text()
    names = {line.lstrip("#").partition("=")[0] for line in example.splitlines() if "=" in line}
    passed = {name: os.environ[name] for name in names if name.endswith(("_PORT", "_IMAGE")) and name in os.environ}
    ports = {f"{name.upper()}_PORT": str(port) for name, port in PORTS.items()}
    settings = {"GATEWAY_PORT": "8000", **ports, **passed}
    settings["PUBLIC_URL"] = f"http://localhost:{settings['GATEWAY_PORT']}"
    settings["OPERATOR_EMAIL"], settings["OPERATOR_PASSWORD"] = OPERATOR[0], f'"{OPERATOR[1]}"'
    return settings


def _exec_status(container: str, command: str) -> int:
    return subprocess.run(
        ["docker", "exec", container, "sh", "-c", command], capture_output=True, check=False
    ).returncode


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="orquestra-verify-") as folder:
        verification = Verification(Path(folder))
        try:
            verification.all()
        finally:
            if os.environ.get("KEEP"):
                kept = Path(tempfile.gettempdir()) / f"{verification.stack.project}.env"
                kept.write_text(verification.environment.read_text())
                print(f"kept    project {verification.stack.project}, variables in {kept}")
            else:
                verification.step("cleaned up", lambda: verification.stack.down(with_data=True))
    took = time.monotonic() - verification.began
    done = f"{verification.steps - len(verification.failures)} of {verification.steps} steps went well in {took:.0f} s"
    print(f"{done}; FAILED: {'; '.join(verification.failures)}" if verification.failures else f"{done}. Verified.")
    return 1 if verification.failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""Starts Orquestra on one machine from an empty or existing data folder, and stops it."""

import http.client
import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from backend.embedded import commands, folders, gateway, identity, ports, postgres, redis
from backend.embedded.children import Child, left_over
from backend.embedded.folders import Folders
from backend.embedded.options import LauncherError, Options, surroundings
from backend.embedded.output import Output
from backend.embedded.supervisor import StopRequested, Supervisor
from backend.process import hide_from_other_processes

STOP_ORDER = (("agents", "documents", "default"), ("redis", "postgres"))  # The web process stops before all of them.


def main() -> int:
    """Run until asked to stop.

    :return: the exit code: 0 when stopped on request, 1 when it could not start.
    """
    hide_from_other_processes()  # The environment contains the operator's password.
    output = Output()
    supervisor = Supervisor(output, end_with_parent="MAKELEVEL" in os.environ)
    try:
        with ExitStack() as held:
            _start(surroundings(), output, supervisor, held)
            supervisor.run()
    except StopRequested:
        output.say("Everything is stopped")
        return 0
    except (LauncherError, OSError, RuntimeError) as error:
        output.say(str(error), level="error")
        return 1
    finally:
        output.close()
    return 0


def _start(options: Options, output: Output, supervisor: Supervisor, held: ExitStack) -> None:
    """
    :param held: gets the callbacks for the end, after all children have stopped.
    :raises LauncherError: it cannot be started; the message says why.
    """
    began = time.monotonic()
    folders.open_data(options.data_dir)
    claim = held.enter_context(folders.lock(options.data_dir / "run", options.data_dir, wait=supervisor.pause))
    output.keep_in(options.data_dir / "log")
    laid_out = folders.lay_out(options.data_dir)
    output.say(f"Starting with the data in {options.data_dir}")
    if laid_out.place != options.data_dir:
        output.say(f"PostgreSQL does not run as root; it runs as another account, its data in {laid_out.place}")
        held.enter_context(folders.lock(laid_out.place, options.data_dir, wait=supervisor.pause))
    _end_left_over(laid_out, output, supervisor)
    if options.gateway:
        gateway.find()
        ports.free(options.host, options.port)
        wanted = {f"{service}{gateway.SUFFIX}": port for service, port in gateway.services(options).items()}
    else:
        wanted = {"web": options.port}
    sockets = {name: ports.listen("" if options.gateway else options.host, port) for name, port in wanted.items()}
    for each in (one for some in sockets.values() for one in some):
        held.enter_context(each)
    held.callback(shutil.rmtree, laid_out.sockets, ignore_errors=True)
    held.callback(supervisor.stop, STOP_ORDER)
    held.callback(folders.mark, claim, "stopping")
    held.callback(output.say, "Stopping")  # Executed in reverse: print it, stop all, free the port, then the folder.
    descriptors = {name: [each.fileno() for each in some] for name, some in sockets.items()}
    programs = commands.Commands(options, laid_out, descriptors=descriptors)
    preparation = _begin_preparation(programs, laid_out, output, supervisor)
    _start_servers(programs, laid_out, output, supervisor, prepared=preparation is None)
    if preparation is not None:
        supervisor.finish(preparation, seconds=600)
        _preparation_stamp(laid_out).write_text(programs.fingerprint)
        output.say(f"The database is migrated, the operator is there ({time.monotonic() - began:.1f} s)")
    for child in programs.product():
        supervisor.start(child)
    front = "the gateway, four services" if options.gateway else "web"
    output.say(f"Starting {front}, agents worker, documents worker, default worker with beat")
    asked = {*wanted.values(), options.port}
    ready = "The web process did not say that it is ready"
    supervisor.wait_for(ready, lambda: all(_ready(options, port) for port in asked), seconds=120)
    output.announce(f"Orquestra is ready at {options.url}")
    output.announce(f"Operator: {options.operator_email}   password: {programs.operator_password_hint}")
    output.say(
        f"Ready after {time.monotonic() - began:.1f} s. The page: {options.url}/   The admin: {options.url}/admin/"
    )
    output.say("Ctrl-C stops everything")


def _end_left_over(laid_out: Folders, output: Output, supervisor: Supervisor) -> None:
    """End the children of a killed launcher, found by its pid files, by their mark and by PostgreSQL's pid file."""
    found = left_over(laid_out.root / "run")
    if found:
        names = ", ".join(f"{child.name} ({child.pid})" for child in found)
        output.say(f"An earlier launcher was killed; ending what it left running: {names}", level="warning")
        supervisor.end(found)
    identity.kill(identity.marked(laid_out.instance))
    if pid := postgres.left_over(laid_out.cluster):
        output.say(f"Ending a PostgreSQL that was left running ({pid})", level="warning")
        os.kill(pid, postgres.STOP)
        supervisor.wait_for(
            "The old PostgreSQL did not stop", lambda: postgres.left_over(laid_out.cluster) is None, seconds=10
        )


def _start_servers(
    programs: "commands.Commands", laid_out: Folders, output: Output, supervisor: Supervisor, *, prepared: bool
) -> None:
    began = time.monotonic()
    cache = programs.redis()
    supervisor.start(cache)
    first = not (laid_out.cluster / "orquestra-initialized").exists()
    if first:
        output.say("Making the PostgreSQL cluster")
    cluster = (laid_out.cluster, laid_out.account, programs.binaries)
    postgres.initialize(*cluster)
    if not prepared:
        postgres.require_passwords(*cluster, superuser=programs.superuser_password)
    database = programs.postgres()
    supervisor.start(database)
    supervisor.wait_for(
        "PostgreSQL was not ready", lambda: postgres.is_ready(laid_out.cluster, database.pid), seconds=60
    )
    supervisor.wait_for("Redis was not ready", lambda: redis.is_ready(programs.redis_socket), seconds=60)
    output.say(f"PostgreSQL and Redis are up ({time.monotonic() - began:.1f} s)")


def _begin_preparation(
    programs: "commands.Commands", laid_out: Folders, output: Output, supervisor: Supervisor
) -> Child | None:
    """Migrate and create the operator, if any input has changed. It imports while the servers start."""
    stamp = _preparation_stamp(laid_out)
    if stamp.exists() and stamp.read_text() == programs.fingerprint:
        output.say("The database is up to date")
        return None
    stamp.unlink(missing_ok=True)
    preparation = programs.preparation()
    supervisor.start(preparation)
    return preparation


def _preparation_stamp(laid_out: Folders) -> Path:
    """In the cluster's folder, so that a new cluster has none."""
    return laid_out.cluster / "orquestra-prepared"


def _ready(options: Options, port: int) -> bool:
    address = ports.own_address(options.host) if port == options.port else ports.own_address("")
    connection = http.client.HTTPConnection(address, port, timeout=1)
    try:
        connection.request("GET", "/readyz", headers={"Host": f"localhost:{options.port}"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

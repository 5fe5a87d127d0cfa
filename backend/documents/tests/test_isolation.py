"""What a parser cannot do even if a malicious document controls it, as root and as an ordinary user."""

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import ERROR

from backend.documents import checks
from backend.documents.ingestion import pool, process
from backend.documents.tests.cast import make_document, read, upload
from backend.documents.tests.test_formats import zipped
from tests.actors import Person
from tests.launched import ORDINARY, ROOT, as_ordinary_user

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Other systems have none of this.")

# Calls that a parser has no use for: number on x86_64, on aarch64. They are tried with arguments that do nothing.
SYSCALLS = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "execve": (59, 221),
    "execveat": (322, 281),
    "clone3": (435, 435),
    "socket": (41, 198),
    "recvmsg": (47, 212),
    "connect": (42, 203),
    "openat": (257, 56),
    "openat2": (437, 437),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "open_tree": (428, 428),
    "chroot": (161, 51),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "memfd_create": (319, 279),
    "pidfd_open": (434, 434),
    "setpgid": (109, 154),
    "setsid": (112, 157),
    "setuid": (105, 146),
    "inotify_init1": (294, 26),
    "personality": (135, 92),
    "shmget": (29, 194),
    "prctl": (157, 167),
    "kill": (62, 129),
    "pkey_mprotect": (329, 288),
    "ioctl": (16, 29),
}
CALL = "libc.syscall({number}, -1, 0, 0, 0, 0, 0); print(errno.errorcode.get(ctypes.get_errno(), 'done'))"
PROGRAMS = {
    "tcp": "socket.create_connection(('127.0.0.1', TCP), 2); print('done')",
    "unix": "socket.socket(socket.AF_UNIX).connect('FOLDER/socket'); print('done')",
    "abstract": "socket.socket(socket.AF_UNIX).connect('\\0FOLDER'); print('done')",
    "listen": "socket.socket().listen(); print('done')",
    "pair": "socket.socketpair(); print('done')",
    "environment": "open('/proc/PARENT/environ').read(); print('done')",
    "memory of the worker": "open('/proc/PARENT/mem', 'rb'); print('done')",
    "command line": "open('/proc/PARENT/cmdline', 'rb'); print('done')",
    "secret": "print('done', open('FOLDER/secret').read())",
    "folder": "print('done', os.listdir('FOLDER'))",
    "own program": "print('done', open('/proc/self/exe', 'rb').read(4))",
    "write a file": "open('FOLDER/written', 'w').write('x'); print('done')",
    "change the document": "os.write(source.fileno(), b'x'); print('done')",
    "shorten the document": "os.ftruncate(source.fileno(), 0); print('done')",
    "unlink": "os.unlink('FOLDER/spare'); print('done')",
    "rename": "os.rename('FOLDER/spare', 'FOLDER/other'); print('done')",
    "make a folder": "os.mkdir('FOLDER/made'); print('done')",
    "signal the worker": "os.kill(PARENT, 0); print('done')",
    "signal the parent": "os.kill(os.getppid(), 0); print('done')",
    "signal everything": "os.kill(-1, 0); print('done')",
    "signal by thread": "os.getppid() and print('done' if libc.tgkill(os.getppid(), os.getppid(), 0) == 0 else 'no')",
    "limits of the worker": "print('done', resource.prlimit(PARENT, resource.RLIMIT_CORE))",
    "exec": "os.execv('/bin/true', ['true']); print('done')",
    "subprocess": "subprocess.run(['/bin/true']); print('done')",
    "fork": "os.fork() or os._exit(0); print('done')",
    "thread": "threading.Thread(target=print).start(); print('done')",
    "executable memory": "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC); print('done')",
    "raise limits": "resource.setrlimit(resource.RLIMIT_NPROC, (9, 9)); print('done')",
    "other descriptors": "import array\nfor fd in range(64):\n    if fd > 5:\n        os.fstat(fd); print('done', fd)",
    "variables": "print('done' if libc.getenv(b'SECRET') or 'SECRET' in os.environ else 'nothing')",
    "control socket": "print('done', os.read(0, 10)) if not os.path.sameopenfile(0, 1) else print('nothing')",
}


SECRET = "the secret"
USERS = ["root", "ordinary"] if os.geteuid() == 0 else ["ordinary"]
HARMLESS = {"listen", "pair", "executable memory"}  # In a network of its own, with nothing to run.


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """What belongs to the user of the worker: a secret, and a socket that listens."""
    with tempfile.TemporaryDirectory(prefix="orquestra-attacks-") as temporary:
        place = Path(temporary)
        (place / "secret").write_text(SECRET)
        (place / "spare").touch()
        with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as abstract:
            listening.bind(str(place / "socket"))
            abstract.bind(f"\0{place}")
            listening.listen()
            abstract.listen()
            for path in (place, *place.iterdir()):
                path.chmod(0o700)
                if ORDINARY:
                    os.chown(path, ORDINARY.uid, ORDINARY.gid)
            yield place


def run(folder: Path, *, user: str, without: Sequence[str] = ()) -> dict[str, Any]:
    """What the programs print that are read as documents by a worker of this user."""
    command = [sys.executable, "-m", "backend.documents.tests.attacks", *without]
    column = {"x86_64": 0, "aarch64": 1}[platform.machine()]
    calls = {name: CALL.format(number=numbers[column]) for name, numbers in SYSCALLS.items()}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        programs = {
            name: program.replace("FOLDER", str(folder)).replace("TCP", port)
            for name, program in (PROGRAMS | ({} if without else calls)).items()
        }
        done = subprocess.run(
            command if user == "root" else as_ordinary_user(command),
            input=json.dumps(programs),
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            check=True,
            timeout=120,
            env={"DJANGO_SETTINGS_MODULE": "backend.settings", "SECRET": SECRET},
        )
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.fixture(scope="module", params=USERS)
def printed(request: pytest.FixtureRequest, folder: Path) -> dict[str, Any]:
    return run(folder, user=request.param)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_parser_under_control_of_a_malicious_document_is_confined(printed: dict[str, Any], name: str) -> None:
    assert printed[name]
    assert "done" not in printed[name]
    assert SECRET not in printed[name]
    assert "NameError" not in printed[name]  # It was tried.


@pytest.mark.parametrize("user", USERS)
def test_without_the_filter_of_system_calls_the_other_layers_refuse_as_much(folder: Path, user: str) -> None:
    printed = run(folder, user=user, without=["seccomp"])

    layers = printed.pop("layers")
    done = {name for name, output in printed.items() if "done" in output}
    assert layers["no_new_privs"] == layers["no_capabilities"] == layers["seccomp"] == ""
    if layers["landlock"] == layers["namespaces"] == "":  # Both depend on the machine.
        assert done <= HARMLESS


def test_memory_and_processor_time_end_with_the_document(folder: Path) -> None:
    programs = {
        "memory": "kept = [bytearray(1 << 26) for _ in range(64)]",
        "memory mapped": "kept = [mmap.mmap(-1, 1 << 26) for _ in range(64)]",
        "processor": "resource.setrlimit(resource.RLIMIT_CPU, (3, 3))\nwhile True: pass",  # Raised as far as it goes.
        "afterwards": "print('read')",
    }
    command = [sys.executable, "-m", "backend.documents.tests.attacks"]
    environment = {"DJANGO_SETTINGS_MODULE": "backend.settings"}
    done = subprocess.run(
        command, input=json.dumps(programs), cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True, env=environment
    )

    printed = json.loads(done.stdout)
    assert printed["memory"].startswith("MemoryError")
    assert printed["memory mapped"].startswith("OSError [Errno 12]")
    assert printed["processor"] == "failed: too_complex"
    assert printed["afterwards"] == "read"


UNFILTERED = """
import sys; sys.path.append(sys.argv[1])
from parsers import child

def missing():
    raise OSError("not here")

child.isolation.seccomp.check_available = missing
child.serve()
"""


@pytest.mark.django_db
def test_a_strict_machine_without_the_filter_reads_nothing(
    owner: Person, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.end_idle()
    monkeypatch.setattr(process, "PROGRAM", UNFILTERED)
    settings.PARSER_ISOLATION = "strict"

    archive = upload(owner, zipped({"word/document.xml": b"<w/>"}), "letter.docx")
    document = read(upload(owner, "Some words.", "notes.txt").json()["id"])
    settings.PARSER_ISOLATION = "available"
    later = make_document(owner, "Some other words.", "other.txt")
    pool.end_idle()

    assert (archive.status_code, archive.json()["code"]) == (503, "service_unavailable")
    assert document.status == "scanning"  # Until another worker takes it.
    assert later.status == "ready"


def test_the_deploy_check_reports_missing_isolation(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.isolation(None) == []
    monkeypatch.setattr(process, "PROGRAM", UNFILTERED)
    (warning,) = checks.isolation(None)
    settings.PARSER_ISOLATION = "strict"
    (error,) = checks.isolation(None)

    assert warning.msg == error.msg == "Parsers of documents run without seccomp: not here."
    assert warning.level < ERROR <= error.level


@pytest.mark.parametrize("name", SYSCALLS)
def test_the_kernel_takes_no_other_call_from_a_parser(printed: dict[str, Any], name: str) -> None:
    assert printed[name] == "EPERM"

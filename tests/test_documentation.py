"""What the documentation tells people to type is typed here, as it stands."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import ROOT, Stack, stack
from tests.pages import pdf

CONTRACT = pdf(
    "Contract of the second tower\nThe parties agree on the following.",
    "Clause 7. Term\nThe contract ends on 31 March 2031.\nIt may be renewed once, in writing.",
)

pytestmark = pytest.mark.skipif(
    not (shutil.which("jq") and shutil.which("curl")), reason="the documentation's examples need jq and curl"
)


@pytest.fixture(scope="module")
def live() -> Iterator[Stack]:
    with stack() as running:
        yield running


def shell_blocks(document: str, *, after: str = "") -> list[str]:
    text = (ROOT / document).read_text()
    return re.findall(r"^```sh\n(.*?)^```", text[text.index(after) :], flags=re.MULTILINE | re.DOTALL)


def run(script: str, folder: Path, base_url: str) -> str:
    address = base_url.removeprefix("http://")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("localhost:8000", address)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = {"not_found", "conflict"}  # The example of an error, and stopping an answer that has ended.
    assert set(re.findall(r'"code":"(\w+)"', done.stdout)) <= expected, done.stdout
    return done.stdout


# Between two calls a person reads on; a script has to wait until the document is ready.
WAIT = """
for _ in $(seq 100); do
  STATUS=$(curl -s localhost:8000/api/v1/documents/$DOCUMENT -H "Authorization: Bearer $TOKEN" | jq -r .status)
  [ "$STATUS" = ready ] && break; sleep 0.1
done
"""


@pytest.mark.parametrize("readme", ["README.md", "README.pt-BR.md"])
def test_five_calls_of_the_readme_do_the_main_job(readme: str, live: Stack, tmp_path: Path) -> None:
    (tmp_path / "contract.pdf").write_bytes(CONTRACT)
    blocks = [block for block in shell_blocks(readme) if "curl" in block]
    assert len(blocks) == 5
    blocks[0] = blocks[0].replace("ana@example.com", f"ana.{readme[7:9].lower()}@example.com")

    output = run("\n".join([*blocks[:2], WAIT, *blocks[2:]]), tmp_path, live.base_url)

    assert "31 March 2031" in output
    assert "event: citation.added" in output
    assert re.search(r'event: run.completed\ndata: .*"cost":\s*"0\.\d+"', output)


def test_examples_for_front_ends_run_in_their_order(live: Stack, tmp_path: Path) -> None:
    (tmp_path / "contract.pdf").write_bytes(CONTRACT)
    blocks = shell_blocks("FRONTEND_INTEGRATION.md")
    stop = next(block for block in blocks if "/cancel" in block)
    blocks.remove(stop)  # It would stop the answer that the later examples show; it is tried on a run that has ended.

    output = run("\n".join([*blocks, stop]), tmp_path, live.base_url)

    assert "31 March 2031" in (tmp_path / "events.txt").read_text()
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert '"not_found"' in output
    assert '"available"' in output

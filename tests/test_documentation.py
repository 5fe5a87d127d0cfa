"""Runs the commands of the documentation unchanged."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.live import ROOT, Stack

pytestmark = pytest.mark.skipif(
    not (shutil.which("jq") and shutil.which("curl")), reason="the documentation's examples need jq and curl"
)


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


@pytest.mark.parametrize(
    ("readme", "quote"),
    [
        ("README.md", "The contract ends on 31 March 2031."),
        ("README.pt-BR.md", "O contrato termina em 31 de março de 2031."),
    ],
)
def test_four_calls_of_the_readme_do_the_main_job_when_pasted_at_once(
    readme: str, quote: str, plain: Stack, tmp_path: Path
) -> None:
    blocks = [block for block in shell_blocks(readme) if "curl" in block]
    assert len(blocks) == 4

    output = run("".join(blocks), ROOT, plain.base_url)

    events = [json.loads(line.removeprefix("data: ")) for line in output.splitlines() if line.startswith("data: ")]
    answer = "".join(event["delta"] for event in events if "delta" in event)
    [citation, *_] = [event["citation"] for event in events if "citation" in event]
    assert f"“{quote}” [1]" in answer
    assert (citation["n"], citation["page_from"], citation["quote"]) == (1, 3, quote)
    assert re.fullmatch(r"0\.\d+", events[-1]["run"]["cost"])


IDS = {"document": "doc_01h455vb4pex5vsknk084sn02q", "chunk": "chk_01h455vb4pex5vsknk084sn02q"}


def first_citation(events: Path) -> dict[str, Any]:
    lines = [line.removeprefix("data: ") for line in events.read_text().splitlines() if line.startswith("data: ")]
    found: dict[str, Any] = next(data["citation"] for data in map(json.loads, lines) if "citation" in data)
    return found


def shown_citation() -> Any:
    """The one that the guide for front ends shows."""
    text = (ROOT / "FRONTEND_INTEGRATION.md").read_text()
    return next(json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL) if '"quote"' in block)


def test_examples_for_front_ends_run_in_their_order(plain: Stack, tmp_path: Path) -> None:
    shutil.copy(ROOT / "samples" / "contract.pdf", tmp_path)
    blocks = shell_blocks("FRONTEND_INTEGRATION.md")
    stop = next(block for block in blocks if "/cancel" in block)
    blocks.remove(stop)  # It would stop the answer that the later examples show; it is tried on a run that has ended.

    output = run("\n".join([*blocks, stop]), tmp_path, plain.base_url)

    assert "The run has already ended." in output
    assert shown_citation() == {**first_citation(tmp_path / "events.txt"), **IDS}
    assert "31 March 2031" in (tmp_path / "events.txt").read_text()
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert '"not_found"' in output
    assert '"available"' in output

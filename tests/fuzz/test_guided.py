"""The guided fuzzers, each in a process of its own, because atheris ends the one it runs in."""

import asyncio
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import FreshDatabase
from tests.fuzz.conftest import Effort
from tests.fuzz.seeds import SEEDS

ROOT = Path(__file__).parents[2]

RUNS = {"markdown": 3_000, "frames": 500}
"""Cases in `make test`."""

SECONDS = 60
"""Seconds that a fuzzer runs for each of the TIMES of `--fuzz`; in `make test` the runs are over long before."""


async def fuzzed(*arguments: str, within: float) -> str:
    """Run a guided fuzzer to its end.

    :return: what its last line says.
    :raises AssertionError: it found something; tells what.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.fuzz.guided", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(within):
            output = (await process.communicate())[0].decode(errors="replace")
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, output[-20_000:]
    [last] = re.findall(r"^Done .*$", output, re.MULTILINE)
    return str(last)


@pytest.mark.parametrize("name", sorted(SEEDS))
async def test_no_case_that_is_made_to_reach_further_code_finds_a_defect(
    name: str, effort: Effort, fresh_database: FreshDatabase, tmp_path: Path, tried: Callable[[str], None]
) -> None:
    arguments = [name, "--folder", str(tmp_path), "--seconds", str(SECONDS * effort.times)]
    arguments += ["--runs", str(RUNS[name])] if effort.bounded else ["--seed", "0"]
    if name == "frames":
        arguments += ["--database", await fresh_database()]
    tried(await fuzzed(*arguments, within=SECONDS * effort.times + 50))


async def test_without_atheris_cases_are_made_by_chance(tmp_path: Path, tried: Callable[[str], None]) -> None:
    arguments = ["markdown", "--plain", "--folder", str(tmp_path), "--runs", "500"]
    said = await fuzzed(*arguments, within=50)
    assert said == "Done 500 runs by chance alone"
    tried(said)

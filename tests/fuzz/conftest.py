"""How long the fuzzers run, and what they tell of it.

`make test` tries some cases, the same in every run; `make fuzz` many more, different ones in every run.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import hypothesis
import pytest

from tests.support.postgres_server import create_database, drop_database
from tests.support.server import ParleyServer

CASES = "cases tried"


@dataclass(frozen=True)
class Effort:
    """How much is tried: `times` as much as in `make test`."""

    times: int

    @property
    def bounded(self) -> bool:
        """Whether this is `make test`, where every run tries the same."""
        return self.times == 1

    def settings(self, examples: int) -> hypothesis.settings:
        """Settings for Hypothesis.

        :param examples: tried in `make test`.
        """
        return hypothesis.settings(
            max_examples=examples * self.times,
            derandomize=self.bounded,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            # Making what failed smaller takes minutes; it is told as it is.
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        )


@pytest.fixture(scope="session")
def effort(request: pytest.FixtureRequest) -> Effort:
    """How much the fuzzers try in this run."""
    return Effort(request.config.getoption("--fuzz"))


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tells at the end of the run what a test tried, with the count of cases."""
    return lambda what: record_property(CASES, what)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List what the fuzzers tried."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    told = [
        (report.nodeid.rpartition("::")[2], what)
        for report in reports
        for name, what in getattr(report, "user_properties", [])
        if name == CASES
    ]
    if told:
        terminalreporter.section("what the fuzzers tried")
        for name, what in told:
            terminalreporter.line(f"{name}: {what}")


@pytest.fixture(scope="module")
async def parley(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ParleyServer]:
    """A Parley that nothing but a module's cases use, so that what it holds and logs is their doing."""
    database = await create_database(postgres_url)
    parley = ParleyServer(tmp_path_factory.mktemp("fuzzed") / "data", {"DATABASE_URL": database})
    try:
        await parley.start()
        yield parley
        assert "Traceback" not in parley.output()
        await parley.stop()
    finally:
        await parley.clean_up()
        await drop_database(postgres_url, database=database)

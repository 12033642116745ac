"""A real Parley: `app.py` as a process of its own, as an operator starts it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil

from tests.support.processes import free_port, until

ROOT = Path(__file__).parents[2]
READY_WITHIN = 60.0
STOPPED_WITHIN = 20.0


class ParleyServer:
    """`app.py` on a free port of the loopback address, with rate limits off unless its settings say on."""

    def __init__(
        self,
        data: Path,
        settings: dict[str, str],
        *,
        program: Sequence[str] = ("app.py",),
        within: Sequence[str] = (),
    ) -> None:
        """Only prepare it: `start` starts it.

        :param data: its data folder, made when missing.
        :param settings: environment variables, which win over what is set here.
        :param program: what Python is given to run, such as a profiler before `app.py`.
        :param within: a command that becomes the one given to it, such as `unshare`.
        """
        self.data = data
        self.port = int(settings.get("PARLEY_PORT", free_port()))
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/ws"
        self.log = data.parent / f"{data.name}.log"
        self._settings = {
            "PARLEY_DATA": str(data),
            "PARLEY_PORT": str(self.port),
            "PARLEY_LIMITS": "off",
        } | settings
        self._command = [*within, sys.executable, *program]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of `app.py`."""
        assert self._process is not None, "not started"
        return self._process.pid

    async def start(self) -> None:
        """Start it, or start it again on the same data, and wait until it says that it is ready.

        :raises AssertionError: it ended or was not ready in time; tells what it printed.
        """
        self.launch()
        async with httpx.AsyncClient(trust_env=False) as client:
            await until(lambda: self._ready(client), within=READY_WITHIN, otherwise=self.output)

    def launch(self) -> None:
        """Start it without waiting for anything: for settings that it should refuse."""
        # Without compiled modules every start would take seconds of processor time to compile all that it imports.
        foreign = ("PARLEY_", "DATABASE_URL", "REDIS_URL", "NICEGUI_", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=environment | self._settings, stdout=log, stderr=log
            )

    async def stop(self, sent: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop, and expect that it does so cleanly.

        :param sent: SIGTERM or SIGINT.
        :raises AssertionError: it did not end in time, or with another exit code than 0.
        """
        assert self._process is not None, "not started"
        self._process.send_signal(sent)
        code = await self.ended()
        assert code == 0, f"exit code {code} after {sent.name}:\n{self.output()}"

    async def ended(self, *, within: float = STOPPED_WITHIN) -> int:
        """Wait for its end.

        :param within: seconds after which waiting fails.
        :return: its exit code.
        :raises AssertionError: it still runs.
        """
        assert self._process is not None, "not started"
        try:
            return await asyncio.to_thread(self._process.wait, within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within:g} s:\n{self.output()}") from None

    async def kill(self) -> None:
        """End it as a power cut does: nothing is closed, and an embedded PostgreSQL may be left running."""
        assert self._process is not None, "not started"
        self._process.kill()
        await asyncio.to_thread(self._process.wait)

    def pause(self) -> None:
        """Make it stand still, as a machine that hangs."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGCONT)

    async def kill_postgres(self) -> None:
        """Kill the postmaster of its embedded PostgreSQL, which it has to start again by itself."""
        lines = (self.data / "postgres/postmaster.pid").read_text().splitlines()
        os.kill(int(lines[0]), signal.SIGKILL)

    async def clean_up(self) -> None:
        """End whatever a test left running: `app.py`, and the embedded PostgreSQL of one that was killed."""
        if self._process is not None and self._process.poll() is None:
            await self.kill()
        for pid_file in self.data.rglob("postmaster.pid"):
            await asyncio.to_thread(_end_postgres, int(pid_file.read_text().splitlines()[0]))

    def output(self) -> str:
        """All that it has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    async def _ready(self, client: httpx.AsyncClient) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"exit code {self._process.returncode}:\n{self.output()}"
        try:
            return (await client.get(f"{self.url}/health/ready")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def _end_postgres(pid: int) -> None:
    try:
        process = psutil.Process(pid)
        if process.name() == "postgres":
            process.send_signal(signal.SIGINT)
            process.wait(STOPPED_WITHIN)
    except psutil.NoSuchProcess:
        return

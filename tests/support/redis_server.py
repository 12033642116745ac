"""A real Redis server for tests, which can go away and come back."""

import asyncio
import signal
import subprocess
from pathlib import Path

from tests.support.processes import free_port, until


class RedisServer:
    """A `redis-server` process on a free port of the loopback address, which keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        """Only prepare it: `start` starts it.

        :param folder: where it writes its log.
        """
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "not running"
        return self._process.pid

    async def start(self) -> None:
        """Start it, or start it again on the same port with nothing in it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""],
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        await until(self._answers, otherwise=self._log.read_text)

    async def stop(self) -> None:
        """End it at once, as when its machine fails."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    def pause(self) -> None:
        """Make it hang: connections stay open and new ones come about, but nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End `pause`: it answers what came meanwhile."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "not running"
        self._process.send_signal(number)

    @property
    def _log(self) -> Path:
        return self._folder / f"redis-{self.port}.log"

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer == b"+PONG\r\n"

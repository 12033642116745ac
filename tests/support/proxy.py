"""The proxy of several nodes: Debian's `haproxy` with the configuration that operators are given."""

import asyncio
import os
import subprocess
from pathlib import Path

from tests.support.processes import accepts, free_port, until
from tests.support.server import ROOT, ParleyServer

CONFIGURATION = ROOT / "deploy" / "haproxy.cfg"


class Proxy:
    """`deploy/haproxy.cfg` on a free port of the loopback address, before two nodes."""

    def __init__(self, folder: Path) -> None:
        """Only prepare it: `start` starts it.

        :param folder: where it writes its log.
        """
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"haproxy-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, str]:
        """What its nodes have to know."""
        return {"PARLEY_BASE_URL": self.url, "PARLEY_TRUSTED_PROXIES": "127.0.0.1"}

    async def start(self, *nodes: ParleyServer) -> None:
        """Start it before two nodes, and wait until it takes connections."""
        first, second = (f"127.0.0.1:{node.port}" for node in nodes)
        addresses = {"PARLEY_PROXY": f"127.0.0.1:{self.port}", "PARLEY_NODE_1": first, "PARLEY_NODE_2": second}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["haproxy", "-db", "-f", str(CONFIGURATION)], env=os.environ | addresses, stdout=log, stderr=log
            )
        await until(self._answers, otherwise=self.output)

    async def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def output(self) -> str:
        """All that it has logged: which node answered what."""
        return self._log.read_text(errors="replace")

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.output()
        return await accepts(self.port)

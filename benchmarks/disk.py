"""What the disk takes to make something durable: no durable send can be faster."""

import os
import time
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.load import percentiles

BLOCK = 8192
"""Bytes that are written each time: a page of PostgreSQL's log."""


def measure(folder: Path, *, per_second: float, seconds: float) -> list[Figure]:
    """Measure writes that wait for the disk, into a file that has its size already, as PostgreSQL's log has.

    :param folder: where the databases under measurement lie.
    """
    count = int(per_second * seconds)
    file = folder / "durable"
    file.write_bytes(bytes(BLOCK * count))
    taken = []
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
        for number in range(count):
            time.sleep(1 / per_second)
            began = time.perf_counter()
            os.pwrite(descriptor, b"x" * BLOCK, BLOCK * number)
            os.fdatasync(descriptor)
            taken.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        file.unlink()
    half, most = percentiles(taken, 50, 99)
    subject = f"The disk, {per_second:g} durable writes/s"
    return [Figure(subject, "p50", half * 1e3, "ms"), Figure(subject, "p99", most * 1e3, "ms")]

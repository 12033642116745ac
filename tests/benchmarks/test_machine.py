import os

from benchmarks.machine import CPUS, on_load_cpu, on_server_cpu


def pinned_to() -> list[int]:
    """The processors that this thread may use, where the system tells."""
    return sorted(os.sched_getaffinity(0)) if CPUS else []


def test_the_load_stays_on_its_processor_after_a_server_was_started_on_another() -> None:
    servers, loads = (CPUS[:1], CPUS[1:2]) if len(CPUS) > 1 else (CPUS, CPUS)
    with on_load_cpu():
        with on_server_cpu():
            assert pinned_to() == servers
        assert pinned_to() == loads
    assert pinned_to() == CPUS

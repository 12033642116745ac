"""What a node measures of itself as a whole; its parts count what they do where they do it."""

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import Gauge, Histogram, disable_created_metrics
from sqlalchemy.pool import QueuePool

if TYPE_CHECKING:
    from services.parley import Parley

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histograms' buckets in seconds."""

LAG_EVERY = 0.5
"""Seconds between two measurements of the event loop's lag."""

# The time at which each counter began would be one more series for each, which Prometheus does not need.
disable_created_metrics()  # type: ignore[no-untyped-call] # has no types of its own

CONNECTIONS = Gauge("parley_connections", "WebSocket connections that are served")
DELIVERIES = Histogram(
    "parley_delivery_seconds",
    "From the writing of a message until it is handed to this node's connections",
    buckets=LATENCIES,
)
POOL_SIZE = Gauge("parley_database_pool_size", "Database connections that the pool may open")
POOL_IN_USE = Gauge("parley_database_pool_in_use", "Database connections that are at work")
POOL_WAITS = Histogram(
    "parley_database_pool_wait_seconds", "From asking the pool for a connection to having it", buckets=LATENCIES
)
LOOP_LAG = Histogram(
    "parley_event_loop_lag_seconds", "How late the event loop wakes what asked for it", buckets=LATENCIES
)


def show(parley: "Parley") -> None:
    """Have the gauges show this node, the last one if a process has several."""
    CONNECTIONS.set_function(lambda: parley.hub.connection_count)
    pool = parley.engine.pool
    if isinstance(pool, QueuePool):
        POOL_SIZE.set(pool.size())
        POOL_IN_USE.set_function(pool.checkedout)


async def measure_lag() -> None:
    """For ever, measure how late the event loop is."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_EVERY
        await asyncio.sleep(LAG_EVERY)
        LOOP_LAG.observe(max(0.0, loop.time() - due))

"""Measures Parley: how fast it starts, what a page costs, and how far its real-time path is from a bare server.

``python -m benchmarks`` runs everything and prints one table; ``docs/performance.md`` says how to read it.
"""

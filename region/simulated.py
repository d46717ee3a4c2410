"""Machines that exist only as a few numbers."""

from __future__ import annotations


class Simulated:
    """Hosts and volumes without disks."""

    real = False

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def open(self, clock: object) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Nothing to remove."""

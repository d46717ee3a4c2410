"""Machines of real disks: XFS on loop devices, namespaces for hosts, and documents that really run. Linux with root."""

from __future__ import annotations

from region.disks.machines import Disks

__all__ = ["Disks"]

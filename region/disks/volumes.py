"""Volumes and snapshots: sparse files on a disk of the region's own, which can be copied at an instant."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from region.disks import kernel
from region.disks.kernel import call
from region.wall import really_sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

DISK_SIZE = "64G"  # sparse: it takes what is written to it
TRIES = 200


class Volumes:
    """The region's disk: an XFS in a file, and in it a file for each volume, snapshot and host."""

    def __init__(self, base: Path) -> None:
        self.image = base / "disk.img"
        self.mount = base / "disk"
        self.loops: dict[str, str] = {}

    def open(self) -> None:
        """Make the disk and mount it."""
        call("truncate", "--size", DISK_SIZE, self.image)
        call("mkfs.xfs", "-q", "-m", "reflink=1", self.image)
        self.device = call("losetup", "--direct-io=on", "--find", "--show", self.image)
        self.mount.mkdir()
        call("mount", self.device, self.mount)
        for directory in ("volumes", "snapshots", "hosts"):
            (self.mount / directory).mkdir()

    def create(self, volume: str, gib: int, snapshot: str | None) -> None:
        """An empty volume, or a snapshot's copy."""
        file = self._volume(volume)
        file.touch()
        if snapshot:
            kernel.clone(self._snapshot(snapshot), file)
        os.truncate(file, gib << 30)

    def delete(self, volume: str) -> None:
        """Remove a volume."""
        self.release(volume)
        self._volume(volume).unlink()

    def snapshot(self, pairs: Sequence[tuple[str, str]], pause: Callable[[], None]) -> None:
        """Copy volumes at one instant. `pause` stops who writes to them, if they are being written to."""
        self._at_once([(self._volume(volume), self._snapshot(snapshot)) for volume, snapshot in pairs], pause)

    def delete_snapshot(self, snapshot: str) -> None:
        """Remove a snapshot."""
        self._snapshot(snapshot).unlink()

    def device_of(self, volume: str) -> str:
        """The loop device of a volume.

        Direct: a write that the device completed is in the file. Sectors of 4,096 bytes: once a file has been cloned,
        XFS asks for these, and a file system made with smaller ones would not mount again.
        """
        if volume not in self.loops:
            flags = ("--direct-io=on", "--sector-size", "4096", "--partscan")
            self.loops[volume] = call("losetup", *flags, "--find", "--show", self._volume(volume))
        return self.loops[volume]

    def release(self, volume: str) -> None:
        """Give the loop device back; one that is still in use goes with its last user."""
        if device := self.loops.pop(volume, None):
            with contextlib.suppress(OSError):
                call("losetup", "--detach", device)

    def cut(self, volumes: Iterable[str]) -> None:
        """Part volumes from their devices at one instant: what is written from now on goes to files without a name."""
        attached = [volume for volume in volumes if volume in self.loops]
        copies = [(self._volume(volume), self._volume(volume).with_suffix(".cut")) for volume in attached]
        self._at_once(copies, lambda: None)
        for file, copy in copies:
            copy.rename(file)

    def _at_once(self, copies: Sequence[tuple[Path, Path]], pause: Callable[[], None]) -> None:
        """One copy is an instant by itself; several are, if no device completed a write from the first to the last."""
        for attempt in range(TRIES):
            before = self._writes(copies)
            for source, target in copies:
                kernel.clone(source, target)
            if len(copies) == 1 or self._writes(copies) == before:
                return
            if attempt == 0:
                pause()
            really_sleep(0.01)
        raise OSError(f"no instant without a write to one of {len(copies)} volumes was found")

    def _writes(self, copies: Sequence[tuple[Path, Path]]) -> list[tuple[str, ...]]:
        return [kernel.writes(self.loops[file.stem]) for file, _ in copies if file.stem in self.loops]

    def _volume(self, volume: str) -> Path:
        return self.mount / "volumes" / f"{volume}.img"

    def _snapshot(self, snapshot: str) -> Path:
        return self.mount / "snapshots" / f"{snapshot}.img"

"""Unit tests are of plain values: no socket opens."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator


# How long an example takes says how busy the machine is.
settings.register_profile("watchkeeper", deadline=None)
settings.load_profile("watchkeeper")


class NoNetwork(socket.socket):
    def __init__(self, *_: object, **__: object) -> None:
        raise AssertionError("a unit test opened a socket: it belongs in tests/simulated")


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    real, socket.socket = socket.socket, NoNetwork
    yield
    socket.socket = real

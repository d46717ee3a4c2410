"""The balancer of real disks: a HAProxy that asks real hosts, and loses no request that it need not lose."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from region.disks import kernel
from region.machines import REFUSED, TIMEOUT, Check, Target
from tests.disks import web
from tests.disks.clients import Clients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from region.disks import Disks
    from region.disks.instance import Instance

POOL = "web"
CHECK = Check(path="/", interval_seconds=10, well_after=3, unwell_after=2)


@pytest.fixture
def nodes(machines: Disks, new_host: Callable[[], Instance]) -> Iterator[list[Instance]]:
    """Two hosts with nginx, the first of which is in the pool."""
    hosts = [new_host(), new_host()]
    for host in hosts:
        web.serve(host)
    balance(machines, hosts[:1])
    assert kernel.until(lambda: health(machines) == {hosts[0].id: ""}, seconds=5)
    yield hosts
    machines.balance(POOL, CHECK, {})


def balance(
    machines: Disks, hosts: list[Instance], draining: list[Instance] | None = None, check: Check = CHECK
) -> None:
    machines.balance(POOL, check, {host.id: target(host, host in (draining or [])) for host in hosts})


def target(host: Instance, draining: bool = False) -> Target:
    """A target under an address that no other host has."""
    number = int(host.id.removeprefix("i-"), 16)
    return Target(f"172.31.{number // 250}.{number % 250 + 1}", 80, host.id, draining)


def health(machines: Disks) -> Mapping[str, str | None]:
    return machines.health(POOL)


def finds(machines: Disks, host: Instance, found: str | None) -> bool:
    return kernel.until(lambda: health(machines)[host.id] == found, seconds=5)


def test_a_target_gets_no_request_before_it_was_found_well(machines: Disks, nodes: list[Instance]) -> None:
    first, second = nodes
    second.call("nginx -s quit")
    with Clients(machines, POOL) as clients:
        balance(machines, nodes)
        assert health(machines)[second.id] is None
        assert finds(machines, second, REFUSED)
        second.call("nginx")
        assert finds(machines, second, "")
        clients.wait(200)

    assert not clients.failed
    assert clients.served == {first.id, second.id}


def test_a_new_target_is_well_after_one_answer_only_if_the_first_decides(
    machines: Disks, nodes: list[Instance]
) -> None:
    slow = replace(CHECK, interval_seconds=20, well_after=10)

    balance(machines, nodes, check=slow)
    assert kernel.until(lambda: set(health(machines).values()) == {""}, seconds=1.5)
    balance(machines, nodes, check=replace(slow, first_decides=False))
    assert not kernel.until(lambda: "" in health(machines).values(), seconds=1)


def test_what_the_check_finds_is_said_in_its_words(machines: Disks, nodes: list[Instance]) -> None:
    (first, _) = nodes

    first.call("nginx -s stop")
    assert finds(machines, first, REFUSED)
    first.call("nginx")
    assert finds(machines, first, "")
    balance(machines, nodes, check=replace(CHECK, path="/nothing"))
    assert finds(machines, first, "404")
    balance(machines, nodes, check=replace(CHECK, path="/nothing", codes="200-299,404"))
    assert finds(machines, first, "")
    machines.hang(first.id)
    assert finds(machines, first, TIMEOUT)


def test_a_check_of_tcp_asks_the_port_that_it_names(machines: Disks, nodes: list[Instance]) -> None:
    tcp = Check("TCP", interval_seconds=10)

    balance(machines, nodes, check=tcp)
    assert finds(machines, nodes[0], "")
    balance(machines, nodes, check=replace(tcp, port=81))
    assert finds(machines, nodes[0], REFUSED)


def test_what_drains_ends_its_requests_and_gets_no_new_ones(machines: Disks, nodes: list[Instance]) -> None:
    first, second = nodes
    with Clients(machines, POOL, path=web.SLOW) as clients:
        clients.wait(4)
        balance(machines, nodes)
        assert finds(machines, second, "")
        balance(machines, nodes, draining=[first])
        drained = clients.now()
        kernel.really_sleep(web.SLOW_SECONDS * 2)
        balance(machines, [second])
        clients.wait(4)

    assert not clients.failed
    assert clients.served_since(drained) == {second.id}
    assert any(one.ended > drained for one in clients.answers if one.node == first.id)


def test_what_is_taken_out_at_once_loses_its_requests(machines: Disks, nodes: list[Instance]) -> None:
    with Clients(machines, POOL, path=web.SLOW) as clients:
        clients.wait(4)
        balance(machines, nodes)
        assert finds(machines, nodes[1], "")
        balance(machines, nodes[1:])
        clients.wait(4)

    assert clients.failed


def test_a_target_that_drains_and_is_wanted_again_is_asked_anew(machines: Disks, nodes: list[Instance]) -> None:
    (first, _) = nodes
    balance(machines, nodes[:1], draining=[first])
    first.call("nginx -s stop")

    balance(machines, nodes[:1])

    assert health(machines)[first.id] is None
    assert finds(machines, first, REFUSED)


def test_a_host_whose_power_is_cut_says_no_word_and_is_found_again_when_it_boots(
    machines: Disks, nodes: list[Instance]
) -> None:
    (first, _) = nodes

    machines.power_cut(first.id)
    assert finds(machines, first, TIMEOUT)
    machines.boot(first.id)
    assert finds(machines, first, REFUSED)
    first.call("nginx")
    assert finds(machines, first, "")

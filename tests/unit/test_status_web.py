"""What is said of web nodes: who is in each pool, who joins and leaves, and what is not as wanted."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.builders import NOW, volume
from tests.unit.test_registration_plan import ARN, A, B, C, node, pool, scene, waited
from tests.unit.test_status import SETTINGS
from watchkeeper import tags
from watchkeeper.aws.hosts import Host
from watchkeeper.aws.pools import Member, Pool, Target
from watchkeeper.backup.observe import State as Databases
from watchkeeper.errors import Refused
from watchkeeper.registration.observe import Fleet, Node
from watchkeeper.status.describe import Application, Status, describe
from watchkeeper.status.observe import State
from watchkeeper.status.text import to_text, to_values

if TYPE_CHECKING:
    from watchkeeper.status.web import Web

HANDS_OFF = replace(SETTINGS, is_registering=False)
LONG_AGO = waited(timedelta(minutes=7))
JUST_NOW = waited(timedelta(minutes=2))


def words(application: str = "payroll") -> dict[str, str]:
    return {tags.APPLICATION: application, tags.ROLE: tags.WEB_NODE}


def told(*things: Node | Pool, settings: Any = SETTINGS, paused: str = "", **more: Any) -> Status:
    """The status of an application of these nodes and pools, and of no database, unless that is paused."""
    seen = scene(*things, **more)
    known = [Host(one.id, one.word if one.state == "gone" else "running", tags=words()) for one in seen.nodes]
    volumes = [volume(on=None, paused=paused)] if paused else []
    errors = tuple(Refused(f"{one} of payroll was not read: Throttling") for one in seen.unread)
    fleet = Fleet((seen,) if seen.pools or seen.unread else (), errors)
    databases = Databases({"payroll": volumes}, {}, {"payroll": []})
    return describe(State(databases, (), frozenset(), volumes, known, fleet=fleet), settings, NOW)


def one_told(*things: Node | Pool, **more: Any) -> Application:
    (application,) = told(*things, **more).applications
    return application


def web(*things: Node | Pool, **more: Any) -> Web:
    return one_told(*things, **more).web


def text(*things: Node | Pool, **more: Any) -> str:
    """All of it as one line, however it was wrapped."""
    return " ".join(to_text(told(*things, **more)).split())


# Who is where


def test_an_application_of_web_nodes_alone_has_nodes_and_pools_and_lacks_no_database() -> None:
    status = told(node(A), node(B), pool((A, "healthy"), (B, "healthy")))

    assert to_text(status).split("\n\n")[1] == (
        "payroll\n  has        2 web nodes\n             the pool web: 2 nodes in\n  lacks      nothing"
    )
    assert (status.applications[0].policy, status.applications[0].next) == ("", ())


def test_who_is_in_who_joins_who_leaves_and_who_is_unknown_is_counted() -> None:
    here = pool((A, "healthy"), (B, "initial"), (C, "draining"), ("i-9", "healthy"))
    retired = node(C, retired="2026-11-20")

    assert "the pool web: 1 node in, 1 joining, 1 leaving, 1 unknown member (i-9)" in text(
        node(A), node(B), retired, here
    )


def test_a_node_that_comes_back_while_it_drains_joins_and_does_not_leave() -> None:
    application = one_told(node(A), pool((A, "draining")))

    (found,) = application.web.pools
    assert (list(found.joining), list(found.leaving), application.waits_for) == ([A], [], ())


def test_each_application_has_its_own_nodes_and_pools() -> None:
    one = scene(node(A), pool((A, "healthy")))
    hosts = [Host(name, "running", tags=words(application)) for name, application in ((A, "payroll"), (B, "shop"))]
    databases = Databases({"payroll": [], "shop": []}, {}, {"payroll": [], "shop": []})
    state = State(databases, (), frozenset(), [], hosts, fleet=Fleet((one,)))

    payroll, shop = describe(state, SETTINGS, NOW).applications

    assert (payroll.web.nodes, len(payroll.web.pools)) == ((A,), 1)
    assert (shop.web.nodes, shop.web.pools) == ((B,), ())


def test_a_pool_has_its_short_name_if_no_other_has_it() -> None:
    one, other = pool(name="web"), replace(pool(name="web"), arn=f"{ARN}targetgroup/web/fedcba9876543210")

    assert [found.name for found in web(node(A), one).pools] == ["web"]
    assert [found.name for found in web(node(A), one, other).pools] == [one.id, other.id]


def test_as_json_each_node_has_its_reason() -> None:
    values = to_values(told(node(A), node(B, "gone"), node(C), pool((A, "initial"), (B, "unhealthy"))))

    (found,) = json.loads(json.dumps(values))["applications"][0]["web"]["pools"]
    assert found["joining"] == {A: "initial, Why: so", C: "it runs, and its checks pass"}
    assert found["leaving"] == {B: "it is stopped"}


# What comes next, and what is waited for


def test_who_joins_and_who_leaves_within_the_minute_is_told_with_the_reason() -> None:
    found = one_told(node(A), node(B), node(C, "gone"), pool((C, "unhealthy")))

    assert found.next == (
        f"Within the minute {A}, {B} will join web: it runs, and its checks pass.",
        f"Within the minute {C} will leave web: it is stopped.",
    )
    assert found.lacks == ()


def test_where_nothing_registers_by_itself_that_is_lacking() -> None:
    found = one_told(node(A), pool(), settings=HANDS_OFF)

    assert found.lacks == (
        f"{A} should join web (it runs, and its checks pass), and nothing sees to it by itself: "
        f"RegisterWebNodes is false.",
    )
    assert found.next == ()
    assert "Nobody looks after web nodes: RegisterWebNodes is false." in text(settings=HANDS_OFF)


@pytest.mark.parametrize(
    ("said", "things"),
    [
        (f"web to call {A} healthy: initial, Why: so.", (node(A), pool((A, "initial")))),
        (f"web to call {A} healthy: unhealthy, Why: so.", (node(A, **JUST_NOW), pool((A, "unhealthy")))),
        (f"{A} to leave web: draining, Why: so.", (node(A, "gone"), node(B), pool((A, "draining"), (B, "healthy")))),
        (f"{A}, not in web: EC2 says initializing.", (node(A, "unsure"), pool())),
        (
            f"{A}, in web: it is retired (today), but 0 healthy ones would remain.",
            (node(A, retired="today"), pool((A, "healthy"))),
        ),
    ],
)
def test_what_time_may_mend_is_waited_for(said: str, things: tuple[Node | Pool, ...]) -> None:
    found = one_told(*things)

    assert (found.waits_for, found.lacks) == ((said,), ())


def test_an_address_that_has_yet_to_leave_is_waited_for_once() -> None:
    there = pool(Member(Target(node(A).address, 8080), "draining"), kind="ip")

    assert one_told(node(A), there).waits_for == (f"{A} to leave web: draining.",)
    assert one_told(node(A), there).lacks == ()


# What is not as wanted


@pytest.mark.parametrize(
    ("said", "things"),
    [
        (f"web has not called {A} healthy for 7 min: unhealthy", (node(A, **LONG_AGO), pool((A, "unhealthy")))),
        (f"{A}, not in web: EC2 says impaired.", (node(A, "impaired"), node(B), pool((B, "healthy")))),
        (
            f"{A}, in web: EC2 says impaired, and the balancer healthy.",
            (node(A, "impaired"), node(B), pool((A, "healthy"), (B, "healthy"))),
        ),
        (f"{A}, not in web: it is in vpc-1, and the pool in vpc-2.", (node(A), pool(vpc="vpc-2"))),
        ("Refused (unknown-kind): targetgroup/web/", (node(A), pool(kind="lambda"))),
        ("Refused (no-nodes): targetgroup/web/", (pool(),)),
        ("Refused (all-look-dead): Not one of the 1 web nodes", (node(A, "gone"), pool((A, "healthy")))),
        (
            f"No pool is tagged {tags.APPLICATION}=payroll and {tags.ROLE}=web-pool, so nothing registers {A}",
            (node(A),),
        ),
    ],
)
def test_what_a_person_has_to_see_to_is_lacking(said: str, things: tuple[Node | Pool, ...]) -> None:
    found = one_told(*things)

    (sentence,) = found.lacks
    assert sentence.startswith(said)
    assert found.waits_for == ()


def test_a_pool_that_was_not_read_is_lacking_and_the_error_is_told() -> None:
    status = told(node(A), unread=("targetgroup/web/1",))

    assert "targetgroup/web/1 was not read, so nothing is known of who is in it." in status.applications[0].lacks
    assert "targetgroup/web/1 of payroll was not read: Throttling" in status.remarks


def test_where_every_node_looks_dead_it_is_told_who_is_in_all_the_same() -> None:
    assert "the pool web: 1 node in" in text(node(A, "impaired"), pool((A, "healthy")))


# What is as people said


def test_a_pool_that_auto_scaling_keeps_is_left_to_it_and_nothing_is_lacking() -> None:
    kept = pool(keeper="group")

    assert "the pool web, left to the Auto Scaling group group, which keeps it lacks nothing" in text(node(A), kept)
    assert one_told(node(A), kept).lacks == one_told(kept).lacks == ()


def test_a_paused_pool_says_so_and_who_is_in() -> None:
    paused = pool((A, "healthy"), (B, "unhealthy"), tags={tags.PAUSED: "moving {house}"})

    said = "the pool web, paused, and left exactly as it is (moving {house}): 1 node in, 1 joining lacks nothing"
    assert said in text(node(A), node(B, **LONG_AGO), paused)
    assert one_told(paused).lacks == ()


@pytest.mark.parametrize(("word", "reason"), [("paused", "it is paused (why)"), ("retired", "it is retired (why)")])
def test_a_node_that_is_out_since_a_person_said_so_lacks_nothing(word: str, reason: str) -> None:
    found = one_told(node(A, **{word: "why"}), node(B), pool((B, "healthy")))

    assert found.web.stays == (f"{A}, not in web: {reason}.",)
    assert (found.lacks, found.waits_for) == ((), ())
    assert f"the pool web: 1 node in {A}, not in web: {reason}." in text(
        node(A, **{word: "why"}), node(B), pool((B, "healthy"))
    )


def test_a_paused_database_does_not_pause_its_web_nodes() -> None:
    said = text(node(A), pool(), paused="moving house")

    assert "the database of payroll is paused, and left exactly as it is: moving house" in said
    assert f"Within the minute {A} will join web" in said


def test_nodes_that_are_gone_are_not_counted_among_those_there_are() -> None:
    found = web(node(A), node(B, "gone", "terminated"), pool((A, "healthy")))

    assert found.nodes == (A,)

"""Who is registered with a pool and who is taken out, from values alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import NOW
from watchkeeper import tags
from watchkeeper.aws.hosts import Host
from watchkeeper.aws.notices import Place
from watchkeeper.aws.pools import Member, Pool, Target
from watchkeeper.look import stamp
from watchkeeper.registration.observe import Node, Scene
from watchkeeper.registration.plan import plan
from watchkeeper.registration.settings import Settings
from watchkeeper.registration.verdict import Care, Plan, Tag

SETTINGS = Settings(("*",), 50, timedelta(minutes=5), Place("notices", "topic"))
A, B, C, D = (f"i-{letter * 17}" for letter in "abcd")
WORDS = {"ok": "ok", "unsure": "initializing", "impaired": "impaired", "gone": "stopped"}
ARN = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:"


def node(name: str = A, state: Any = "ok", word: str = "", **words: str) -> Node:
    """A web node with the address 10.0.0.N; `words` are tags by their short names."""
    labels = {tags.PREFIX + key.replace("_", "-"): value for key, value in words.items()}
    address = f"10.0.0.{ord(name[2])}"
    return Node(name, state, word or WORDS[state], "vpc-1", address, labels)


def waited(ago: timedelta) -> dict[str, str]:
    return {"registered": stamp(NOW - ago)}


def pool(*members: tuple[str, str] | Member, kind: str = "instance", name: str = "web", **more: Any) -> Pool:
    """A pool on port 8080; a member is an id and its state."""
    there = tuple(
        one if isinstance(one, Member) else Member(Target(one[0], 0 if kind == "classic" else 8080), one[1], "Why: so")
        for one in members
    )
    arn = ARN + (f"loadbalancer/{name}" if kind == "classic" else f"targetgroup/{name}/0123456789abcdef")
    port = 0 if kind == "classic" else 8080
    return replace(Pool(arn, "payroll", kind, port, "vpc-1", members=there), **more)


def scene(*things: Node | Pool, **more: Any) -> Scene:
    nodes = tuple(one for one in things if isinstance(one, Node))
    return Scene("payroll", NOW, nodes, tuple(one for one in things if isinstance(one, Pool)), **more)


def planned(*things: Node | Pool, **more: Any) -> Plan:
    return plan(scene(*things, **more), SETTINGS)


def care(*things: Node | Pool, floor: int = 50, **more: Any) -> Care:
    """What is wanted of the one pool."""
    (found,) = plan(scene(*things, **more), replace(SETTINGS, floor_percent=floor)).cares
    return found


def joins(found: Care) -> list[Target]:
    return [one.target for one in found.register]


def leaves(found: Care) -> list[str]:
    return [one.node for one in found.deregister]


def by_hand(name: str, port: int, state: str = "healthy") -> Member:
    return Member(Target(name, port), state)


# What EC2 says of a node


@pytest.mark.parametrize(
    ("state", "unwell", "found", "word"),
    [
        ("running", {}, "ok", "ok"),
        ("running", {A: "impaired"}, "impaired", "impaired"),
        ("running", {A: "initializing"}, "unsure", "initializing"),
        ("running", {A: "insufficient-data"}, "unsure", "insufficient-data"),
        ("pending", {}, "unsure", "pending"),
        ("stopping", {}, "gone", "stopping"),
        ("stopped", {}, "gone", "stopped"),
        ("shutting-down", {}, "gone", "shutting-down"),
        ("terminated", {A: "impaired"}, "gone", "terminated"),
    ],
)
def test_what_ec2_says_of_an_instance_is_whether_a_node_can_serve(
    state: str, unwell: dict[str, str], found: str, word: str
) -> None:
    one = Node.from_host(Host(A, state), unwell)

    assert (one.state, one.word) == (found, word)


def test_a_terminated_node_has_the_address_that_it_was_registered_with_whatever_is_still_shown() -> None:
    had = {tags.REGISTERED_IP: "10.0.0.1 vpc-1"}
    dead = Node.from_host(Host(A, "terminated", tags=had, address="10.0.0.9", vpc="vpc-9"), {})

    assert (dead.address, dead.vpc) == ("10.0.0.1", "vpc-1")
    assert Node.from_host(Host(A, "terminated", address="10.0.0.9"), {}).address == ""
    assert Node.from_host(Host(A, "stopped", tags=had, address="10.0.0.9"), {}).address == "10.0.0.9"


# Who joins


def test_nodes_that_are_in_their_pool_and_healthy_are_left_alone() -> None:
    found = planned(node(A), node(B), pool((A, "healthy"), (B, "healthy")))

    assert (found.tags, found.untag, found.tell, found.refusal) == ((), (), (), None)
    assert [(one.register, one.deregister, one.left, one.unknown) for one in found.cares] == [((), (), {}, ())]


def test_a_node_that_can_serve_joins_by_its_id_with_the_port_of_the_group() -> None:
    found = care(node(A), pool())

    assert [(one.target, one.node, one.reason) for one in found.register] == [
        (Target(A, 8080), A, "it runs, and its checks pass")
    ]


def test_into_a_group_of_addresses_it_joins_by_its_private_one() -> None:
    assert joins(care(node(A), pool(kind="ip"))) == [Target(node(A).address, 8080)]


def test_into_a_classic_balancer_it_joins_by_its_id_without_a_port() -> None:
    assert joins(care(node(A), pool(kind="classic"))) == [Target(A)]


def test_it_joins_every_pool_of_its_application() -> None:
    found = planned(node(A), pool(), pool(kind="classic", name="old"), pool((A, "healthy"), name="third"))

    assert [joins(one) for one in found.cares] == [[Target(A, 8080)], [Target(A)], []]


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        (node(A, "unsure"), "EC2 says initializing"),
        (node(A, "unsure", "pending"), "EC2 says pending"),
        (node(A, "impaired"), "EC2 says impaired"),
        (node(A, paused="a new kernel"), "it is paused (a new kernel)"),
        (node(A, retired="2026-11-22 too old"), "it is retired (2026-11-22 too old)"),
        (replace(node(A), vpc="vpc-2"), "it is in vpc-2, and the pool in vpc-1"),
    ],
    ids=str,
)
def test_a_node_stays_out_with_a_reason(out: Node, reason: str) -> None:
    found = care(out, node(B), pool((B, "healthy")))

    assert (joins(found), found.left) == ([], {A: reason})


def test_a_node_that_is_gone_and_out_is_not_spoken_of() -> None:
    found = care(node(A, "gone"), node(B), pool((B, "healthy")))

    assert (joins(found), leaves(found), found.left) == ([], [], {})


def test_a_port_of_its_own_is_somebodys_choice_and_counts_as_in() -> None:
    found = care(node(A), pool(by_hand(A, 9090)))

    assert (joins(found), leaves(found)) == ([], [])


def test_a_node_that_is_only_draining_joins_again() -> None:
    assert joins(care(node(A), pool((A, "draining")))) == [Target(A, 8080)]


def test_an_address_that_is_draining_has_to_leave_before_it_joins_again() -> None:
    found = care(node(A), pool((node(A).address, "draining"), kind="ip"))

    assert (joins(found), found.left) == ([], {A: "its address has yet to leave"})


# Who leaves


@pytest.mark.parametrize("word", ["stopping", "stopped", "shutting-down", "terminated"])
@pytest.mark.parametrize("kind", ["instance", "classic"])
def test_a_node_that_does_not_run_leaves_whatever_the_floor(word: str, kind: str) -> None:
    found = care(node(A, "gone", word), node(B), pool((A, "unhealthy"), (B, "unhealthy"), kind=kind), floor=100)

    assert [(one.target.id, one.reason) for one in found.deregister] == [(A, f"it is {word}")]


def test_it_leaves_with_each_port_that_it_has() -> None:
    found = care(node(A, "gone"), node(B), pool(by_hand(A, 9090), by_hand(A, 8080), (B, "healthy")))

    assert sorted(one.target for one in found.deregister) == [Target(A, 8080), Target(A, 9090)]


def test_a_node_that_is_leaving_already_is_not_told_to() -> None:
    found = care(node(A, "gone"), node(B), pool((A, "draining"), (B, "healthy")))

    assert leaves(found) == []


@pytest.mark.parametrize("word", ["pending", "initializing", "insufficient-data"])
@pytest.mark.parametrize("members", [(), ((A, "healthy"),), ((A, "unhealthy"),)], ids=["out", "healthy", "unhealthy"])
def test_while_ec2_does_not_know_a_node_stays_where_it_is(word: str, members: Any) -> None:
    found = care(node(A, "unsure", word), node(B), pool(*members, (B, "healthy")))

    assert (joins(found), leaves(found), found.left) == ([], [], {A: f"EC2 says {word}"})


def test_an_impaired_node_leaves_only_if_the_balancer_does_not_say_healthy() -> None:
    sick = care(node(A, "impaired"), node(B), pool((A, "unhealthy"), (B, "healthy")))
    well = care(node(A, "impaired"), node(B), pool((A, "healthy"), (B, "healthy")))

    assert (leaves(sick), leaves(well)) == ([A], [])
    assert well.left == {A: "EC2 says impaired, and the balancer healthy"}


@pytest.mark.parametrize("state", ["unhealthy", "initial", "unused", "unavailable", "unhealthy.draining"])
def test_a_running_node_that_ec2_holds_for_well_is_never_taken_out(state: str) -> None:
    assert leaves(care(node(A), node(B), pool((A, state), (B, "healthy")), floor=0)) == []


def test_below_the_floor_an_impaired_node_stays() -> None:
    nodes = (node(A, "impaired"), node(B, "impaired"), node(C, "impaired"), node(D))
    members = ((A, "unhealthy"), (B, "unhealthy"), (C, "unhealthy"), (D, "healthy"))

    found = care(*nodes, pool(*members))

    assert leaves(found) == []
    assert found.left[A].endswith("but 1 healthy ones would remain")
    assert leaves(care(*nodes, pool(*members), floor=25)) == [A]


def test_of_those_that_run_one_leaves_in_a_look_and_it_is_the_first_by_its_id() -> None:
    found = care(
        node(A), node(B, "impaired"), node(C, "impaired"), pool((C, "unhealthy"), (B, "unhealthy"), (A, "healthy")),
        floor=30,
    )  # fmt: skip

    assert leaves(found) == [B]
    assert found.left[C].endswith("one after the other")


def test_a_retired_node_leaves_only_if_enough_healthy_ones_remain() -> None:
    retired = node(A, retired="2026-11-22T04:00:00Z old")

    two = care(retired, node(B), pool((A, "healthy"), (B, "healthy")))
    alone = care(retired, pool((A, "healthy")))
    dark = care(retired, node(B), pool((A, "healthy"), (B, "initial")))

    assert (leaves(two), leaves(alone), leaves(dark)) == ([A], [], [])


def test_a_retired_node_that_only_starts_is_waited_for_like_any_other() -> None:
    retired = node(A, "unsure", "pending", retired="2026-11-22T04:00:00Z old")

    found = care(retired, node(B), pool((A, "unhealthy"), (B, "healthy")))

    assert (leaves(found), found.left) == ([], {A: "EC2 says pending"})


def test_healthy_ones_that_do_not_run_any_more_do_not_count_for_the_floor() -> None:
    retired = node(A, retired="2026-11-22T04:00:00Z old")

    found = care(retired, node(B, "gone"), node(C), pool((A, "healthy"), (B, "healthy"), (C, "initial")), floor=30)

    assert leaves(found) == [B]


def test_one_look_after_the_other_retired_nodes_leave_until_the_floor_and_no_further() -> None:
    nodes = [node(name, retired="2026-11-22T04:00:00Z old") for name in (A, B, C, D)]
    states = dict.fromkeys((A, B, C, D), "healthy")
    for _ in range(4):
        states |= dict.fromkeys(leaves(care(*nodes, pool(*states.items()))), "draining")

    assert states == {A: "draining", B: "draining", C: "healthy", D: "healthy"}


def test_without_a_floor_the_last_healthy_node_stays_all_the_same() -> None:
    assert leaves(care(node(A, retired="old"), pool((A, "healthy")), floor=0)) == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["ok", "impaired", "retired"]), st.sampled_from(["healthy", "unhealthy"])),
        min_size=1,
        max_size=9,
    ),
    st.integers(0, 100),
)
def test_whatever_is_read_a_look_takes_at_most_one_that_runs_and_the_floor_stays(
    some: list[tuple[str, str]], floor: int
) -> None:
    ids = [f"i-{number:017x}" for number in range(len(some))]
    nodes = [
        node(name, "ok", retired="x") if state == "retired" else node(name, state)
        for name, (state, _) in zip(ids, some, strict=True)
    ]
    members = [(name, health) for name, (_, health) in zip(ids, some, strict=True)]
    steady = node("i-ffffffffffffffff0")  # so that not every node looks dead

    found = care(*nodes, steady, pool(*members), floor=floor)

    gone = set(leaves(found))
    healthy = {name for name, health in members if health == "healthy"}
    assert len(gone) <= 1
    assert not gone or len(healthy - gone) * 100 >= floor * len(members)
    assert all(some[ids.index(name)][0] != "ok" for name in gone)


# What is nobody's business


@pytest.mark.parametrize("kind", ["instance", "ip", "classic"])
def test_targets_that_are_no_nodes_of_the_application_are_counted_and_never_touched(kind: str) -> None:
    strangers = [("i-99999999999999999", "unhealthy"), ("192.0.2.7", "unused")]
    own = (node(B).address if kind == "ip" else B, "healthy")

    found = care(node(A, "gone"), node(B), pool(*strangers, own, kind=kind), floor=0)

    assert leaves(found) == []
    assert found.unknown == ("192.0.2.7", "i-99999999999999999")


def test_a_paused_node_stays_exactly_as_it_is_in_or_out_dead_or_alive() -> None:
    nodes = (
        node(A, "gone", paused="disk"),
        node(B, "impaired", paused="disk"),
        node(C, paused="disk", retired="old"),
        node(D),
    )

    found = care(*nodes, pool((A, "unused"), (B, "unhealthy"), (C, "healthy"), (D, "healthy")), floor=0)

    assert (joins(found), leaves(found)) == ([], [])
    assert found.left == dict.fromkeys((A, B, C), "it is paused (disk)")


def test_a_paused_pool_stays_exactly_as_it_is_and_the_others_go_on() -> None:
    held = pool((A, "unhealthy"), tags={tags.PAUSED: "a release"})

    found = planned(node(A, "gone"), node(B), held, pool((A, "unhealthy"), name="other"))

    paused, other = found.cares
    assert [one.id for one, _ in paused.known()] == [A]
    assert (paused.register, paused.deregister) == ((), ())
    assert set(paused.left.values()) == {"the pool is paused (a release)"}
    assert (joins(other), leaves(other)) == ([Target(B, 8080)], [A])


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"keeper": "asg-1"}, "kept-by-auto-scaling"),
        ({"kind": "lambda"}, "unknown-kind"),
        ({"kind": "alb"}, "unknown-kind"),
        ({"protocol": "GENEVE"}, "unknown-kind"),
        ({"protocol": "QUIC"}, "unknown-kind"),
        ({"kind": "ip", "family": "ipv6"}, "unknown-kind"),
        ({"kind": "balancer"}, "not-a-pool"),
    ],
)
def test_a_pool_that_is_not_ours_to_keep_is_refused_by_name_and_the_others_go_on(more: Any, name: str) -> None:
    other = replace(pool(), **more)

    found = planned(node(A, "gone"), node(B), other, pool(kind="classic", name="own"))

    refused, kept = found.cares
    assert refused.refusal
    assert (refused.refusal.name, refused.register, refused.deregister) == (name, (), ())
    assert joins(kept) == [Target(B)]
    assert [(one.key, one.text) for one in found.tell] == [(f"payroll.{name}.{other.id}", refused.refusal.sentence)]


def test_instances_of_a_group_with_ipv6_are_registered_all_the_same() -> None:
    assert joins(care(node(A), pool(family="ipv6"))) == [Target(A, 8080)]


def test_what_lasts_is_told_only_when_it_is_due() -> None:
    assert planned(node(A), pool(keeper="asg-1"), is_due=False).tell == ()


def test_pools_without_any_node_are_told_once_and_stay_as_they_are() -> None:
    found = planned(pool(("i-99999999999999999", "healthy")), pool(name="other"))

    assert all(one.refusal and one.refusal.name == "no-nodes" for one in found.cares)
    assert [one.key for one in found.tell] == ["payroll.no-nodes.pools"]


def test_an_address_is_its_nodes_in_the_network_of_the_pool_alone() -> None:
    address = node(A).address
    elsewhere = replace(node(A, "gone", "stopped"), vpc="vpc-2")
    here = replace(node(B), address=address)

    stranger = care(elsewhere, node(C), pool((address, "healthy"), (node(C).address, "healthy"), kind="ip"))
    namesake = care(here, elsewhere, pool((address, "healthy"), kind="ip"))

    assert (leaves(stranger), stranger.unknown) == ([], (address,))
    assert (leaves(namesake), joins(namesake), namesake.unknown) == ([], [], ())


def test_a_notice_of_late_nodes_has_one_key_whichever_of_them_a_look_reads() -> None:
    late = waited(timedelta(minutes=5))
    both, one = (
        planned(*(node(name, **late) for name in names), pool(*((name, "unhealthy") for name in names)))
        for names in ((A, B), (B,))
    )

    assert [told.key for told in both.tell] == [told.key for told in one.tell]


def test_where_people_paused_all_that_looks_dead_nobody_is_called() -> None:
    found = planned(node(A, "gone", paused="holidays"), pool((A, "unused"), tags={tags.PAUSED: "holidays"}))

    assert found.refusal is None
    assert leaves(found.cares[0]) == []


@pytest.mark.parametrize("others", [(), (node(B, "impaired"),)], ids=["alone", "with an impaired one"])
def test_where_every_node_looks_dead_nothing_changes_and_that_is_refused(others: Any) -> None:
    found = planned(node(A, "gone", "terminated"), *others, pool((A, "unused"), (B, "unhealthy")))

    assert found.refusal
    assert found.refusal.name == "all-look-dead"
    assert (found.cares, found.tags, found.untag, found.tell) == ((), (), (), ())


@pytest.mark.parametrize("alive", [node(B), node(B, "unsure", "pending"), node(B, paused="x"), node(B, retired="x")])
def test_where_one_node_may_be_alive_the_dead_ones_leave(alive: Node) -> None:
    assert leaves(care(node(A, "gone", "terminated"), alive, pool((A, "unused")))) == [A]


# Addresses


def test_the_address_of_a_terminated_node_leaves_if_nothing_has_it_now() -> None:
    dead = node(A, "gone", "terminated")
    group = pool((dead.address, "unused"), kind="ip")

    free = care(dead, node(B), group)
    taken = care(dead, node(B), group, taken=frozenset({("vpc-1", dead.address)}))
    elsewhere = care(dead, node(B), group, taken=frozenset({("vpc-2", dead.address)}))

    assert [one.target for one in free.deregister] == [Target(dead.address, 8080)]
    assert (leaves(taken), taken.unknown) == ([], (dead.address,))
    assert leaves(elsewhere) == [A]


@pytest.mark.parametrize("taken", [frozenset({("vpc-1", "10.0.0.97")}), frozenset()], ids=["seen", "not yet seen"])
def test_an_address_that_another_node_has_now_is_that_nodes(taken: frozenset[tuple[str, str]]) -> None:
    dead, heir = node(A, "gone", "terminated"), replace(node(B), address=node(A).address)

    found = care(dead, heir, pool((heir.address, "healthy"), kind="ip"), taken=taken)

    assert (joins(found), leaves(found), found.unknown) == ([], [], ())


def test_the_address_of_a_stopped_node_is_still_its_own() -> None:
    stopped = node(A, "gone", "stopped")

    assert leaves(care(stopped, node(B), pool((stopped.address, "unused"), kind="ip"))) == [A]


# What is remembered, and who is told


def test_when_nodes_are_registered_is_written_by_one_call() -> None:
    found = planned(node(A), node(B), pool(), pool(kind="classic", name="old"))

    assert found.tags == (Tag((A, B), {tags.REGISTERED: stamp(NOW)}),)


def test_an_address_is_written_on_its_node_before_it_is_registered_and_once() -> None:
    known = node(B, registered_ip=f"{node(B).address} vpc-1")

    found = planned(node(A), known, pool(kind="ip"))

    assert found.tags == (
        Tag((A,), {tags.REGISTERED: stamp(NOW), tags.REGISTERED_IP: f"{node(A).address} vpc-1"}),
        Tag((B,), {tags.REGISTERED: stamp(NOW)}),
    )


def test_the_address_of_a_node_that_somebody_registered_is_written_too() -> None:
    assert planned(node(A), pool((node(A).address, "healthy"), kind="ip")).tags == (
        Tag((A,), {tags.REGISTERED_IP: f"{node(A).address} vpc-1"}),
    )


@pytest.mark.parametrize("words", [{}, {"registered": "yesterday"}])
def test_a_member_that_is_not_healthy_is_waited_for_from_now(words: Any) -> None:
    assert planned(node(A, **words), pool((A, "unhealthy"))).tags == (Tag((A,), {tags.REGISTERED: stamp(NOW)}),)


def test_a_node_that_is_waited_for_is_not_waited_for_anew() -> None:
    found = planned(node(A, **waited(timedelta(minutes=4))), pool((A, "initial")), pool(name="other"))

    assert (found.tags, found.tell, found.untag) == ((), (), ())


def test_a_node_that_joins_again_is_waited_for_anew() -> None:
    assert planned(node(A, **waited(timedelta(days=4))), pool()).tags == (Tag((A,), {tags.REGISTERED: stamp(NOW)}),)


def test_a_node_that_is_healthy_everywhere_is_waited_for_no_more() -> None:
    there = node(A, **waited(timedelta(minutes=1)))

    assert planned(there, pool((A, "healthy"))).untag == (A,)
    assert planned(there, pool((A, "healthy")), pool((A, "initial"), name="other")).untag == ()
    assert planned(there, pool((A, "healthy")), pool(name="other")).untag == ()
    assert planned(there, pool((A, "healthy")), unread=("targetgroup/third/0",)).untag == ()


def test_a_node_that_never_becomes_healthy_is_told_with_the_balancers_words() -> None:
    late = waited(timedelta(minutes=5))

    found = planned(node(A, **late), node(B, **late), node(C), pool((A, "unhealthy"), (B, "initial"), (C, "healthy")))

    (told,) = found.tell
    assert told.key == f"payroll.not-healthy.targetgroup/web/0123456789abcdef.{late['registered']}"
    assert told.subject == "Watchkeeper: 2 of the nodes of payroll not healthy in web"
    assert f"{A} ({A}): unhealthy, Why: so" in told.text
    assert f"{B} ({B}): initial, Why: so" in told.text


def test_nobody_waits_in_a_pool_that_is_paused() -> None:
    found = planned(node(A, **waited(timedelta(hours=1))), pool((A, "unhealthy"), tags={tags.PAUSED: "a release"}))

    assert (found.tags, found.untag, found.tell) == ((), (), ())


@pytest.mark.parametrize("words", [{"paused": "x"}, {"retired": "x"}])
def test_nobody_waits_for_a_node_that_is_not_wanted(words: Any) -> None:
    late = waited(timedelta(hours=1))

    found = planned(node(A, **late, **words), node(B), pool((A, "unhealthy"), (B, "healthy")))

    assert (found.tags, found.tell) == ((), ())

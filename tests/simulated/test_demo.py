"""The demo: what its scenes without disks claim holds, and it can be read anywhere."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from region import Region, Simulated
from region.demo import mistake, web_node
from region.demo.__main__ import (
    play_application,
    play_death,
    play_kills,
    play_mistake,
    play_nights,
    play_web_node,
)
from region.demo.calendar import nights_of
from region.demo.death import claims_of, claims_of_kills, rows_of, strips_of
from region.demo.nights import KILLED, NIGHTS, REFUSED
from region.demo.paper import WIDTH, Paper
from region.demo.story import Claim, tell
from region.world import World

if TYPE_CHECKING:
    from typing import Any

    from region.demo.absence import Absence
    from region.demo.nights import Month
    from region.demo.outage import Outage
    from region.demo.rescue import Rescue


@dataclass(frozen=True)
class Told:
    """What was written, and what it stands on."""

    application: str
    nights: str
    month: Month


@dataclass(frozen=True)
class Death:
    """What was written of the deaths, and what it stands on."""

    told: str
    outage: Outage
    killed: list[Outage]


@dataclass(frozen=True)
class Web:
    """What was written of the web nodes' deaths, and what it stands on."""

    told: str
    heard: Absence
    unheard: Absence


@dataclass(frozen=True)
class Mistake:
    """What was written of the mistake, and what it stands on."""

    told: str
    rescue: Rescue


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def there(signs: str) -> str:
    """A strip without its lengths: whether it was there, or not yet or not any more."""
    return "".join(sign for sign, _ in groupby(signs.replace("▄", " ")))


@pytest.fixture(scope="module")
def told() -> Told:
    first, second, machines = io.StringIO(), io.StringIO(), Simulated(seed=7)
    play_application(Paper.at(first))
    with Region(machines=machines, seed=7) as region:
        month = play_nights(region, machines, Paper.at(second))
    return Told(first.getvalue(), second.getvalue(), month)


@pytest.fixture(scope="module")
def undone() -> Mistake:
    out = io.StringIO()
    rescue = play_mistake(Paper.at(out))
    return Mistake(out.getvalue(), rescue)


@pytest.fixture(scope="module")
def death() -> Death:
    out = io.StringIO()
    outage = play_death(Paper.at(out))
    killed = play_kills(outage, Paper.at(out))
    return Death(out.getvalue(), outage, killed)


@pytest.fixture(scope="module")
def web() -> Web:
    out = io.StringIO()
    heard, unheard = play_web_node(Paper.at(out))
    return Web(out.getvalue(), heard, unheard)


def test_every_claim_about_the_nights_holds(told: Told) -> None:
    assert [claim.sentence for claim in told.month.claims if not claim.holds] == []


def test_the_application_is_drawn_with_its_volumes_and_with_what_looks_after_it(told: Told) -> None:
    host, root, data = (line for line in told.application.splitlines() if " vol-" in line or "database-host" in line)

    assert "smallpayroll-database" in host
    assert "left alone" in root
    assert "one set" in data
    for function in ("snapshot_database", "prune_snapshots", "show_status"):
        assert function in told.application


def test_the_pool_is_drawn_with_its_nodes_and_the_balancers_word_for_each_and_who_keeps_it(told: Told) -> None:
    lines = told.application.splitlines()
    title = next(number for number, line in enumerate(lines) if "application load balancer" in line)

    assert "web-pool" in lines[title]
    assert ["balancer: healthy" in line for line in lines[title + 1 : title + 4]] == [True, True, False]
    assert "register_web_nodes" in lines[title + 4]
    assert "register_web_nodes     each minute" in told.application


def test_the_calendar_shows_the_last_week_the_best_of_weeks_and_months_and_two_nights_that_went_wrong(
    told: Told,
) -> None:
    nights = nights_of(told.month)

    assert "".join(night.mark.sign for night in nights) == "········m·····w······w·ddddddd"
    assert {number: night.note for number, night in enumerate(nights) if night.note != " "} == {
        REFUSED: "*",
        KILLED: "+",
    }


def test_the_figures_are_of_all_that_was_made(told: Told) -> None:
    made, kept = sum(len(sets) for sets in told.month.nights), len(told.month.kept)

    assert made == NIGHTS + 1
    assert f"{made}, {made - kept}, {kept}" in told.nights


def test_every_claim_about_the_mistake_holds(undone: Mistake) -> None:
    assert [claim.sentence for claim in mistake.claims_of(undone.rescue) if not claim.holds] == []


def test_the_restore_is_drawn_until_its_undo_is_done(undone: Mistake) -> None:
    old, new, server, rows = (strip.signs for strip in mistake.strips_of(undone.rescue))

    assert len(set(map(len, (old, new, server, rows)))) == 1
    assert [there(signs) for signs in (old, new, server)] == ["█ █", " █ ", "█ █ █"]
    assert rows[-1] == "█"
    assert "▁" < min(sign for sign in rows if sign.strip()) < rows[0]
    assert all(signs.rstrip() in undone.told for signs in (old, new, server, rows))


def test_each_step_of_rehearsal_restore_and_undo_is_told_with_its_time(undone: Mistake) -> None:
    rescue = undone.rescue
    restored, back = rescue.restored.job.steps, rescue.undone.job.steps

    assert set(mistake.REHEARSES) <= set(rescue.rehearsal.steps)
    assert sorted(mistake.RESTORES, key=lambda step: restored[step]) == list(mistake.RESTORES)
    assert set(mistake.RESTORES) - set(back) == {"CreateVolume"}
    assert all(words in undone.told for words in (*mistake.REHEARSES.values(), *mistake.RESTORES.values()))


@pytest.mark.parametrize(
    "change",
    [
        {"is_proven": False}, {"left": ("i-1",)}, {"copied": 1}, {"sets": 2}, {"did": ("launched",)}, {"clashes": 1},
        {"notices": ()},
    ],
)  # fmt: skip
def test_a_mistake_that_went_otherwise_is_not_told_as_if_it_had_not(undone: Mistake, change: dict[str, Any]) -> None:
    assert not all(claim.holds for claim in mistake.claims_of(replace(undone.rescue, **change)))


@pytest.mark.parametrize("change", [{"found": 1}, {"aside": 1}])
@pytest.mark.parametrize("which", ["restored", "undone"])
def test_nor_is_one_whose_rows_are_others(undone: Mistake, which: str, change: dict[str, Any]) -> None:
    otherwise = replace(undone.rescue, **{which: replace(getattr(undone.rescue, which), **change)})

    assert not all(claim.holds for claim in mistake.claims_of(otherwise))


def test_every_claim_about_the_deaths_holds(death: Death) -> None:
    claims = (*claims_of(death.outage), *claims_of_kills(death.outage, death.killed))

    assert [claim.sentence for claim in claims if not claim.holds] == []


def test_the_death_is_drawn_until_clients_write_again(death: Death) -> None:
    strips = {strip.name: strip.signs for strip in strips_of(death.outage)}

    assert len({len(signs) for signs in strips.values()}) == 1
    assert {name: "".join(dict.fromkeys(signs)) for name, signs in strips.items() if name != "clients"} == {
        "old host": "█ ",
        "new host": " ▄█",
        "volume": "█ ▄",
        "PostgreSQL": "█ ▄",
        "its name": "█ ",
    }
    assert all(signs.rstrip() in death.told for signs in strips.values())


def test_each_step_is_told_at_its_time_with_its_reason_and_the_mail_as_it_was(death: Death) -> None:
    times = [step.after for step in death.outage.steps]

    assert [step.words.split()[0] for step in death.outage.steps] == [
        "launches", "attaches", "has", "lets", "tells", "writes",
    ]  # fmt: skip
    assert death.outage.woken < times[0]
    assert times == sorted(times)
    assert all(step.reason in death.told for step in death.outage.steps)
    assert f"{death.outage.old} was found dead" in death.told


def test_there_is_a_row_for_each_write_that_the_function_was_killed_before(death: Death) -> None:
    _, undisturbed, *rows = rows_of(death.outage, death.killed)

    assert undisturbed[0] == "nothing"
    assert [row[0].split()[1] for row in rows] == list(death.outage.writes)
    assert {row[-1] for row in rows} == {"the same"}


@pytest.mark.parametrize(
    "change",
    [
        {"answered": (-1.0,)}, {"missing": 1}, {"new": ("i-1", "i-2")}, {"clashes": 1}, {"is_led": False},
        {"notices": ()}, {"notices": ("Asked of you: mend it.",)},
    ],
)  # fmt: skip
def test_a_death_that_went_otherwise_is_not_told_as_if_it_had_not(death: Death, change: dict[str, Any]) -> None:
    assert not all(claim.holds for claim in claims_of(replace(death.outage, **change)))


@pytest.mark.parametrize(
    "change",
    [
        {"answered": (-1.0,)}, {"missing": 1}, {"new": ()}, {"clashes": 1}, {"is_killed": False},
        {"notices": ("twice", "twice")}, {"notices": (), "alarms": ()}, {"world": World((), (), ())},
    ],
)  # fmt: skip
def test_nor_is_one_kill_of_many_that_went_otherwise(death: Death, change: dict[str, Any]) -> None:
    killed = [replace(death.killed[0], **change), *death.killed[1:]]

    assert not all(claim.holds for claim in claims_of_kills(death.outage, killed))


def test_every_claim_about_the_web_nodes_holds(web: Web) -> None:
    claims = web_node.claims_of(web.heard, web.unheard)

    assert [claim.sentence for claim in claims if not claim.holds] == []


def test_a_web_nodes_death_is_drawn_until_another_is_in(web: Web) -> None:
    dead, place, new, its, answered, failed = (strip.signs for strip in web_node.strips_of(web.heard))

    assert len(set(map(len, (dead, place, new, its, answered, failed)))) == 1
    assert ["".join(dict.fromkeys(signs)) for signs in (dead, place, new, its)] == ["█ ", "█▄ ", " ▄█", " ▄█"]
    assert failed.strip()
    assert all(signs.rstrip() in web.told for signs in (dead, place, new, its, answered, failed))


def test_who_did_what_is_told_in_order_with_watchkeepers_reasons(web: Web) -> None:
    _, *steps = web_node.steps_of(web.heard)

    assert [words.split()[0] for _, _, words, _ in steps] == [
        "terminates", "takes", "sends", "launches", "forgets", "registers", "sends",
    ]  # fmt: skip
    assert [change.reason for change in web.heard.changes] == ["it is shutting-down", "it runs, and its checks pass"]
    assert all(change.reason in web.told for change in web.heard.changes)


def test_without_events_more_requests_fail_and_a_sweep_comes(web: Web) -> None:
    heard, unheard = (len(one.failed) for one in (web.heard, web.unheard))

    assert 0 < heard < unheard
    assert web.heard.changed("DeregisterTargets", web.heard.old) < web.heard.out
    assert web.unheard.out < web.unheard.changed("DeregisterTargets", web.unheard.old)
    for one in (web.heard, web.unheard):
        assert f"{len(one.failed)} of {len(one.moments)}" in web.told


@pytest.mark.parametrize(
    "change",
    [
        {"changes": ()}, {"mails": 1}, {"new": "i-1"}, {"old": "i-1"}, {"moments": ()},
    ],
)  # fmt: skip
def test_a_web_nodes_death_that_went_otherwise_is_not_told_as_if_it_had_not(web: Web, change: dict[str, Any]) -> None:
    assert not all(one.holds for one in web_node.claims_of(replace(web.heard, **change), web.unheard))
    assert not all(one.holds for one in web_node.claims_of(web.heard, replace(web.unheard, **change)))


@pytest.mark.parametrize("change", [{"is_answered": False}, {"pool": {}}])
def test_nor_is_one_whose_last_moment_was_otherwise(web: Web, change: dict[str, Any]) -> None:
    *most, last = web.heard.moments
    otherwise = replace(web.heard, moments=(*most, replace(last, **change)))

    assert not all(one.holds for one in web_node.claims_of(otherwise, web.unheard))


def test_what_is_no_terminal_gets_plain_lines_that_fit(told: Told, undone: Mistake, death: Death, web: Web) -> None:
    sentences = (
        *mistake.claims_of(undone.rescue),
        *claims_of(death.outage),
        *claims_of_kills(death.outage, death.killed),
        *web_node.claims_of(web.heard, web.unheard),
    )
    texts = told.application + told.nights + undone.told + death.told + web.told
    lines = texts.splitlines() + [f"  yes  {one.sentence}" for one in sentences]

    assert all(line.isprintable() and len(line) <= WIDTH for line in lines)


def test_a_claim_that_does_not_hold_is_told_and_fails() -> None:
    out = io.StringIO()

    assert not tell(Paper.at(out), [Claim("water is wet", True), Claim("the earth is flat", False)])
    assert "NO   the earth is flat" in out.getvalue()


@pytest.mark.parametrize(("env", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals_and_not_where_they_are_not_wanted(env: dict[str, str], is_coloured: bool) -> None:
    assert Paper.at(Terminal(), env).is_coloured is is_coloured
    assert not Paper.at(io.StringIO(), env).is_coloured


def test_progress_is_shown_on_terminals_alone() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        Paper.at(stream, {}).progress("night 1 of 30")

    assert "night 1 of 30" in terminal.getvalue()
    assert file.getvalue() == ""


def test_an_output_without_the_characters_of_the_drawings_gets_simpler_ones() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Paper.at(stream).draw(["┌─ db-1 ─┐"])

    stream.seek(0)
    assert stream.read() == "+- db-1 -+\n"

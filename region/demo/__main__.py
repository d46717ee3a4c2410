"""Tells the story: `python -m region.demo`."""

from __future__ import annotations

import sys
import time

from region import Region, Simulated
from region.demo import power_cut
from region.demo.calendar import legend_of, nights_of, notes_of
from region.demo.cast import find_application, find_watches
from region.demo.drawing import draw_application, draw_calendar, draw_figures, draw_legend
from region.demo.nights import NIGHTS, Month, live
from region.demo.paper import Paper
from region.demo.story import tell
from region.needs import DISKS, find_lack

NAME = "smallpayroll"


def main() -> int:
    """Tell all scenes that this machine can play; 1 if something in them did not hold."""
    paper = Paper.at()
    began = time.monotonic()
    machines = Simulated(seed=7)
    with Region(machines=machines, seed=7) as region:
        play_application(region, paper)
        holds = tell(paper, play_nights(region, machines, paper).claims)
    paper.head("3  The same on real disks, and the power fails")
    if lack := find_lack(DISKS):
        paper.say(f"Real disks need {lack}. To see it, on Debian: sudo make system && sudo make demo")
    else:
        holds &= power_cut.play(paper, NAME)
    verdict = "All of it holds." if holds else "NOT all of it holds: see the lines that say NO."
    paper.draw(["", f"{verdict} ({time.monotonic() - began:.0f} seconds)"])
    return 0 if holds else 1


def play_application(region: Region, paper: Paper) -> None:
    """The application and what looks after it, deployed."""
    paper.head("1  An application, and who looks after it")
    paper.say(
        "An AWS region is made on this machine; nothing leaves it. Two templates are deployed into it: "
        f"examples/{NAME}.yaml, a small team's database on a host of its own, and template.yaml, which is Watchkeeper."
    )
    paper.progress("deploying (some seconds)")
    region.deploy(f"examples/{NAME}.yaml")
    region.deploy("template.yaml", Email="you@example.com", ReplaceDatabaseHosts="false")
    paper.wipe()
    paper.draw(draw_application(find_application(region, NAME), find_watches(region), paper.paint))


def play_nights(region: Region, machines: Simulated, paper: Paper) -> Month:
    """The nights, as a calendar and in figures."""
    paper.head(f"2  {NIGHTS} nights pass")
    paper.say(
        "The clock is turned forward. Schedules fall due, and the real functions run: each night they freeze the "
        "database, snapshot it, thaw it, and prune what no rule keeps. In one night PostgreSQL refuses; in another the "
        "function is killed. This takes about 20 seconds."
    )
    month = live(region, machines, paper.progress)
    paper.wipe()
    nights = nights_of(month)
    paper.draw([*draw_calendar(nights, paper.paint), ""])
    paper.draw([*draw_legend(legend_of(nights), notes_of(month), paper.paint), ""])
    paper.draw([*draw_figures(month.figures()), ""])
    paper.say("The morning after, show_status answers:")
    paper.draw([*(f"  {line}".rstrip() for line in region.invoke("show_status", {}).splitlines()), ""])
    paper.say("What was checked:")
    return month


if __name__ == "__main__":
    sys.exit(main())

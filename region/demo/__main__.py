"""Tells the story: `python -m region.demo`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from region import Region, Simulated, minutes
from region.demo import death, mistake, power_cut, web_node
from region.demo.absence import REQUESTS
from region.demo.calendar import legend_of, nights_of, notes_of
from region.demo.cast import ADDRESS, deploy, find_application, find_watches
from region.demo.drawing import draw_application, draw_calendar, draw_figures, draw_legend, draw_strips, draw_table
from region.demo.nights import NIGHTS, Month, live
from region.demo.outage import CLIENTS
from region.demo.paper import Paper
from region.demo.story import tell
from region.needs import DISKS, find_lack

if TYPE_CHECKING:
    from region.demo.absence import Absence
    from region.demo.outage import Outage
    from region.demo.rescue import Rescue

NAME, WEB = "smallpayroll", "smallpayroll_web"
OTHERS = ("RehearseRestores", "ReplaceDatabaseHosts", "RegisterWebNodes")
"""What looks by itself, besides that which makes sets."""


def main() -> int:
    """Tell all scenes that this machine can play; 1 if something in them did not hold."""
    paper = Paper.at()
    began = time.monotonic()
    play_application(paper)
    machines = Simulated(seed=7)
    with Region(machines=machines, seed=7) as region:
        holds = tell(paper, play_nights(region, machines, paper).claims)
    holds &= tell(paper, mistake.claims_of(play_mistake(paper)))
    outage = play_death(paper)
    holds &= tell(paper, death.claims_of(outage))
    holds &= tell(paper, death.claims_of_kills(outage, play_kills(outage, paper)))
    holds &= tell(paper, web_node.claims_of(*play_web_node(paper)))
    paper.head("7  The database on real disks, and the power fails")
    if lack := find_lack(DISKS):
        paper.say(f"Real disks need {lack}. To see it, on Debian: sudo make system && sudo make demo")
    else:
        holds &= power_cut.play(paper, NAME)
    verdict = "All of it holds." if holds else "NOT all of it holds: see the lines that say NO."
    paper.draw(["", f"{verdict} ({time.monotonic() - began:.0f} seconds)"])
    return 0 if holds else 1


def play_application(paper: Paper) -> None:
    """The application and what looks after it, deployed, once its web nodes are in their pool."""
    paper.head("1  An application, and who looks after it")
    paper.say(
        f"An AWS region is made on this machine; nothing leaves it. Three templates are deployed into it: "
        f"examples/{NAME}.yaml, a small team's database on a host of its own, examples/{WEB}.yaml, two web nodes "
        f"behind a load balancer, and template.yaml, which is Watchkeeper. Some minutes later:"
    )
    paper.progress("deploying (some seconds)")
    with Region(machines=Simulated(seed=7), seed=7) as region:
        web = region.deploy(f"examples/{WEB}.yaml")
        deploy(region, NAME)
        region.run(lambda: web_node.is_full(region, web["WebPool"]), at_most=minutes(10))
        application, watches = find_application(region, NAME), find_watches(region)
    paper.wipe()
    paper.draw(draw_application(application, watches, paper.paint))


def play_nights(region: Region, machines: Simulated, paper: Paper) -> Month:
    """The nights, as a calendar and in figures."""
    paper.head(f"2  {NIGHTS} nights pass")
    paper.say(
        "The clock is turned forward. Schedules fall due, and the real functions run: each night they freeze the "
        "database, snapshot it, thaw it, and prune what no rule keeps. In one night PostgreSQL refuses; in another the "
        "function is killed. Hosts are left to themselves in these nights. This takes about 20 seconds."
    )
    paper.progress("deploying (some seconds)")
    region.deploy(f"examples/{NAME}.yaml")
    region.deploy("template.yaml", Email="you@example.com", **dict.fromkeys(OTHERS, "false"))
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


def play_mistake(paper: Paper) -> Rescue:
    """A mistake: what a set is worth, and how it takes the database's place, and gives it back."""
    paper.head("3  A mistake, and the way back")
    paper.say(
        "The same application, and a client that writes a row each second. In the night a set is made. Whether it "
        "restores is tried: rehearse_restore looks each hour, and where the newest proof is a week old, or missing, it"
    )
    paper.progress("deploying (some seconds)")
    rescue = mistake.live(NAME, paper.progress)
    paper.wipe()
    paper.draw([*draw_table(mistake.rehearsed(rescue), paper.paint), ""])
    paper.say(
        "Later somebody deletes what must stay, and asks restore_database for the latest set that is proven, in the "
        "database's place. Then it turns out that the newer rows are needed more, and somebody asks to undo that:"
    )
    paper.draw([*draw_strips(mistake.strips_of(rescue), mistake.notes_of(rescue), paper.paint), ""])
    paper.say("█ is there and works, ▄ is on its way. What restore_database did, both times:")
    paper.draw([*draw_table(mistake.steps_of(rescue), paper.paint), ""])
    paper.say("What was checked:")
    return rescue


def play_death(paper: Paper) -> Outage:
    """A host dies: what becomes of it, of its volume, and of its clients."""
    paper.head("4  A host dies")
    paper.say(
        f"The same application, and {CLIENTS} clients that write to it each second, by the name {ADDRESS}. "
        "Its hardware fails, and EC2 terminates it. That wakes replace_database_host, which looks, and does what makes "
        "sense by then, until all is well:"
    )
    paper.progress("a host dies (some seconds)")
    outage = death.die(NAME)
    paper.wipe()
    paper.draw([*draw_strips(death.strips_of(outage), death.notes_of(outage), paper.paint), ""])
    paper.say(
        "█ is there and works, ▄ is on its way. The name is as clients hear of it: a change takes Route 53 up to a "
        "minute. What the function answers that it did:"
    )
    paper.draw([*draw_table(death.steps_of(outage), paper.paint), ""])
    paper.say("This mail goes out:")
    paper.quote("\n".join(outage.notices))
    paper.say("What was checked:")
    return outage


def play_kills(outage: Outage, paper: Paper) -> list[Outage]:
    """The same death, with the function killed before each of its writes."""
    paper.head("5  The same host dies again, and so does the function")
    paper.say(
        "Each time the function that is woken by the death is killed, before another of its writes. It kept nothing: "
        "the next sweep, within a minute, looks at the world and goes on from there. This takes some seconds."
    )
    killed = death.kill_each(NAME, outage, paper.progress)
    paper.wipe()
    paper.draw([*draw_table(death.rows_of(outage, killed), paper.paint), ""])
    paper.say("What was checked:")
    return killed


def play_web_node(paper: Paper) -> tuple[Absence, Absence]:
    """A web node dies: what becomes of its pool and of those who ask, and of the node that comes."""
    paper.head("6  A web node dies, and another comes")
    paper.say(
        f"The two web nodes, and {REQUESTS} requests a second to their load balancer. A node's hardware fails, and EC2 "
        "terminates it. That wakes register_web_nodes. Half a minute later somebody launches another node from the "
        "same template, and does no more:"
    )
    paper.progress("deploying (some seconds)")
    told, untold = web_node.live(WEB, paper.progress)
    paper.wipe()
    paper.draw([*draw_strips(web_node.strips_of(told), web_node.notes_of(told), paper.paint), ""])
    paper.say(
        "█ runs, or gets requests; ▄ is on its way, in or out. The region's events come at once; AWS promises no time. "
        "A new node waits for EC2's checks of it, and then for the next sweep. Who did what:"
    )
    paper.draw([*draw_table(web_node.steps_of(told), paper.paint), ""])
    paper.say("Then another node dies, and all of EC2's events are lost, so that only sweeps look. Both times:")
    paper.draw([*draw_table(web_node.rows_of(told, untold), paper.paint), ""])
    paper.say("What was checked:")
    return told, untold


if __name__ == "__main__":
    sys.exit(main())

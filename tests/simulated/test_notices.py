"""What people are told is told once, and can be read where it was claimed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from region import Death, Died, Interleave, LostAnswer, Region, ServerError, minutes
from watchkeeper.aws import notices
from watchkeeper.aws.notices import Place
from watchkeeper.runtime import BOTO, once

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "payroll/refused/stopped by a person/2026-11-22T04:00:00Z"
SUBJECT = "payroll: its host was stopped by a person"
TEXT = "Nobody is asked for anything: i-1 was stopped by a person, and is left alone."


@dataclass(frozen=True)
class Desk:
    """A log group and a topic with one who reads it, and what a function tells there."""

    region: Region
    place: Place
    logs: Any
    sns: Any

    def tell(self, key: str = KEY, subject: str = SUBJECT) -> bool:
        return notices.tell(self.logs, self.sns, self.place, key, subject, TEXT)

    @property
    def told(self) -> list[tuple[str, str]]:
        """Subject and text of each mail."""
        return [(mail["subject"], mail["message"]) for mail in self.region.bus.mail()]

    @property
    def written(self) -> dict[str, list[str]]:
        """What lies in the log group, by stream."""
        logs, group = self.region.client("logs"), self.place.group
        streams = [one["logStreamName"] for one in logs.describe_log_streams(logGroupName=group)["logStreams"]]
        return {
            name: [event["message"] for event in logs.get_log_events(logGroupName=group, logStreamName=name)["events"]]
            for name in streams
        }


@pytest.fixture
def desk(region: Region) -> Desk:
    logs, sns, session = region.client("logs"), region.client("sns"), region.wire.session
    logs.create_log_group(logGroupName="notices")
    topic = sns.create_topic(Name="notices")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com")
    return Desk(
        region, Place("notices", topic), session.client("logs", config=BOTO), session.client("sns", config=once(10))
    )


def test_a_notice_is_told_and_can_be_read_in_the_log(call: Callable[..., Any], desk: Desk) -> None:
    assert call(desk.tell)

    assert desk.told == [(SUBJECT, TEXT)]
    assert desk.written == {KEY.replace(":", "%3A"): [f"{SUBJECT}\n\n{TEXT}"]}


def test_a_notice_is_told_once_by_three_at_once(
    region: Region, begin: Callable[..., Any], desk: Desk, trial: int
) -> None:
    region.faults.add(Interleave(trial))
    looks = [begin(desk.tell, f"look-{number}") for number in range(3)]
    region.run(region.quiet, at_most=minutes(2))

    assert [look.error for look in looks] == [None] * 3
    assert sorted(look.result for look in looks) == [False, False, True]
    assert len(desk.told) == 1


def test_another_notice_is_another(call: Callable[..., Any], desk: Desk) -> None:
    keys = ["pay:roll", "pay-roll", "pay*roll", "pay%3Aroll", "x" * 600 + "a", "x" * 600 + "b", "ü" * 600]

    assert [call(lambda key=key: desk.tell(key)) for key in keys] == [True] * len(keys)

    assert [call(lambda key=key: desk.tell(key)) for key in keys] == [False] * len(keys)
    assert len(desk.told) == len(desk.written) == len(keys)
    assert all(len(stream) <= 512 and not {":", "*"} & set(stream) for stream in desk.written)


@pytest.mark.parametrize("fault", [Death(before=2), Death(after=2), Death(before=3)])
def test_one_who_dies_after_the_claim_leaves_the_text_once_it_was_written(
    region: Region, call: Callable[..., Any], desk: Desk, fault: Death
) -> None:
    region.faults.add(fault)
    with pytest.raises(Died):
        call(desk.tell)

    assert not call(desk.tell)

    assert desk.told == []
    assert [len(events) for events in desk.written.values()] == [0 if fault.before == 2 else 1]


def test_one_who_dies_before_the_claim_leaves_it_to_the_next(
    region: Region, call: Callable[..., Any], desk: Desk
) -> None:
    region.faults.add(Death(before=1))
    with pytest.raises(Died):
        call(desk.tell)

    assert call(desk.tell)

    assert desk.told == [(SUBJECT, TEXT)]


@pytest.mark.parametrize(
    ("fault", "error", "told"), [(LostAnswer("Publish"), ReadTimeoutError, 1), (ServerError("Publish"), ClientError, 0)]
)
def test_a_publication_whose_end_is_unknown_is_raised_and_not_sent_again(
    region: Region, call: Callable[..., Any], desk: Desk, fault: Any, error: type[Exception], told: int
) -> None:
    region.faults.add(fault)
    with pytest.raises(error):
        call(desk.tell)

    assert not call(desk.tell)

    assert len(desk.told) == told
    assert [len(events) for events in desk.written.values()] == [1]


def test_without_the_log_group_nothing_is_told_and_that_is_raised(
    region: Region, call: Callable[..., Any], desk: Desk
) -> None:
    region.client("logs").delete_log_group(logGroupName="notices")

    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        call(desk.tell)

    assert desk.told == []


@pytest.mark.parametrize(
    ("subject", "line"),
    [
        ("two\nlines\tand more ", "two lines and more"),
        ("Zürich", "Z?rich"),
        ("x" * 120, "x" * 99),
        ("bell\a", "bell?"),
    ],
)
def test_a_subject_is_one_line_of_ascii(call: Callable[..., Any], desk: Desk, subject: str, line: str) -> None:
    assert call(lambda: desk.tell(subject=subject))

    assert [told for told, _ in desk.told] == [line]

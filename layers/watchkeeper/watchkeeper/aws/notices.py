"""Notices: what people are told, once, whoever looks and however often."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchkeeper.runtime import now

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sns import SNSClient

logger = logging.getLogger(__name__)

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html
LONGEST_STREAM = 512
NOT_IN_A_STREAM = str.maketrans({"%": "%25", ":": "%3A", "*": "%2A"})

# "Less than 100 characters", no line breaks: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
LONGEST_SUBJECT = 99


@dataclass(frozen=True, slots=True)
class Place:
    """Where notices are remembered, a log group, and where they are told, a topic."""

    group: str
    topic: str


def tell(logs: CloudWatchLogsClient, sns: SNSClient, place: Place, key: str, subject: str, text: str) -> bool:
    """Tells what `key` stands for; False if it was told before, by whomever.

    Told at most once, since a doubled notice is never believed again. So the key is claimed first, by a log stream of
    that name, which can be made once alone:
    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html
    Then the text is written there, then published: killed before that, or where an answer is lost, the stream is what
    remains, and the text in it if the claim was answered. Raises the ClientError of each of the three calls: of the
    claim nothing is done, and the next look tells; after it, it is not told again, and what was raised says so.
    `sns` must be a client that sends once, since Publish has no token for a topic of this kind.
    """
    stream = name(key)
    try:
        logs.create_log_stream(logGroupName=place.group, logStreamName=stream)
    except logs.exceptions.ResourceAlreadyExistsException:
        return False
    logs.put_log_events(
        logGroupName=place.group,
        logStreamName=stream,
        logEvents=[{"timestamp": int(now().timestamp() * 1000), "message": f"{subject}\n\n{text}"}],
    )
    sns.publish(TopicArn=place.topic, Subject=line(subject), Message=text)
    logger.info("notice told", extra={"notice": key})
    return True


def name(key: str) -> str:
    """A key as the name of a log stream: no two keys have one name. A long one ends in its digest."""
    plain = key.translate(NOT_IN_A_STREAM)
    if len(plain) <= LONGEST_STREAM:
        return plain
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{plain[: LONGEST_STREAM - len(digest) - 1]}~{digest}"


def line(subject: str) -> str:
    """A subject as SNS takes it: one line of ASCII, cut where it is too long."""
    words = " ".join(subject.split())
    return "".join(one if " " <= one <= "~" else "?" for one in words)[:LONGEST_SUBJECT].rstrip()

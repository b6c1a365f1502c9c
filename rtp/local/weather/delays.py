"""How long the weather's delays last: a few seconds here, so that suites stay fast, beside what AWS takes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

SPEED = float(os.environ.get("RTP_LOCAL_WEATHER_SPEED", "1"))  # divides every delay of the engine


@dataclass(frozen=True, slots=True)
class Delay:
    """A range in seconds. aws: the time that it stands for, in words."""

    shortest_s: float
    longest_s: float
    aws: str

    def __str__(self) -> str:
        """For docs, such as `0.5 to 2 s; on AWS seconds to a minute`."""
        return f"{self.shortest_s:g} to {self.longest_s:g} s; on AWS {self.aws}"

    def draw(self, random: Random) -> float:
        """A time from the range, in seconds."""
        return random.uniform(self.shortest_s, self.longest_s) / SPEED

    def of(self, identity: str) -> float:
        """As `draw`, but the same time for the same identity."""
        digest = hashlib.sha256(identity.encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        return (self.shortest_s + share * (self.longest_s - self.shortest_s)) / SPEED


EVENT_SOURCE = Delay(0.5, 2.5, "seconds to a minute")
FUNCTION = Delay(0.5, 2.5, "seconds, with a VPC or SnapStart minutes")
TABLE = Delay(0.5, 2.5, "seconds, for an index minutes to hours")
API_KEY = Delay(1.0, 4.0, "up to a minute")
PERMISSION = Delay(1.0, 4.0, "seconds to minutes")
TAGS_OF_DELETED = Delay(3.0, 8.0, "minutes to an hour")
TAGS_OF_NEW = Delay(0.5, 3.0, "seconds to minutes")
LOG_EVENT = Delay(0.0, 2.5, "seconds, at times minutes")
QUERY = Delay(0.2, 1.0, "seconds")
TRACE = Delay(0.3, 3.0, "up to half a minute")
METRIC = Delay(2.0, 5.0, "one to fifteen minutes")
ALARM = Delay(0.5, 2.5, "up to the period of the alarm")
STACK_READ = Delay(0.3, 1.5, "a second or more")
STACK_EVENT = Delay(0.2, 1.2, "seconds")
CHANGE_SET = Delay(0.5, 2.0, "seconds to minutes")

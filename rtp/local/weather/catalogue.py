"""Every effect, in the order in which a call meets them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from rtp.errors import UsageError
from rtp.local.weather.effects.api_keys import ApiKeys
from rtp.local.weather.effects.clocks import Clocks
from rtp.local.weather.effects.connections import Resets
from rtp.local.weather.effects.counts import QueueCounts
from rtp.local.weather.effects.credentials import ExpiredCredentials
from rtp.local.weather.effects.custom_resources import RepeatedRequests
from rtp.local.weather.effects.deliveries import Duplicates, Order
from rtp.local.weather.effects.event_sources import EventSourceStates
from rtp.local.weather.effects.failures import ServerErrors
from rtp.local.weather.effects.functions import FailedUpdates, FunctionStates
from rtp.local.weather.effects.log_events import LogEvents
from rtp.local.weather.effects.metrics import AlarmStates, Metrics
from rtp.local.weather.effects.pages import SmallPages
from rtp.local.weather.effects.partial_batches import PartialBatches
from rtp.local.weather.effects.permissions import Permissions
from rtp.local.weather.effects.reads import LaggingReads
from rtp.local.weather.effects.receives import ShortReceives
from rtp.local.weather.effects.stacks import ChangeSets, StackEvents, StackReads
from rtp.local.weather.effects.tables import TableStates
from rtp.local.weather.effects.tag_search import TagSearch
from rtp.local.weather.effects.throttling import Throttling
from rtp.local.weather.effects.traces import Traces

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.local.weather.effect import Effect

EFFECTS: tuple[type[Effect], ...] = (
    Clocks,
    Throttling,
    ServerErrors,
    Resets,
    ExpiredCredentials,
    SmallPages,
    QueueCounts,
    LaggingReads,
    PartialBatches,
    ShortReceives,
    Order,
    Duplicates,
    EventSourceStates,
    FunctionStates,
    FailedUpdates,
    TableStates,
    ApiKeys,
    Permissions,
    StackReads,
    StackEvents,
    ChangeSets,
    RepeatedRequests,
    TagSearch,
    LogEvents,
    Traces,
    Metrics,
    AlarmStates,
)


def chosen(names: Iterable[str]) -> list[type[Effect]]:
    """The effects with these names; all that are not optional if there are none."""
    selected = set(names)
    return [kind for kind in EFFECTS if (kind.name in selected if selected else not kind.is_optional)]


def check(names: Iterable[str]) -> None:
    """Raises UsageError for an unknown effect."""
    known = [kind.name for kind in EFFECTS]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise UsageError(
                f"There is no effect {name!r}.{f' Did you mean {near[0]!r}?' if near else ''}",
                hint=f"Effects: {', '.join(known)}.",
            )

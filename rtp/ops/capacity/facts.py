"""Prices, quotas and estimates of `aws.toml`, with their sources."""

from __future__ import annotations

from datetime import date  # noqa: TC003 (msgspec reads the type)
from functools import cache
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("aws.toml")


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A default quota of AWS. service, code: for Service Quotas, where the account can have another value."""

    value: float
    unit: str
    source: str
    service: str = ""
    code: str = ""


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price of AWS in US dollars. tiers: (up to this many units a month, price of a unit)."""

    unit: str
    tiers: tuple[tuple[float, float], ...]
    source: str

    def of(self, units: float) -> float:
        """The dollars for this many units in one month."""
        dollars = start = 0.0
        for end, price in self.tiers:
            dollars += max(0.0, min(units, end) - start) * price
            start = end
        return dollars


class Estimates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the pipeline does for an event, where neither a setting nor AWS says it. `aws.toml` says what each is."""

    invocation_s: float
    gateway_s: float
    poll_s: float
    item_bytes: int
    log_bytes_event: int
    log_bytes_invocation: int
    sampled: float
    key_reuse_s: float
    bucket_key_share: float


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. region: of the prices. read: the day on which the pages were read."""

    region: str
    read: date
    quotas: dict[str, Quota]
    prices: dict[str, Price]
    estimates: Estimates


@cache
def facts() -> Facts:
    """The facts of `aws.toml`."""
    return msgspec.toml.decode(FILE.read_bytes(), type=Facts)


def unit_price(name: str) -> float:
    """The price of a unit in the first tier, in US dollars."""
    return facts().prices[name].tiers[0][1]

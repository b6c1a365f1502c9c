"""The capacity of a pipeline: known figures computed by hand, each limit by name, and properties of any load."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.config.settings import Settings
from rtp.errors import UsageError
from rtp.ops.capacity import load as loads
from rtp.ops.capacity.contradictions import contradictions
from rtp.ops.capacity.cost import monthly
from rtp.ops.capacity.facts import Price, facts
from rtp.ops.capacity.flow import flow, hidden_s, mean_attempts
from rtp.ops.capacity.latency import waiting_s
from rtp.ops.capacity.limits import Limit, Quotas
from rtp.ops.capacity.load import Load
from rtp.ops.capacity.report import Capacity, capacity


def load(rate: float = 100.0, **values: Any) -> Load:
    return Load(**{"rate": rate, "average": rate, **values})


def result(rate: float = 100.0, settings: dict[str, Any] | None = None, **values: Any) -> Capacity:
    return capacity("dev", Settings(**(settings or {})), load(rate, **values))


def limit(name: str, *args: Any, **values: Any) -> Limit:
    (found,) = (n for n in result(*args, **values).limits if n.name == name)
    return found


# Of the defaults: batches of 10 in 0.08 s + one round of 100 ms = 0.18 s; a record of 1 KB of data and 1 KB besides is
# 2 write units; an attempt writes the record twice, and its index entry three times the first time.
@pytest.mark.parametrize(
    ("name", "values", "max_rate"),
    [
        ("key-rate", {}, 100),
        ("key-rate", {"keys": 3}, 300),
        ("daily-quota", {}, 10_000 / 86_400),
        # A tenth of the busiest time's rate over the day: the busiest time may have ten times the day's mean.
        ("daily-quota", {"average": 10.0}, 10 * 10_000 / 86_400),
        ("throttle-rate", {}, 1000),
        ("api-rate", {}, 10_000),
        ("worker-concurrency", {}, 10 * 10 / 0.18),
        ("pollers-start", {}, 5 * 10 / 0.18),
        ("lambda-concurrency", {}, 1000 * 10 / 0.18),
        ("lambda-concurrency", {"via": "process"}, 1000 / 0.18),
        ("lambda-requests", {}, 10 * 1000 * 10),
        ("lambda-requests", {"via": "process"}, 10 * 1000),
        ("lambda-burst", {"via": "process"}, 1000 / 0.18),
        ("sqs-in-flight", {}, 120_000 / 0.18),
        ("index-shards", {}, 4 * 1000 / (2 * 2)),
        ("dynamodb-table", {}, 40_000 / (2 * 2)),
        ("dynamodb-index", {}, 40_000 / (3 * 2)),
        ("dynamodb-new-table", {}, 4000 / (3 * 2)),
        ("s3-prefix", {}, 3500 * 10),
        ("s3-prefix", {"via": "process"}, 3500),
        ("kms-without-reuse", {}, 100_000 / (1 + 1 + 0.2)),
        ("kms-requests", {}, (100_000 - 5 / 300) / (0.01 * 0.2 + 2 * 0.018 / 300)),
        ("xray-segments", {}, 2600 / (0.05 + 0.05 / 10 * 2)),
        ("log-requests", {}, 5000 * 10),
    ],
)
def test_each_limit_is_reached_at_the_rate_that_follows_from_its_quota(
    name: str, values: dict[str, Any], max_rate: float
) -> None:
    assert limit(name, **values).max_rate == pytest.approx(max_rate)


def test_a_processor_that_takes_longer_than_the_timeout_fits_no_rate() -> None:
    late = result(duration_ms=31_000)
    assert (late.first, late.max_rate, late.fits) == ("worker-timeout", 0.0, False)
    assert limit("worker-timeout", duration_ms=29_000).exceeded is False
    # The API waits 29 s, whatever the setting
    assert limit("api-timeout", 1.0, {"timeout_s": 900}, duration_ms=29_000, via="process").exceeded is True
    # And a batch takes as many rounds as its events need
    slow = limit("worker-timeout", 1.0, {"batch_concurrency": 1}, duration_ms=3500)
    assert slow.needed == pytest.approx(0.08 + 35)
    assert slow.exceeded is True


def test_reserved_concurrency_limits_the_api_function_and_takes_it_from_the_worker() -> None:
    found = capacity("prod", Settings(), load(via="process"), reserved=100)
    by_name = {n.name: n for n in found.limits}
    assert by_name["reserved-concurrency"].max_rate == pytest.approx(100 / 0.18)
    queued = capacity("prod", Settings(), load(), reserved=100)
    assert {n.name: n for n in queued.limits}["lambda-concurrency"].quota == 900


def test_failing_attempts_cost_more_of_each_part() -> None:
    # Half of the attempts fail, of at most two: 1.5 attempts. The first writes the index 3 times, a later one 4 times
    found = flow(Settings(max_receive_count=2), load(failing=0.5), facts())
    assert (found.queued, found.table, found.index, found.hot) == (1.5, 2 * 1.5 * 2, (3 + 4 * 0.5) * 2, 2 * 1.5 * 2)
    assert mean_attempts(1, 5) == 5 and mean_attempts(0, 5) == 1
    # One wait of 1 s, of which the upper half is random, after half of the first attempts
    assert hidden_s(Settings(max_receive_count=2), 0.5) == pytest.approx(0.5 * 0.75)
    # All events wait twelve hours between 5 attempts: the queue may have 120,000 of them
    waiting = {"backoff_base_s": 900, "backoff_cap_s": 43_200, "max_receive_count": 5}
    assert limit("sqs-in-flight", 10.0, waiting, failing=1.0).max_rate == pytest.approx(
        120_000 / (0.75 * 900 * (1 + 2 + 4 + 8) + 5 * 0.18)
    )


def test_large_data_is_an_object_of_its_own() -> None:
    large = flow(Settings(), load(size_bytes=200_000), facts())
    assert large.units == 1
    assert large.puts == pytest.approx(1.1)
    assert large.objects == pytest.approx(1.2)


def test_the_example_of_the_issue() -> None:
    found = result(5000.0, {"throttle_rate": 5000}, size_bytes=2048, duration_ms=120, failing=0.01)
    assert found.fits is False
    # 10 batches at once of 10 events in 0.2 s, and 1.0101 attempts for an event
    assert {n.name: n.max_rate for n in found.limits}["worker-concurrency"] == pytest.approx(500 / 1.0101010101)
    assert found.settings == {
        "key_rate": 5000,
        "daily_quota": 432_000_000,
        "worker_concurrency": math.ceil(5000 * 1.0101010101 / 10 * 0.2),
        "index_shards": math.ceil(5000 * 2 * 1.0101010101 * 3 / 1000),
    }
    changes = {n.name: n.change for n in found.limits if n.change}
    assert changes["key-rate"] == "key_rate = 5000, or send with 50 keys"
    assert "ask AWS for" in changes["dynamodb-index"] and "L-AB614373" in changes["dynamodb-index"]
    assert found.latency.refused == 4900 and found.latency.backlog == pytest.approx(5000 - 500 / 1.0101010101)
    assert found.latency.processed_ms is None


def test_a_setting_at_its_most_says_what_else_to_do() -> None:
    (change,) = (n.change for n in result(100_000.0).limits if n.name == "worker-concurrency")
    assert change.startswith("worker_concurrency = 1000 is the most, 56% of what this rate needs: shorten")


@given(st.sampled_from(["events", "process", "queue"]), st.floats(0.1, 50_000), st.integers(1, 256 * 1024))
def test_the_settings_that_are_named_make_their_limits_fit(via: Any, rate: float, size: int) -> None:
    before = result(rate, via=via, size_bytes=size)
    after = {n.name: n for n in result(rate, before.settings, via=via, size_bytes=size).limits}
    for old in before.limits:
        if old.value is not None and "is the most" not in old.change:
            assert not after[old.name].exceeded


RATE = st.floats(0.01, 200_000)
VIA = st.sampled_from(["events", "process", "queue"])


@given(VIA, RATE, RATE, st.floats(0, 1))
def test_a_higher_rate_needs_more_costs_more_and_fits_no_better(
    via: Any, one: float, two: float, failing: float
) -> None:
    low, high = (result(rate, via=via, failing=failing) for rate in sorted((one, two)))
    assert low.fits or not high.fits
    assert low.total <= high.total * (1 + 1e-9)
    for below, above in zip(low.limits, high.limits, strict=True):
        assert below.needed <= above.needed * (1 + 1e-9)
        assert below.max_rate == above.max_rate


SIZES, DURATIONS = st.integers(1, 180_000), st.integers(1, 20_000)  # larger data is not in the record


@given(VIA, st.tuples(SIZES, SIZES), st.tuples(DURATIONS, DURATIONS))
def test_larger_and_slower_events_never_raise_a_limit(
    via: Any, sizes: tuple[int, int], durations: tuple[int, int]
) -> None:
    better = result(via=via, size_bytes=min(sizes), duration_ms=min(durations))
    worse = result(via=via, size_bytes=max(sizes), duration_ms=max(durations))
    for fast, slow in zip(better.limits, worse.limits, strict=True):
        if fast.max_rate is not None:
            assert slow.max_rate is not None and slow.max_rate <= fast.max_rate * (1 + 1e-9)


@given(RATE, st.integers(2, 1000), st.integers(2, 1000))
def test_more_workers_wait_less(rate: float, one: int, two: int) -> None:
    few, many = sorted((one, two))
    longer, shorter = waiting_s(rate, few, 0.2), waiting_s(rate, many, 0.2)
    assert longer is None or (shorter is not None and shorter <= longer * (1 + 1e-6) + 1e-12)


def test_waiting_is_erlang_s() -> None:
    # One server at half its load waits as long as it serves; two at half theirs a third (Erlang C = 1/3, by hand)
    assert waiting_s(5, 1, 0.1) == pytest.approx(0.1)
    assert waiting_s(10, 2, 0.1) == pytest.approx(1 / 3 * 0.1 / (2 * 0.5))
    assert waiting_s(10, 1, 0.1) is None
    assert waiting_s(0, 5, 0.1) == 0


def test_latency_is_the_sum_of_its_parts() -> None:
    quiet = result(1.0, {"key_rate": 1000}).latency
    assert quiet.processed_ms == pytest.approx(30 + 20 + 180, abs=0.1) and quiet.accepted_ms == 30
    assert result(1.0, via="process").latency.processed_ms == pytest.approx(30 + 180)
    # 50 batches at once: 45 more than the five that begin, at 300 a minute
    busy = result(50 * 10 / 0.18, {"worker_concurrency": 100, "index_shards": 100, "throttle_rate": 10_000}).latency
    assert busy.scaled_s == pytest.approx(9)


def test_a_million_events_cost_what_the_page_about_cost_says() -> None:
    # The row "rtp, /events, batch 10" of docs/cost.md: 0.085 s for a batch, that is 5 ms for the processor
    sent, settings = load(duration_ms=5), Settings()
    costs = monthly(settings, sent, flow(settings, sent, facts(), batch=10), facts(), events=1e6)
    dollars = {cost.part: cost.dollars for cost in costs}
    assert dollars["API Gateway"] == pytest.approx(3.50)
    assert dollars["SQS"] == pytest.approx(0.48)
    assert dollars["Lambda"] == pytest.approx(0.1 * 0.20 + 1e5 * 0.085 * 0.5 * 13.3334e-6)
    assert dollars["DynamoDB"] == pytest.approx(6.25)
    assert dollars["S3"] == pytest.approx(1.00)
    assert dollars["CloudWatch Logs"] + dollars["X-Ray"] == pytest.approx(0.80)
    assert dollars["CloudWatch"] == pytest.approx(8 * 0.10 + 3)


def test_tiers_are_paid_one_after_the_other() -> None:
    price = Price(unit="request", tiers=((100, 3.0), (200, 2.0), (math.inf, 1.0)), source="")
    assert [price.of(units) for units in (0, 50, 100, 150, 250)] == [0, 150, 300, 400, 550]


def test_every_price_and_quota_has_a_page_of_aws_as_source() -> None:
    known = facts()
    sources = [quota.source for quota in known.quotas.values()] + [price.source for price in known.prices.values()]
    assert all(source.split("/")[2].endswith(("aws.amazon.com", "repost.aws")) for source in sources)
    assert all(bool(quota.code) == bool(quota.service) for quota in known.quotas.values())
    assert all(price.tiers[-1][0] == math.inf for price in known.prices.values())


def test_quotas_of_the_account_take_the_place_of_the_defaults() -> None:
    known = Quotas.defaults(facts())
    own = replace(known, values={**known.values, "api-rate": 500}, own=frozenset({"api-rate"}), unreserved=50)
    by_name = {n.name: n for n in capacity("dev", Settings(), load(), quotas=own).limits}
    assert (by_name["api-rate"].max_rate, by_name["api-rate"].origin) == (500, "account")
    assert by_name["lambda-concurrency"].quota == 50
    assert by_name["sqs-in-flight"].origin == "default"


def test_events_without_a_key_have_no_limit_of_a_key() -> None:
    names = {n.name for n in result(1.0, {"auth": "iam"}).limits}
    assert not names & {"key-rate", "daily-quota"} and "throttle-rate" in names
    assert not {n.name for n in result(1.0, via="queue").limits} & {
        "key-rate",
        "daily-quota",
        "throttle-rate",
        "api-rate",
    }


@pytest.mark.parametrize(("text", "expected"), [("2KB", 2048), ("500", 500), ("0.2 MB", 209_715), ("1kib", 1024)])
def test_sizes(text: str, expected: int) -> None:
    assert loads.size(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1KB", "2 GB", "1e3", "1MB"])
def test_what_is_no_size_of_an_event(text: str) -> None:
    with pytest.raises(UsageError):
        loads.size(text)


@pytest.mark.parametrize(("text", "expected"), [("1%", 0.01), ("0.01", 0.01), ("100%", 1.0), ("0", 0.0)])
def test_shares(text: str, expected: float) -> None:
    assert loads.share(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "2", "101%", "-1%", "one"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(UsageError):
        loads.share(text)


def test_the_defaults_do_not_contradict_each_other() -> None:
    assert contradictions(Settings()) == []


@pytest.mark.parametrize(
    ("settings", "beginnings"),
    [
        (
            {"throttle_rate": 5000},
            [
                "throttle_rate = 5000 takes 50 keys",
                "throttle_rate = 5000 accepts more than worker",
                "throttle_rate = 5000",
            ],
        ),
        ({"key_rate": 2000, "daily_quota": 10_000_000}, ["key_rate = 2000 is never reached"]),
        ({"key_burst": 5000}, ["key_burst = 5000 is never reached"]),
        ({"key_rate": 500}, ["A key that sends at key_rate = 500 gets 429 for the rest of the day"]),
        (
            {"throttle_rate": 1000, "worker_concurrency": 2},
            ["throttle_rate = 1000 accepts more than worker_concurrency"],
        ),
        ({"index_shards": 1}, ["throttle_rate = 1000 accepts more than index_shards = 1 takes, about 250 events"]),
        ({"timeout_s": 10}, ["alarm_duration_ms = 20000 is longer than timeout_s = 10"]),
        (
            {"max_receive_count": 20, "backoff_base_s": 900, "backoff_cap_s": 43_200},
            ["max_receive_count = 20 attempts take up to 7.2 days"],
        ),
    ],
)
def test_settings_that_contradict_each_other_are_named(settings: dict[str, Any], beginnings: list[str]) -> None:
    texts = contradictions(Settings(**settings))
    assert len(texts) == len(beginnings), texts
    assert all(text.startswith(beginning) for text, beginning in zip(texts, beginnings, strict=True)), texts


def test_the_quota_of_a_day_is_named_with_the_keys() -> None:
    (text, *_) = contradictions(Settings(throttle_rate=5000, key_rate=100, daily_quota=10_000))
    assert text.endswith("and a key's daily_quota = 10,000 is used up in 100 s at that rate.")
    # Callers who sign have no key
    assert not [t for t in contradictions(Settings(throttle_rate=5000, auth="iam")) if "key" in t]

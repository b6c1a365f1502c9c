"""Declaring, checking, loading and testing processors."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from rtp.runtime import Event, Reject, loading, models, testing
from rtp.runtime.registry import Processor, ProcessorError, Registry
from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import message, world

if TYPE_CHECKING:
    from pathlib import Path


@dataclasses.dataclass
class Line:
    sku: str
    price: Decimal


@dataclasses.dataclass
class Order:
    lines: list[Line]
    note: str = ""


ORDER_SCHEMA = {
    "type": "object",
    "properties": {"lines": {"type": "array", "items": {"type": "object", "required": ["sku"]}}},
    "required": ["lines"],
    "additionalProperties": False,
}


# Eight threads convert data to each of 200 classes that no thread has used before.
AT_ONCE = """
import sys, threading
from dataclasses import make_dataclass
from rtp.runtime import models

sys.setswitchinterval(1e-6)
for n in range(200):
    line = make_dataclass("Line", [("sku", str), ("count", int)])
    order = make_dataclass("Order", [("lines", dict[str, list[line]]), ("note", str, "")])
    assert not models.problem(order)
    together = threading.Barrier(8)
    def convert():
        together.wait()
        models.convert(order, {"lines": {"a": [{"sku": "x", "count": 1}]}})
    threads = [threading.Thread(target=convert) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def add(function: Any, type: Any = "t", data: Any = None) -> Registry:
    registry = Registry()
    registry.add(Processor(type, function, data))
    return registry


def test_a_processor_takes_the_event_and_nothing_else() -> None:
    def two(event: Event, more: int) -> None: ...

    with pytest.raises(ProcessorError, match=r"test_processors\.py:\d+: two must take one argument"):
        add(two)


def test_a_generator_is_refused() -> None:
    def gen(event: Event) -> Any:
        yield event

    with pytest.raises(ProcessorError, match="return its result"):
        add(gen)


@pytest.mark.parametrize("type", ["", "x" * 129, None, 5])
def test_a_type_is_a_string_of_1_to_128_characters(type: Any) -> None:
    with pytest.raises(ProcessorError, match="1 to 128"):
        add(lambda _: None, type)


def test_a_type_has_one_processor() -> None:
    registry = add(lambda _: None)

    with pytest.raises(ProcessorError, match=r"has a processor already, at .*test_processors\.py:"):
        registry.add(Processor("t", lambda _: None))


def test_data_is_converted_to_a_dataclass() -> None:
    order = models.convert(Order, {"lines": [{"sku": "a", "price": Decimal("1.10")}]})

    assert order == Order([Line("a", Decimal("1.10"))])
    with pytest.raises(models.MismatchError) as refused:
        models.convert(Order, {"lines": [{"sku": 5, "price": 1}]})
    (problem,) = refused.value.problems
    assert (problem.path, problem.message) == ("$.data.lines[0].sku", "Expected `str`, got `int`")


@pytest.mark.parametrize(
    ("data", "path"),
    [({}, "$.data"), ({"lines": [{}]}, "$.data.lines[0]"), ({"lines": [], "x": 1}, "$.data")],
)
def test_data_is_checked_against_a_json_schema(data: Any, path: str) -> None:
    with pytest.raises(models.MismatchError) as refused:
        models.convert(ORDER_SCHEMA, data)

    assert refused.value.problems[0].path == path


@pytest.mark.parametrize("number", [1, Decimal("1.5"), 10**30])
def test_exact_numbers_match_number_in_a_schema(number: Any) -> None:
    models.convert({"properties": {"n": {"type": "number", "minimum": 0.5}}}, {"n": number})


@pytest.mark.parametrize("model", [{"type": "nonsense"}, {"pattern": object()}, 5, "Order"])
def test_an_unusable_model_is_reported(model: Any) -> None:
    assert models.problem(model).startswith("data=")


@pytest.mark.parametrize("model", [Order, ORDER_SCHEMA, dict])
def test_a_usable_model_has_no_problem(model: Any) -> None:
    assert models.problem(model) == ""


CHECK = """
import json, sys
from pathlib import Path
from rtp.runtime.loading import check
report = check(Path(sys.argv[1]))
print(json.dumps([[(p.type, p.function.__name__, p.is_async) for p in report.processors], report.problems]))
"""


def check(tmp_path: Path, source: str) -> tuple[list[list[Any]], list[str]]:
    """Check a file as a deploy does, in a child interpreter. Returns its processors and problems."""
    file = tmp_path / "processors.py"
    file.write_text(source)
    argv = [sys.executable, "-c", CHECK, str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    processors, problems = json.loads(done.stdout.splitlines()[-1])
    return processors, problems


def test_check_lists_what_a_file_declares(tmp_path: Path) -> None:
    processors, problems = check(
        tmp_path,
        "from dataclasses import dataclass\n"
        "from rtp.runtime import processor\n"
        "@dataclass\nclass Order:\n    total: int\n"
        "@processor('a', data=Order)\ndef one(event):\n    pass\n"
        "@processor('b')\nasync def two(event):\n    pass\n",
    )

    assert problems == []
    assert processors == [["a", "one", False], ["b", "two", True]]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def x(:\n", "processors.py:1: "),
        ("\nimport nonsense_that_is_not_there\n", "processors.py:2: ModuleNotFoundError: "),
        ("raise SystemExit(3)\n", "processors.py:1: SystemExit: 3"),
        (
            "from rtp.runtime import processor\n@processor('a')\ndef one(e): ...\n@processor('a')\ndef two(e): ...\n",
            "processors.py:4: 'a' has a processor already, at ",
        ),
        ("from rtp.runtime import processor\n@processor('a')\ndef one(): ...\n", "processors.py:2: one must take one"),
        (
            "from rtp.runtime import processor\n@processor('a', data={'type': 'x'})\ndef one(e): ...\n",
            "processors.py:2: one: data= cannot be used",
        ),
    ],
)
def test_check_reports_place_and_reason(tmp_path: Path, source: str, problem: str) -> None:
    _, (reported,) = check(tmp_path, source)

    assert problem in reported


def test_a_module_that_cannot_be_imported_fails_the_events_and_is_imported_again(tmp_path: Path) -> None:
    file = tmp_path / "late_processors.py"
    file.write_text("import nothing_of_that_name\n")
    registry = Registry()
    sys.path.insert(0, str(tmp_path))
    try:
        loading.load("late_processors", registry)
        assert "nothing_of_that_name" in str(registry.failure)

        file.write_text("fine = True\n")
        loading.load("late_processors", registry)
        assert registry.failure is None
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("late_processors", None)


def double(event: Event) -> Any:
    if event.data["n"] < 0:
        raise Reject("negative")
    if event.data["n"] == 0:
        raise ValueError("zero")
    event.emit("doubled", {"n": event.data["n"] * 2})
    return {"n": event.data["n"] * 2, "attempt": event.attempt}


async def double_async(event: Event) -> Any:
    return double(event)


@pytest.mark.parametrize("function", [double, double_async])
def test_running_an_event_without_aws(function: Any) -> None:
    registry = add(function, "t", {"required": ["n"]})

    ran = testing.run("t", {"n": 0.1}, attempt=2, registry=registry)

    assert (ran.outcome, ran.result) == ("processed", {"n": Decimal("0.2"), "attempt": 2})
    assert [e.type for e in ran.emitted] == ["doubled"]
    assert testing.run("t", {"n": -1}, registry=registry).outcome == "rejected"
    failed = testing.run("t", {"n": 0}, registry=registry)
    assert (failed.outcome, str(failed.error)) == ("failed", "zero")
    invalid = testing.run("t", {}, registry=registry)
    assert (invalid.outcome, invalid.problems[0].path) == ("invalid", "$.data")
    assert testing.run("", {}, registry=registry).outcome == "invalid"
    assert testing.run("other", {"n": 1}, registry=registry).outcome == "processed"


def test_an_event_for_calling_a_processor_directly() -> None:
    assert double(testing.event("any", {"n": 1.5}))["n"] == 3


@dataclasses.dataclass
class Exits:
    n: int = 0

    def __post_init__(self) -> None:
        if self.n == 1:
            raise RuntimeError("the model's own")
        if self.n == 2:
            sys.exit("bye")


def exits(event: Event[Exits]) -> None:
    if event.data.n:
        sys.exit(3)


async def exits_async(event: Event[Exits]) -> None:
    if event.data.n:
        sys.exit(3)


async def cancels_itself(event: Event[Exits]) -> None:
    if event.data.n:
        raise asyncio.CancelledError


@pytest.mark.parametrize("processor", [exits, exits_async, cancels_itself])
def test_what_ends_a_program_ends_one_attempt_alone(processor: Any) -> None:
    """In a batch of the worker as in a test of a processor."""
    here = world()
    here.registry.add(Processor("t", processor, Exits))
    bodies = {f"e{n}": message(fakes.event(f"e{n}", n=n), f"e{n}") for n in (0, 1, 2, 3)}

    answer = here.deliver(*bodies.values())

    assert set(fakes.failures(answer)) == {"e1", "e2", "e3"}
    for n, (kind, text) in enumerate(
        [
            (None, ""),
            ("RuntimeError", "the model's own"),
            ("ExitedError", "SystemExit: bye"),
            ("ExitedError", "CancelledError" if processor is cancels_itself else "SystemExit: 3"),
        ]
    ):
        ran = testing.run("t", {"n": n}, registry=here.registry)
        record = here.dynamo.record(f"e{n}")
        assert ran.outcome == record["status"] == ("failed" if kind else "processed")
        assert ran.processor is not None and (ran.processor.function.__name__, ran.processor.where) == (
            processor.__name__,
            Processor("t", processor).where,
        )
        if kind is not None:
            assert (type(ran.error).__name__, str(ran.error)) == (kind, text)
            assert (record["error"]["type"], record["error"]["message"]) == (kind, text)


def test_a_class_that_was_checked_can_be_used_by_several_threads_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")

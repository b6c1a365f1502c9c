"""The registry of processors: which function processes which type of event."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from rtp.runtime import jsontext, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.runtime.event import Emitted, Event

Function = TypeVar("Function", bound="Callable[[Event[Any]], Any]")


class Reject(Exception):
    """Refuses an event without retry: its message moves to the dead-letter queue with this reason."""


class ExitedError(Exception):
    """A processor or its model ended the way that a program does: by SystemExit, or by cancelling itself."""


class ProcessorError(Exception):
    """A processor is declared wrongly, or its module cannot be imported; the message has the place."""


class Answer(NamedTuple):
    """The result of a processor as exact JSON, and the events that it emitted."""

    result: Any
    emitted: tuple[Emitted, ...]


class Processor(NamedTuple):
    """One registered function. `data` is the model that the event's data must match, or None."""

    type: str
    function: Callable[[Event[Any]], Any]
    data: Any = None

    @property
    def is_async(self) -> bool:
        """Whether it is an `async def`."""
        return inspect.iscoroutinefunction(self.function)

    @property
    def where(self) -> str:
        """file:line of its definition."""
        code = inspect.unwrap(self.function).__code__
        return f"{code.co_filename}:{code.co_firstlineno}"

    def call(self, event: Event[Any]) -> Answer:
        """Call a function that is not async. Raises its exceptions, and JsonError if the result is not JSON.

        A SystemExit becomes an ExitedError: it ends the attempt, and not the process that runs other events.
        """
        try:
            return _answer(event, self.function(event))
        except SystemExit as error:
            raise exited(error) from error

    async def call_async(self, event: Event[Any]) -> Answer:
        """Call an async function; see `call`. Raises CancelledError only where its task is cancelled from outside."""
        import asyncio

        try:
            return _answer(event, await self.function(event))
        except SystemExit as error:  # it would end the loop of all async processors
            raise exited(error) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise exited(error) from error


class Registry:
    """Processors by event type."""

    def __init__(self) -> None:
        self._by_type: dict[str, Processor] = {}
        self.failure: BaseException | None = None
        """Why the processors could not be loaded; while it is set, every event fails with it and is retried."""

    def add(self, new: Processor) -> None:
        """Register a processor. Raises ProcessorError if its declaration cannot work."""
        if not isinstance(new.type, str) or not 0 < len(new.type) <= wire.MAX_NAME:
            raise ProcessorError(f"@processor takes an event type of 1 to {wire.MAX_NAME} characters, not {new.type!r}")
        if new.type == wire.DRILL:
            where = f"{new.where}: " if inspect.isroutine(new.function) else ""
            raise ProcessorError(f"{where}the event type {wire.DRILL!r} is reserved for `rtp drill`")
        if not inspect.isroutine(new.function):
            raise ProcessorError(f"@processor({new.type!r}) decorates a function, not {new.function!r}")
        if problem := _signature_problem(new.function):
            raise ProcessorError(f"{new.where}: {new.function.__name__} {problem}")
        other = self._by_type.get(new.type)
        if other is not None and other.where != new.where:
            raise ProcessorError(f"{new.where}: {new.type!r} has a processor already, at {other.where}")
        self._by_type[new.type] = new

    def get(self, type: str) -> Processor | None:
        """Return the processor of a type; None if its events are stored as is."""
        if self.failure is not None:
            return Processor(type, self._fail)
        return self._by_type.get(type)

    def __contains__(self, type: object) -> bool:
        return type in self._by_type

    def _fail(self, _event: Event[Any]) -> Any:
        raise self.failure or ProcessorError("the processors could not be loaded")

    def __iter__(self) -> Iterator[Processor]:
        return iter(self._by_type.values())


REGISTRY = Registry()
"""Where `@processor` registers; the user's module is imported once per function instance."""


def processor(type: str, *, data: Any = None) -> Callable[[Function], Function]:
    """Register a function, async or not, for events of a type.

    The function gets the Event and returns JSON, or None to store the event as is. `data` may be a dataclass, a msgspec
    Struct or a JSON Schema (a dict): other data is refused with 400 and its paths, and `event.data` is an instance of
    the class. The function is returned unchanged, with its own type.
    """

    def register(function: Function) -> Function:
        REGISTRY.add(Processor(type, function, data))
        return function

    return register


def exited(error: BaseException) -> ExitedError:
    """The failure of an attempt that was ended by an exception for whole programs."""
    return ExitedError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _answer(event: Event, result: Any) -> Answer:
    """Return the answer. Raises JsonError with the paths in a result that cannot be stored."""
    emitted = tuple(event.emitted)
    for one in emitted:
        if not hasattr(one, "body"):
            raise TypeError(f"event.emitted has {type(one).__name__}; use event.emit(type, data)")
    return Answer(None if result is None else jsontext.exact(result), emitted)


def _signature_problem(function: Callable[..., Any]) -> str:
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        return "must take one argument, the event"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return "must return its result, not yield it"
    return ""

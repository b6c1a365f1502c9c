"""The local engine's state: what is printed as JSON, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.local import losses
from rtp.local.weather.choice import Weather  # noqa: TC001 (the JSON reference reads the type)
from rtp.text.elements import Element, Fields, Line, advice, bad, good, line, name, warn

if TYPE_CHECKING:
    from rtp.local.engine import EngineStatus


@dataclass(frozen=True, slots=True)
class EngineReport:
    """The engine's state, without its token and its key.

    state: running, stopped, killed, or elsewhere: served by a process that is not visible from here.
    endpoint_url, port, pid: of the running engine; null where none runs. answers: whether it answers requests.
    enforces_iam: whether it enforces the permissions of roles; null where none runs.
    folder: where its data is. log_file: its own log. data_lost: whether data was lost since the last save.
    copied: whether the folder was copied from one whose engine was running.
    saved: time of the last save, ISO 8601. loss: a sentence about what its data lacks; empty if nothing is lost.
    save_every_s: seconds between its saves; 0 if only a stop saves; null where none runs.
    save_error: why the latest of them failed; empty if it did not.
    weather: how a running engine behaves as AWS does on a bad day; null if it answers at once.
    """

    state: str
    endpoint_url: str | None
    port: int | None
    pid: int | None
    answers: bool
    enforces_iam: bool | None
    folder: str
    log_file: str
    data_lost: bool = False
    copied: bool = False
    saved: str | None = None
    loss: str = ""
    save_every_s: float | None = None
    save_error: str = ""
    weather: Weather | None = None


def report(status: EngineStatus, *, data_lost: bool = False, loss: str = "") -> EngineReport:
    """Report the state of an engine. loss: a sentence about lost data, instead of the state's own."""
    running = status.engine
    return EngineReport(
        state=status.state,
        endpoint_url=running.endpoint_url if running else None,
        port=running.port if running else None,
        pid=running.pid if running else None,
        answers=status.answers,
        enforces_iam=running.enforces_iam if running else None,
        folder=str(status.folder),
        log_file=str(status.log_file),
        data_lost=data_lost,
        copied=status.copied,
        saved=status.saved,
        loss=loss or status.loss,
        save_every_s=running.save_every_s if running else None,
        save_error=status.save_error,
        weather=running.weather if running else None,
    )


def render(report: EngineReport) -> list[Element]:
    """Show the state, and how to start an engine that does not run."""
    if report.state == "stopped" and report.copied:
        return [advice(f"The engine is not running. {report.loss}"), advice(losses.restart(report.saved))]
    if report.state == "elsewhere":
        return [line("The engine runs in a process that is not visible from here, such as in another container.")]
    if report.state == "stopped":
        return [advice("The engine is stopped. Start it with `rtp local start`.")]
    if report.state == "killed":
        return [
            Line((bad("killed"),)),
            line(report.loss),
            advice(losses.restart(report.saved)),
        ]
    return [
        Fields(
            (
                ("State", Line((good("running"),) if report.answers else (warn("running, but does not answer"),))),
                ("Endpoint", Line((name(str(report.endpoint_url)),))),
                ("Process", report.pid),
                *([("Weather", str(report.weather))] if report.weather else []),
                ("Permissions", "enforced" if report.enforces_iam else "not enforced"),
                ("Folder", report.folder),
                ("Saved", _saved(report)),
                ("Log", report.log_file),
            )
        )
    ]


def frequency(save_every_s: float) -> str:
    """Return how often an engine saves, in words."""
    return f"every {save_every_s:g} s while there are requests" if save_every_s else "at a stop alone"


def _saved(report: EngineReport) -> Line:
    """When the data was saved last, how often it is, and why that failed."""
    at = losses.when(report.saved) if report.saved else "not yet"
    if report.save_error:
        return line(f"{at}; ", bad(f"the latest save failed: {report.save_error}"))
    return line(f"{at}; {frequency(report.save_every_s or 0)}")

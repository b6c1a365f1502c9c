"""Which files of a project a watch compares: all that decides what a deploy would do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rtp.config import FILE
from rtp.errors import RtpError
from rtp.infra import packing
from rtp.ops.stack.build import processors
from rtp.ops.stack.build.synth import extension_paths
from rtp.ops.stack.code.watch import Watched

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.config import Environment


def watched(environment: Environment, without: frozenset[str] = frozenset()) -> Watched:
    """Return rtp.toml, the processors and what is packed with them, the requirements, and the inputs of the extension.

    The requirements come with the files that they include or name. without: files that a synthesis writes itself.
    """
    paths = [environment.file or environment.root / FILE]
    sources: packing.Sources | None = None
    try:  # where one of them is not there, the deploy names it, and the watch goes on until it is
        paths += [path for path in (environment.processors, environment.requirements) if path is not None]
        sources = processors.sources_of(environment)
        paths += _packed_elsewhere(sources) if sources is not None else []
        requirements = processors.requirements_of(environment)
        paths += requirements.files() if requirements is not None else []
    except RtpError:
        pass
    paths += extension_paths(environment)
    is_ignored = partial(packing.is_ignored, sources)
    if not without:
        return Watched(tuple(dict.fromkeys(paths)), is_ignored)
    kept = tuple(path for path in dict.fromkeys(paths) if str(path) not in without)
    return Watched(kept, lambda path: path in without or is_ignored(path))


def _packed_elsewhere(sources: packing.Sources) -> list[Path]:
    """The packed files that are beside the processors, or that only `include` names."""
    try:
        entries = packing.select(sources).entries
    except (RtpError, OSError):
        return []  # the deploy names the fault
    return [
        file
        for _, file in entries
        if file != sources.path and (not file.is_relative_to(sources.path) or packing.is_ignored(sources, str(file)))
    ]

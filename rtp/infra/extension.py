"""Runs the user's `extend(pipeline)` within the CDK app, and notes what it has read and created."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rtp
from rtp.infra.pipeline import Functions, Pipeline, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aws_cdk import App

    from rtp.infra.plan import Plan
    from rtp.infra.stack import RtpStack

FILE = "extension.json"
"""In the assembly: what the extension has read and created, and the findings about it."""
_IMPORT_SYSTEM = "<frozen importlib._bootstrap_external>"


class ExtensionError(Exception):
    """The user's file failed. Its text is `file:line: cause`, in one line."""


@dataclass(slots=True)
class Extension:
    """What the extension has read and created.

    files, folders: read, or listed, below the project's folder. written: files that it has written itself, which are
    results and no inputs. paths: of the constructs, below the stack.
    is_over: `extend` has returned, and what is read from then on is no input.
    """

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    is_over: bool = False

    def write(self, app: App, plan: Plan, findings: list[dict[str, str]]) -> None:
        """Write it to the assembly, with the sources of assets that were created."""
        document = {
            "files": sorted(self.files - self.written),
            "folders": sorted(self.folders),
            "assets": sorted(set(_asset_sources(app)) - {plan.code, plan.layer}),
            "findings": findings,
        }
        Path(plan.out, FILE).write_text(json.dumps(document))


def extend(stack: RtpStack, plan: Plan) -> Extension:
    """Call the user's `extend`. Raises ExtensionError with file and line."""
    file = Path(plan.extend)
    before = {construct.node.path for construct in stack.node.find_all()}
    extension = Extension()
    _watch_reads(extension, Path(plan.root))
    try:
        function = _load(file)
        function(_handles(stack, plan))
    except ExtensionError:
        raise
    except (Exception, SystemExit) as error:
        traceback.print_exc()  # for the log
        raise ExtensionError(_cause(error, file, Path(plan.root))) from None
    extension.is_over = True
    extension.paths = {c.node.path for c in stack.node.find_all()} - before
    return extension


def _load(file: Path) -> Any:
    """Import the file as Python would import a script, but so that nothing beside it hides an installed module."""
    sys.dont_write_bytecode = True
    installed = (i for i, path in enumerate(sys.path) if Path(path).name.endswith("-packages"))
    sys.path.insert(next(installed, len(sys.path)), str(file.parent))
    taken = file.stem in sys.modules or file.stem in sys.stdlib_module_names
    name = f"extension_{file.stem}" if taken else file.stem
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ExtensionError(f"{file.name}:1: it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    function = getattr(module, "extend", None)
    if not callable(function):
        raise ExtensionError(f"{file.name}:1: it has no function extend(pipeline)")
    return function


def _handles(stack: RtpStack, plan: Plan) -> Pipeline:
    storage, processing = stack.storage, stack.processing
    return Pipeline(
        stack=stack,
        table=storage.table,
        bucket=storage.bucket,
        queue=storage.queue,
        dlq=storage.dlq,
        key=storage.key,
        topic=stack.monitoring.topic,
        api=stack.ingest.api,
        functions=Functions(processor=processing.processor, worker=processing.worker),
        environment=Place(
            name=plan.env,
            project=plan.project,
            prefix=plan.names.stack,
            account=plan.account,
            region=plan.region,
            protected=plan.protected,
            local=plan.local,
        ),
    )


def _watch_reads(extension: Extension, root: Path) -> None:
    """Note every file and folder below the project's folder that is read from now on, but for rtp's own."""
    own, state = Path(rtp.__file__).parent, root / ".rtp"

    def is_users(path: Path) -> bool:
        inside = path.is_relative_to(root) and not path.is_relative_to(own) and not path.is_relative_to(state)
        return inside and not any(part.endswith("-packages") or part == "__pycache__" for part in path.parts)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if (
            extension.is_over
            or event not in ("open", "os.listdir", "os.scandir")
            or not isinstance(arguments[0], str | os.PathLike)
        ):
            return
        path = Path(os.path.abspath(arguments[0]))  # noqa: PTH100 - links stay as they are named
        if not is_users(path):
            return
        if event != "open":
            if sys._getframe(1).f_code.co_filename != _IMPORT_SYSTEM:
                extension.folders.add(str(path))
        elif isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            extension.written.add(str(path))
        elif not isinstance(arguments[1], str) or "r" in arguments[1]:
            extension.files.add(str(path))

    sys.addaudithook(hook)


def _asset_sources(app: App) -> Iterator[str]:
    from aws_cdk import AssetStaging

    for construct in app.node.find_all():
        if isinstance(construct, AssetStaging):
            yield os.path.abspath(construct.source_path)  # noqa: PTH100 - as above


def _cause(error: BaseException, file: Path, root: Path) -> str:
    """`file:line: cause` of the last line of the user's own code."""
    place, line = file, 1
    if isinstance(error, SyntaxError) and error.filename:
        place, line = Path(error.filename), error.lineno or 1
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            path = Path(frame.filename)
            if path.is_relative_to(root) and not any(part.endswith("-packages") for part in path.parts):
                place, line = path, frame.lineno or 1
    texts = [text.strip() for text in str(error.msg if isinstance(error, SyntaxError) else error).splitlines()]
    text = next(filter(None, texts), "")
    kind = "" if type(error) is RuntimeError else type(error).__name__  # jsii's errors are RuntimeErrors
    shown = place.relative_to(root) if place.is_relative_to(root) else place
    return f"{shown}:{line}: {': '.join(filter(None, (kind, text)))}"

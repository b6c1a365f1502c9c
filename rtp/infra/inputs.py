"""What an extension was built from: digests of the files, folders and assets that it has read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtp.infra import archive
from rtp.infra.extension import FILE

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNSURE = "unsure"  # of what was written during the synthesis: it is built again


def take(assembly: Path, root: Path, *, since_ns: int) -> dict[str, Any]:
    """Take the extension's record out of an assembly: `inputs`, digest by kind and path, and `findings`.

    since_ns: when the synthesis began, as time.time_ns().
    """
    file = assembly / FILE
    if not file.exists():
        return {"inputs": {}, "findings": []}
    document = json.loads(file.read_text())
    file.unlink()
    inputs = {}
    for kind in ("files", "folders", "assets"):
        for text in document[kind]:
            path = Path(text)
            shown = path.relative_to(root) if path.is_relative_to(root) else path
            inputs[f"{kind}:{shown}"] = _UNSURE if _newest_ns(path) >= since_ns else _digest(kind, path)
    return {"inputs": inputs, "findings": document["findings"]}


def unchanged(inputs: Mapping[str, str], root: Path) -> bool:
    """Whether all inputs are as they were."""
    return all(_digest(kind, root / path) == digest for (kind, path), digest in _split(inputs))


def paths(inputs: Mapping[str, str], root: Path) -> list[Path]:
    """The files and folders, to watch them."""
    return [root / path for (_, path), _ in _split(inputs) if root / path != root]


def _split(inputs: Mapping[str, str]) -> list[tuple[tuple[str, str], str]]:
    return [((key.partition(":")[0], key.partition(":")[2]), digest) for key, digest in inputs.items()]


def _digest(kind: str, path: Path) -> str:
    try:
        if kind == "folders":
            return archive.digest(sorted(name for name in os.listdir(path) if name != "__pycache__"))  # noqa: PTH208
        if path.is_dir():
            return archive.digest(part for name, file in archive.tree(path) for part in (name, file.read_bytes()))
        return archive.digest([path.read_bytes()]) if path.is_file() else "missing"
    except OSError:
        return "missing"


def _newest_ns(path: Path) -> int:
    try:
        files = [file for _, file in archive.tree(path)] if path.is_dir() else [path]
        return max((file.stat().st_mtime_ns for file in files), default=0)
    except OSError:
        return 0

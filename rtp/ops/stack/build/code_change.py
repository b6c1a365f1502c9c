"""Replaces the functions' code in an assembly: writes what a synthesis would write, without the seconds it takes.

Assets are addressed by the CDK's fingerprint of their contents, which is computed here as the CDK does. A test compares
the result with a real synthesis.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TEXTS = ("*.template.json", "*.assets.json", "*.metadata.json", "manifest.json")


def exchange_code(old: Path, new: Path, *, stack: str, was: str, code: Path) -> bool:
    """Write the assembly in `old` to `new`, with another zip of code. Returns False where that is not possible.

    was: fingerprint of the code in `old`.
    """
    now = fingerprint(code)
    asset = old / f"asset.{was}{code.suffix}"
    template = old / f"{stack}.template.json"
    if not asset.is_file() or not template.is_file() or was == now:
        return False
    if _sha256(template) not in (old / f"{stack}.assets.json").read_text(encoding="utf-8"):
        return False
    shutil.copytree(old, new, copy_function=_link, ignore=shutil.ignore_patterns(asset.name, *_TEXTS))
    shutil.copyfile(code, new / f"asset.{now}{code.suffix}")
    body = template.read_text(encoding="utf-8").replace(was, now)
    (new / template.name).write_text(body, encoding="utf-8")
    swaps = {was: now, _sha256(template): _sha256(new / template.name)}  # a template is addressed by its plain hash
    for file in {f for pattern in _TEXTS[1:] for f in old.glob(pattern)}:
        text = file.read_text(encoding="utf-8")
        for one, other in swaps.items():
            text = text.replace(one, other)
        (new / file.name).write_text(text, encoding="utf-8")
    return True


def fingerprint(file: Path) -> str:
    """The CDK's fingerprint of a file asset."""
    content = file.read_bytes()
    sha = hashlib.sha256()
    for header, value in (
        ("options.extra", ""),
        ("options.follow", "external"),
        ("file:", f"{len(content)}:{hashlib.sha256(content).hexdigest()}"),
    ):
        sha.update(b"\x01" + header.encode() + b"\x02" + value.encode() + b"\x03")
    return sha.hexdigest()


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _link(source: str, target: str) -> None:
    """Files of an assembly are replaced and never changed, so a hard link serves as a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

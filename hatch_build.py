"""Puts the manual's pages, docs/*.md, into the wheel as rtp/pages, where `rtp docs` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Pages(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's hook of the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the pages. version: `editable` for a working copy, which has docs/ itself."""
        if version != "editable":
            pages = (Path(self.root) / "docs").glob("*.md")
            build_data["force_include"].update({str(page): f"rtp/pages/{page.name}" for page in pages})

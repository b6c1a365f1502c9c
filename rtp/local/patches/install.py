"""Installs the patches. One that does not apply to the installed engine stops the start."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING

from rtp import fastpath
from rtp.local.patches import deferred
from rtp.local.patches.catalogue import AT_START, PATCHES, WITH_CLOUDFORMATION
from rtp.local.patches.patch import WITHOUT, MismatchError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from rtp.local.patches.patch import Patch
    from rtp.local.telemetry import Telemetry

# What a patch raises that meets names, tables or texts of another engine where it checks none.
_OTHER_ENGINE = (AttributeError, ImportError, LookupError, TypeError, ValueError)
MADE_FOR = "1.5.33"  # the version of MiniStack that pyproject.toml pins


class PatchError(Exception):
    """Patches that do not apply. reasons: by the patch's name."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in reasons.items()))
        self.reasons = reasons


def install_all(telemetry: Telemetry) -> None:
    """Install every patch that is not left out. Raises PatchError with all that do not apply."""
    import ministack.app

    excluded = _excluded()
    install(AT_START, telemetry, excluded)
    if deferred.PATCH.name in excluded:
        ministack.app._get_module(deferred.SERVICE)
        install(WITH_CLOUDFORMATION, telemetry, excluded)
    else:
        deferred.when_loaded(lambda: install(WITH_CLOUDFORMATION, telemetry, excluded))


def install(patches: Iterable[Patch], telemetry: Telemetry, excluded: Collection[str] = ()) -> None:
    """Install these patches. Raises PatchError with all that do not apply."""
    reasons = {}
    for patch in patches:
        if patch.name not in excluded:
            try:
                patch.install(telemetry)
            except MismatchError as error:
                reasons[patch.name] = str(error)
            except _OTHER_ENGINE as error:
                reasons[patch.name] = f"{type(error).__name__}: {error}"
    if reasons:
        raise PatchError(reasons)


def _excluded() -> set[str]:
    """Names of the patches to leave out."""
    excluded = {name for name in os.environ.get(WITHOUT, "").split(",") if name}
    unknown = excluded - {patch.name for patch in PATCHES}
    if unknown:
        raise PatchError(dict.fromkeys(sorted(unknown), f"{WITHOUT} names it, and there is no such patch"))
    if not fastpath.enabled("engine-patches"):
        excluded |= {patch.name for patch in PATCHES if patch.kind == "speed"}
    if version("ministack") != MADE_FOR or not deferred.is_known():
        excluded.add(deferred.PATCH.name)  # so that the patches of CloudFormation are checked at the start too
    return excluded

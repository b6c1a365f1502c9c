"""rtp trust."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - Typer reads the annotation
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import Json, Query, new_app
from rtp.errors import NotFoundError, UsageError
from rtp.text.elements import dim, good, line, name

if TYPE_CHECKING:
    from rtp.text.elements import Element

app = new_app()


@dataclass(frozen=True, slots=True)
class TrustList:
    """What this user trusts.

    file: where it is written. folders: projects whose files are used whatever their owner and mode are.
    endpoints: addresses that are neither AWS's nor this machine's, by the folder of the rtp.toml that names them.
    """

    file: str
    folders: list[str]
    endpoints: dict[str, list[str]]


@app.command()
def trust(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Folder of an rtp.toml.")] = None,
    *,
    endpoint_url: Annotated[
        str | None,
        typer.Option("--endpoint-url", metavar="URL", help="Trust this endpoint of the folder, not its files."),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Trust the folder and its endpoints no more.")] = False,
    json: Json = False,
    query: Query = None,
) -> None:
    """Trust a project's folder; without DIR, list what is trusted.

    rtp uses no rtp.toml and no .rtp that another user owns or can write: they name code that runs as you. Trust a
    folder that is yours all the same, as on mounts without owners and in containers. RTP_TRUST names folders for
    one run.
    """
    from rtp.terminal.output import Output
    from rtp.trust import endpoints, store

    out = Output(json=json, query=query)
    if folder is None and (remove or endpoint_url is not None):
        raise UsageError("DIR is missing: whose trust is meant?", hint="Name the folder of the rtp.toml.")
    if remove and endpoint_url is not None:
        raise UsageError("--remove and --endpoint-url exclude each other.", hint="--remove takes the endpoints too.")
    if endpoint_url is not None and endpoints.parse(endpoint_url) is None:
        raise UsageError("--endpoint-url is not a URL such as http://127.0.0.1:4566, without a user name.")
    if folder is not None:
        if not folder.is_dir():
            raise NotFoundError(f"{folder} is not a folder.", hint="Name the folder of an rtp.toml.")
        if remove:
            if not store.remove(folder):
                raise NotFoundError(f"{folder} is not trusted; nothing was changed.")
        else:
            store.add(folder, endpoint_url=endpoint_url)
    trusted = store.read()
    out.result(TrustList(str(store.file() or ""), trusted.folders, trusted.endpoints), _render)


def _render(trusted: TrustList) -> list[Element]:
    elements: list[Element] = [line(good("trusted  "), name(folder)) for folder in trusted.folders]
    for folder, urls in trusted.endpoints.items():
        elements += [line(good("trusted  "), name(url), dim(f"  named by {folder}/rtp.toml")) for url in urls]
    return elements or [line("Nothing is trusted beyond owner and mode.")]

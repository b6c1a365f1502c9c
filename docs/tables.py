"""docs/patches.md, docs/fast-paths.md and the effects in docs/local.md, from what they describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rtp.fastpath import FAST_PATHS
from rtp.local.patches.catalogue import PATCHES
from rtp.local.weather.catalogue import EFFECTS

if TYPE_CHECKING:
    from collections.abc import Sequence

_EFFECTS_BEGIN, _EFFECTS_END = "<!-- effects -->", "<!-- end of effects -->"

_PATCHES = """# Patches of the local engine

The local engine is MiniStack. These patches replace functions of the imported package; no file is changed. `make docs`
writes this page from `rtp/local/patches/`; a test fails when a patch has no row, or a row names a test that does not
exist.

- A `behaviour` patch makes the engine behave as AWS does, or keeps data. Its test shows the fault without the patch.
- A `speed` patch changes no result, which its test shows. `RTP_SLOW_PATHS=1` leaves all of them out
  ([fast-paths.md](fast-paths.md)).
- Each patch checks that the functions that it replaces, and the names that it uses, are those that it was written for.
  Where they are not, the engine does not start: exit code 3, `engine-patch`, with the patch's name and the difference.
  The fix is `pip install 'realtime-processor[local]'`, which installs the MiniStack that the patches are written for.
- CloudFormation is loaded after the start. Its patches are checked before, unless its files are those that they were
  written for (`FINGERPRINT` in `deferred.py`).
- `RTP_LOCAL_WITHOUT=NAME,NAME` in the environment of the command that starts the engine leaves patches out.

A new patch is a module in `rtp/local/patches/` with a `PATCH`, and a line in `catalogue.py`.

| patch | kind | AWS | MiniStack without the patch | test |
| --- | --- | --- | --- | --- |
"""
_FAST_PATHS = """# Fast paths

A fast path is a shortcut with a slower way to the same result behind it. Each is a row of `rtp/fastpath.py`, from which
`make docs` writes this page, and asks `fastpath.enabled(NAME)` where it branches off. `RTP_SLOW_PATHS=1` in the
environment turns all of them off: where a result looks wrong, run the command again with it. The tests in
`tests/unit/test_fast_paths.py` run chosen tests with the switch on.

| name | fast | slow | why the result is the same | test |
| --- | --- | --- | --- | --- |
"""


def patches() -> str:
    """Every patch of the local engine."""
    return _PATCHES + _table([(f"`{p.name}`", p.kind, p.aws, p.engine, _test(p.test)) for p in PATCHES])


def fast_paths() -> str:
    """Every fast path."""
    return _FAST_PATHS + _table(
        [(f"`{name}`", path.what, path.slow, path.reason, _test(path.test)) for name, path in FAST_PATHS.items()]
    )


def local() -> str:
    """docs/local.md with the table of the weather's effects between its marks; the rest is written by hand."""
    page = (Path(__file__).parent / "local.md").read_text(encoding="utf-8")
    before, _, rest = page.partition(_EFFECTS_BEGIN)
    _, _, after = rest.partition(_EFFECTS_END)
    rows = [(f"`{kind.name}`", kind.summary, _links(kind.source)) for kind in EFFECTS]
    head = "| effect | what AWS does | documented |\n| --- | --- | --- |\n"
    return f"{before}{_EFFECTS_BEGIN}\n{head}{_table(rows)}{_EFFECTS_END}{after}"


def _links(addresses: str) -> str:
    return ", ".join(f"[{urlsplit(url).path.rstrip('/').rpartition('/')[2]}]({url})" for url in addresses.split())


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _test(node_id: str) -> str:
    """A link to a test's file."""
    file, _, name = node_id.partition("::")
    return f"[`{name}`](../{file})"

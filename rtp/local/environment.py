"""The environment of the engine process and of every function that it runs: an allow-list of the user's variables."""

from __future__ import annotations

import os
import site
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rtp import fastpath
from rtp.local.patches.patch import QUEUE_PAUSE, WITHOUT
from rtp.local.state import Folder
from rtp.trust import search_paths

if TYPE_CHECKING:
    from collections.abc import Mapping


_OURS = (fastpath.SWITCH, WITHOUT, QUEUE_PAUSE)
PASSED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", *_OURS)
OWN = Folder(Path())  # relative, as the engine works in it


def scrubbed(user: Mapping[str, str], extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The allowed variables of the user's environment, with those of the engine added.

    Functions inherit it, so it contains nothing private: no AWS_*, tokens, proxies, HOME. Paths are relative to the
    engine's folder, which may be moved.
    """
    passed = search_paths.absolute({name: user[name] for name in PASSED if name in user})
    if site.ENABLE_USER_SITE and site.getuserbase():
        passed["PYTHONUSERBASE"] = site.getuserbase()  # rtp may be installed there, and HOME changes
    return {
        "PATH": os.defpath,
        **passed,
        "PYTHONUTF8": "1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "BIND_HOST": "127.0.0.1",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(OWN.live / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(OWN.live / "s3"),
        "LAMBDA_EXECUTOR": "local",
        "DOCKER_HOST": "unix:///dev/null/no-docker.sock",  # functions run in this interpreter
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        **(extra or {}),
    }


ENFORCING = {"AUTH": "true"}
"""Variables that have MiniStack enforce the permissions of roles and the policies of resources."""


def enforces_iam() -> bool:
    """Whether this engine process enforces permissions."""
    return os.environ.get("AUTH", "").lower() == "true"


def settle(own: Path) -> None:
    """Set HOME and TMPDIR of this process and its functions; `own` is a path to the engine's folder."""
    place = Folder(own)
    os.environ |= {"HOME": str(place.home), "TMPDIR": str(place.tmp)}
    tempfile.tempdir = None  # so that it is computed again

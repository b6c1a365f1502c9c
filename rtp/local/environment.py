"""The environment of the engine process, and so of every function it runs: an allow-list, never the user's own."""

from __future__ import annotations

import os
import site
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.local.state import Folder

PASSED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
ACCESS_KEY = SECRET_KEY = "test"  # noqa: S105 - the engine takes any; real ones never reach it


def scrubbed(folder: Folder, user: Mapping[str, str], extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the engine sees of the user's environment, with its own folders and switches added.

    Functions inherit it, so nothing of the user may be in it: no AWS_*, tokens, proxies, HOME.
    """
    passed = {name: user[name] for name in PASSED if name in user}
    if site.ENABLE_USER_SITE and site.getuserbase():
        passed["PYTHONUSERBASE"] = site.getuserbase()  # rtp may be installed there, and HOME changes
    return {
        "PATH": os.defpath,
        **passed,
        "PYTHONUTF8": "1",
        "HOME": str(folder.home),
        "TMPDIR": str(folder.tmp),
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "BIND_HOST": "127.0.0.1",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder.data / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder.data / "s3"),
        "LAMBDA_EXECUTOR": "local",
        "DOCKER_HOST": f"unix://{folder.path / 'no-docker.sock'}",  # functions run in this interpreter
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        **(extra or {}),
    }

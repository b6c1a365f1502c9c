"""S3 reports every file to the save that is being written, before it changes the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rtp.local import snapshot
from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_SIDECAR = ".meta.json"


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import s3

    require(s3, "DATA_DIR", "_version_disk_path", "get_account_id")

    def atomic_write(fpath: str, data: bytes, *, text: bool = False) -> None:
        _keep(fpath)
        write(fpath, data, text=text)

    def remove_key_files(fpath: str | None) -> None:
        if fpath:
            _keep(fpath, fpath + _SIDECAR)
        remove(fpath)

    def delete_version_file(bucket_name: str, key: str, version_id: str) -> None:
        path = s3._version_disk_path(bucket_name, key, version_id)
        if path:
            _keep(path)
        delete_version(bucket_name, key, version_id)

    def delete_persisted_bucket(name: str) -> None:
        if name and snapshot.current is not None:
            snapshot.current.keep_below(Path(s3.DATA_DIR, s3.get_account_id(), name))
        delete_bucket(name)

    write = replace(s3, "_atomic_write", atomic_write, "fpath data text")
    remove = replace(s3, "_remove_key_files", remove_key_files, "fpath")
    delete_version = replace(s3, "_delete_version_file", delete_version_file, "bucket_name key version_id")
    delete_bucket = replace(s3, "_delete_persisted_bucket", delete_persisted_bucket, "name")


PATCH = Patch(
    name="snapshots",
    aws="-",
    engine=(
        "S3 replaces and deletes the files of objects while a save is being written: the save would contain records "
        "of one moment with objects of another."
    ),
    test="tests/unit/local/test_snapshot.py::test_a_snapshot_without_the_reports_of_s3_mixes_two_moments",
    install=install,
)


def _keep(*paths: str) -> None:
    if snapshot.current is not None:
        for path in paths:
            snapshot.current.keep(path)

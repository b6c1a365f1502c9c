"""The last releases of an environment, kept in rtp's own bucket with template and assets, for `rtp rollback`.

The CDK's bucket may be cleaned by others, and the code of a hotswap was never in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zipfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from rtp import __version__
from rtp.aws import objects, own_bucket, release_objects
from rtp.aws.release_objects import RELEASE, TEMPLATE
from rtp.errors import AwsError, NotFoundError, RtpError
from rtp.ops import commits, releases
from rtp.ops.access.lock import user
from rtp.ops.stack.apply import kept_release, publish
from rtp.ops.stack.apply.kept_release import Kept
from rtp.ops.stack.build import assembly
from rtp.ops.stack.steps import Warn
from rtp.ops.work import pool
from rtp.runtime import wire
from rtp.text import times
from rtp.text.given import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.aws.release_objects import Listing
    from rtp.config import Environment
    from rtp.ops.stack.build.synth import Assembly
    from rtp.ops.stack.operation import Operation, Target

KEPT = 10
"""How many releases are kept: those that were deployed last."""
_MOST_READ = 100  # descriptions
_HASH = re.compile(rf"[0-9a-f]{{{wire.RELEASE_LENGTH}}}")
_MOST_CODE = 262_144_000  # bytes of a function's zip, of which Lambda takes no more unpacked
_THREADS = 8


@dataclass(frozen=True, slots=True)
class Every:
    """What the bucket has of an environment.

    releases: the one deployed last first. unreadable: keys of objects that are no releases of rtp.
    """

    releases: list[Kept]
    unreadable: list[str] = field(default_factory=list)


def every(aws: Aws, environment: Environment) -> Every:
    """The kept releases, and what else lies there. Raises AwsError."""
    return _read(aws, _base(environment), release_objects.listing(aws, _base(environment)))


def listed(aws: Aws, environment: Environment) -> list[Kept]:
    """The kept releases, the one deployed last first. Raises AwsError."""
    return every(aws, environment).releases


def keep(target: Target, built: Assembly, operation: Operation) -> Iterator[Warn]:
    """Keep what was deployed, and delete what is older than the last ten. What cannot be kept is a warning.

    Without the lease of the stack nothing is kept: another deploy may write or delete at the same time.
    """
    if operation.lease is None:
        return
    try:
        operation.check_lease()
        missing = _keep(target, built)
    except (RtpError, OSError) as error:
        text = error.message if isinstance(error, RtpError) else str(error)
        yield Warn(f"This release was not kept for `rtp rollback`: {text}")
        return
    if missing:
        yield Warn(f"This release was not kept for `rtp rollback`: the CDK's bucket does not give out {missing[0]}.")


def again(target: Target, kept: Kept, operation: Operation) -> Iterator[Warn]:
    """Note that a kept release was deployed again, so that it counts as the last one."""
    if operation.lease is None:
        return
    aws, base = target.aws, _base(target.environment)
    try:
        others = _read(aws, base, release_objects.listing(aws, base)).releases
        _write(aws, base, replace(kept, order=_next_order(others), at=times.now_ms()))
    except RtpError as error:
        yield Warn(f"That this release runs again was not noted for `rtp rollback`: {error.message}")


def template(aws: Aws, environment: Environment, kept: Kept) -> dict[str, Any]:
    """The template of a release. Raises NotFoundError where it is gone or not the one that was kept."""
    body = release_objects.read(aws, _base(environment), kept.release, TEMPLATE, most=kept_release.MOST_BYTES)
    if hashlib.sha256(body).hexdigest() != kept.template:
        raise _incomplete(kept, "template")
    try:
        return kept_release.template(body)
    except MalformedError:
        raise _incomplete(kept, "template") from None


def archive(aws: Aws, environment: Environment, kept: Kept, folder: Path) -> Path:
    """Write the zip of a release's code to a folder, named as in an assembly. Raises NotFoundError as `template`."""
    content = release_objects.asset(aws, _base(environment), kept.archive, most=_MOST_CODE)
    if _sha256(content) != kept.code:
        raise _incomplete(kept, "code")
    file = folder / f"asset.{kept.archive}"
    file.write_bytes(content)
    return file


def publish_again(aws: Aws, environment: Environment, kept: Kept) -> frozenset[str]:
    """Copy assets back to the CDK's bucket where that has lost them. Returns the keys that it does not take."""
    base = _base(environment)

    def restore(key: str) -> bool:
        bucket = kept.assets[key]
        return release_objects.is_published(aws, bucket, key) or release_objects.copy_out(aws, base, key, bucket)

    keys = list(kept.assets)
    return frozenset(key for key, done in zip(keys, pool.map(restore, keys, threads=_THREADS), strict=True) if not done)


def relocated(aws: Aws, environment: Environment, template: Any, keys: frozenset[str]) -> Any:
    """The template with the places of these assets in rtp's own bucket."""
    if isinstance(template, list):
        return [relocated(aws, environment, value, keys) for value in template]
    if not isinstance(template, dict):
        return template
    if template.get("S3Key") in keys and "S3Bucket" in template:
        key = release_objects.asset_key(_base(environment), template["S3Key"])
        return template | {"S3Bucket": own_bucket.name(aws), "S3Key": key}
    return {name: relocated(aws, environment, value, keys) for name, value in template.items()}


def _keep(target: Target, built: Assembly) -> list[str]:
    """Keep a release. Returns the keys of assets that could not be kept; then it is not kept."""
    aws, environment = target.aws, target.environment
    base = _base(environment)
    listing = release_objects.listing(aws, base)
    others = _read(aws, base, listing).releases
    code = publish.code_of(built, environment.names.processor)
    release = _release(code)
    if not release:  # packed by hand
        return []
    body = json.dumps(built.template, separators=(",", ":")).encode()
    digest = hashlib.sha256(body).hexdigest()
    former = next((k for k in others if k.release == release), None)
    if former is not None and former is others[0] and former.template == digest:
        return []
    assets = {
        key: (bucket, file)
        for key, bucket, file in publish.files(built.path)
        if file.name != f"{target.name}.template.json"
    }
    keys = [key for key in assets if key not in listing.assets]
    done = pool.map(lambda key: _store(aws, base, key, *assets[key]), keys, threads=_THREADS)
    if missing := [key for key, is_stored in zip(keys, done, strict=True) if not is_stored]:
        return missing
    release_objects.write(aws, base, release, TEMPLATE, body)
    names = {k.release: releases.Name(k.number, k.commit) for k in others} | releases.read(aws, environment)
    kept = Kept(
        release=release,
        number=_number(release, names),
        order=_next_order(others),
        at=times.now_ms(),
        before=former.before if former else (others[0].release if others else ""),
        user=user()[: kept_release.MOST_NAME],
        rtp=__version__,
        template=digest,
        code=_sha256(code.read_bytes()),
        archive=next(key for key, (_, file) in assets.items() if file == code),
        assets={key: bucket for key, (bucket, _) in assets.items()},
        tags=assembly.manifest(built.path, target.name).tags,
        paths=dict(target.paths),
        commit=commits.current(environment.root),
    )
    _write(aws, base, kept)
    releases.write(aws, environment, names | {release: releases.Name(kept.number, kept.commit)})
    _prune(aws, base, listing, [kept, *(k for k in others if k.release != release)])
    return []


def _store(aws: Aws, base: str, key: str, bucket: str, file: Path) -> bool:
    """Copy an asset into the bucket, or upload it where S3 cannot copy it."""
    if release_objects.copy_in(aws, base, key, bucket):
        return True
    if not file.is_file():  # a folder, which the CDK CLI packs
        return False
    release_objects.upload(aws, base, key, file)
    return True


def _prune(aws: Aws, base: str, listing: Listing, every: Sequence[Kept]) -> None:
    """Delete the releases after the last ten, description first, and the assets that no kept one has."""
    stay = every[:KEPT]
    names = [f"{k.release}/{name}" for k in every[KEPT:] for name in (RELEASE, TEMPLATE)]
    used = {key for k in stay for key in k.assets}
    release_objects.delete(aws, base, names + release_objects.asset_names(frozenset(listing.assets - used)))


def _read(aws: Aws, base: str, listing: Listing) -> Every:
    """Read the descriptions. Of many, which no rtp leaves, the ones written last."""
    refused: list[AwsError] = []

    def read(release: str) -> Kept | str | None:
        try:
            body = release_objects.read(aws, base, release, RELEASE, most=kept_release.MOST_BYTES)
            return kept_release.parsed(body, release)
        except NotFoundError:  # deleted meanwhile
            return None
        except MalformedError:
            return release
        except RtpError as error:
            if isinstance(error, AwsError) and objects.is_of_one(error):
                refused.append(error)
            elif error.code != "object-too-large":
                raise
            return release

    newest = sorted(listing.releases, key=lambda release: -listing.releases[release])
    named = [release for release in newest if _HASH.fullmatch(release)][:_MOST_READ]
    found = list(pool.map(read, named, threads=_THREADS))
    if refused and len(refused) == len(named):  # not of one, but to read them at all
        raise refused[0]
    others = [release for release in newest if release not in set(named)]
    unreadable = [f"{base}{name}/{RELEASE}" for name in [*(each for each in found if isinstance(each, str)), *others]]
    releases = [each for each in found if isinstance(each, Kept)]
    return Every(sorted(releases, key=lambda kept: -kept.order), unreadable)


def _write(aws: Aws, base: str, kept: Kept) -> None:
    release_objects.write(aws, base, kept.release, RELEASE, msgspec.json.encode(kept))


def _release(code: Path) -> str:
    """The release that a zip of code is; empty for one that no deploy packed."""
    try:
        with zipfile.ZipFile(code) as packed:
            return packed.read(wire.RELEASE_FILE).decode()
    except (KeyError, zipfile.BadZipFile, UnicodeDecodeError):
        return ""


def _incomplete(kept: Kept, part: str) -> NotFoundError:
    return NotFoundError(
        f"The {part} of {kept.label} in rtp's own bucket is not the one that was kept; nothing was changed.",
        hint="Name another release: `rtp rollback --list` shows them.",
        code="no-release",
    )


def _number(release: str, names: releases.Names) -> int:
    """The number of a release: that which it had, or the next one."""
    known = names.get(release)
    return known.number if known is not None else 1 + max((each.number for each in names.values()), default=0)


def _next_order(every: Sequence[Kept]) -> int:
    return 1 + max((kept.order for kept in every), default=0)


def _base(environment: Environment) -> str:
    return release_objects.prefix(environment.project, environment.name)


def _sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()

"""Secrets in SSM and Secrets Manager: whether they are set and since when, writing and deleting them. Never read them.

`put_member` alone reads a value, to change one member of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.errors import AwsError, RefusedError
from rtp.runtime import partial

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from rtp.aws import Aws

MAX_BYTES = 65_536  # of a secret of Secrets Manager
MAX_PARAMETER_BYTES = 8_192
_STANDARD_BYTES = 4_096  # of a parameter without charge
_NAMES_PER_CALL = 50  # values of one filter of DescribeParameters
_RECOVERY_DAYS = 7
_STAGE = "rtp"  # of a version that is to become the current one
_TRIES = 5
_ENCRYPTED = "SecureString"


@dataclass(frozen=True, slots=True)
class Stored:
    """A secret that exists. name: as its service calls it. changed: when its value was last set.

    encrypted: False for a plain String parameter. key: id or alias of its KMS key; empty where that is not known.
    ending: it is scheduled for deletion and cannot be read.
    """

    name: str
    changed: datetime | None
    encrypted: bool = True
    key: str = ""
    ending: bool = False


def parameters(aws: Aws, names: Sequence[str]) -> dict[str, Stored]:
    """Those of these parameters that exist, by name. Raises AwsError."""
    stored: dict[str, Stored] = {}
    for first in range(0, len(names), _NAMES_PER_CALL):
        some = list(names[first : first + _NAMES_PER_CALL])
        stored |= _described(aws, {"Key": "Name", "Option": "Equals", "Values": some})
    return stored


def parameters_in(aws: Aws, folder: str) -> dict[str, Stored]:
    """The parameters directly in a folder, by name. Raises AwsError."""
    found = _described(aws, {"Key": "Path", "Option": "OneLevel", "Values": [folder]})
    return {name: one for name, one in found.items() if name.rpartition("/")[0] == folder}


def parameter_tags(aws: Aws, name: str) -> dict[str, str]:
    """Tags of a parameter. Raises AwsError."""
    answer = aws.call("ssm", "list_tags_for_resource", ResourceType="Parameter", ResourceId=name)
    return {tag["Key"]: tag["Value"] for tag in answer.get("TagList", ())}


def put_parameter(aws: Aws, name: str, value: str, *, key: str, tags: Mapping[str, str]) -> bool:
    """Set an encrypted parameter; True where it is new, and then tagged. Raises AwsError.

    key: KMS key; empty for aws/ssm. SSM would change the key of an existing parameter to aws/ssm without one.
    """
    parameters: dict[str, Any] = {"Name": name, "Value": value, "Type": _ENCRYPTED}
    parameters |= {"KeyId": key} if key else {}
    if len(value.encode()) > _STANDARD_BYTES:
        parameters["Tier"] = "Advanced"
    try:
        _put(aws, value, "ssm", "put_parameter", **parameters, Tags=_tag_list(tags))
    except AwsError as error:
        if error.service_code != "ParameterAlreadyExists":
            raise
    else:
        return True
    _put(aws, value, "ssm", "put_parameter", **parameters, Overwrite=True)
    return False


def delete_parameter(aws: Aws, name: str) -> bool:
    """Delete a parameter; False where there is none. Raises AwsError."""
    return _deleted(aws, "ssm", "delete_parameter", Name=name)


def secret(aws: Aws, id: str) -> Stored | None:
    """A secret of Secrets Manager by name or ARN; None without one. Raises AwsError."""
    try:
        answer = aws.call("secretsmanager", "describe_secret", SecretId=id)
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            return None
        raise
    changed = answer.get("LastChangedDate") or answer.get("CreatedDate")
    return Stored(id, changed, key=answer.get("KmsKeyId", ""), ending="DeletedDate" in answer)


def put_secret(aws: Aws, id: str, value: str, *, key: str, tags: Mapping[str, str]) -> bool:
    """Set a secret of Secrets Manager; True where it is new, and then tagged. Raises AwsError."""
    if secret(aws, id) is not None:
        _put(aws, value, "secretsmanager", "put_secret_value", SecretId=id, SecretString=value)
        return False
    _create(aws, id, value, key=key, tags=tags)
    return True


def put_member(aws: Aws, id: str, member: str, value: str, *, key: str, tags: Mapping[str, str]) -> bool:
    """Set one member of a JSON secret, the others unchanged. True where the secret is new.

    Another command may change another member at the same time: the new version becomes the current one only in place
    of the one that was read. Raises RefusedError where the secret is no JSON object, or changes again and again.
    """
    is_new = False

    def attempt(left: str) -> str:
        nonlocal is_new
        if secret(aws, id) is None:
            try:
                _create(aws, id, json.dumps({member: value}), key=key, tags=tags)
            except AwsError as error:
                if error.service_code != "ResourceExistsException":
                    raise
                return left
            is_new = True
            return ""
        before = aws.call("secretsmanager", "get_secret_value", SecretId=id)
        text = json.dumps({**_members(id, member, before.get("SecretString", "")), member: value})
        put = {"SecretId": id, "SecretString": text, "VersionStages": [_STAGE]}
        new = _put(aws, text, "secretsmanager", "put_secret_value", **put)["VersionId"]
        return "" if _made_current(aws, id, new, instead_of=before["VersionId"]) else left

    if partial.complete(attempt, member, calls=_TRIES):
        raise RefusedError(
            f"Several commands change the secret {id} at this moment; {member!r} was not set.",
            hint="Repeat the command.",
            code="locked",
        )
    return is_new


def _create(aws: Aws, id: str, value: str, *, key: str, tags: Mapping[str, str]) -> None:
    options = {"KmsKeyId": key} if key else {}
    created = {"Name": id, "SecretString": value, "Tags": _tag_list(tags)}
    _put(aws, value, "secretsmanager", "create_secret", **created, **options)


def _members(id: str, member: str, text: str) -> dict[str, Any]:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise RefusedError(
            f"The secret {id} is no JSON object, so it has no member {member!r}.",
            hint="Leave #key out in rtp.toml, or set a JSON object in Secrets Manager.",
            code="not-an-object",
        )
    return members


def _made_current(aws: Aws, id: str, version: str, *, instead_of: str) -> bool:
    """Make a version the current one; False where that is another than `instead_of` by now."""
    try:
        aws.call(
            "secretsmanager",
            "update_secret_version_stage",
            SecretId=id,
            VersionStage="AWSCURRENT",
            MoveToVersionId=version,
            RemoveFromVersionId=instead_of,
        )
    except AwsError as error:
        if error.service_code != "InvalidParameterException":
            raise
        return False
    return True


def delete_secret(aws: Aws, id: str) -> bool:
    """Delete a secret of Secrets Manager, on AWS after a week; False where there is none. Raises AwsError."""
    how: dict[str, Any] = (
        {"ForceDeleteWithoutRecovery": True} if aws.local else {"RecoveryWindowInDays": _RECOVERY_DAYS}
    )
    return secret(aws, id) is not None and _deleted(aws, "secretsmanager", "delete_secret", SecretId=id, **how)


def _described(aws: Aws, condition: dict[str, Any]) -> dict[str, Stored]:
    pages: Iterable[dict[str, Any]] = aws.pages(
        "ssm", "describe_parameters", "Parameters", ParameterFilters=[condition], MaxResults=50
    )
    return {
        one["Name"]: Stored(
            one["Name"], one.get("LastModifiedDate"), one.get("Type") == _ENCRYPTED, one.get("KeyId") or ""
        )
        for one in pages
    }


def _put(aws: Aws, value: str, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
    """Call AWS. Its message may repeat the value, which no error of rtp's does."""
    try:
        return aws.call(service, operation, **parameters)
    except AwsError as error:
        if value in error.message:
            message = error.message.replace(value, "***")
            raise type(error)(message, hint=error.hint, code=error.code, service_code=error.service_code) from None
        raise


def _deleted(aws: Aws, service: str, operation: str, **parameters: Any) -> bool:
    try:
        aws.call(service, operation, **parameters)
    except AwsError as error:
        if error.service_code in ("ParameterNotFound", "ResourceNotFoundException"):
            return False
        raise
    return True


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]

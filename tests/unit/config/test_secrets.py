"""`secrets` of rtp.toml: its forms, where each secret then is, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from rtp.config import Overrides, secret_sources
from rtp.config.environments import explain
from rtp.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.config import Resolved

PARAMETER = "arn:aws:ssm:eu-west-1:444455556666:parameter/team/token"
SECRET = "arn:aws:secretsmanager:us-east-1:111122223333:secret:team/db-AbCdEf"


def read(folder: Path, toml: str, env: str = "dev") -> Resolved:
    (folder / "rtp.toml").write_text(f'project = "shop"\n{toml}')
    return explain(Overrides(env=env), cwd=folder, environ={})


def secrets(folder: Path, toml: str, env: str = "dev") -> dict[str, str]:
    return read(folder, toml, env).environment.settings.secrets


def test_a_list_of_names_means_the_environment_s_own_folder(tmp_path: Path) -> None:
    assert secrets(tmp_path, '[defaults]\nsecrets = ["A_TOKEN", "DB"]') == {
        "A_TOKEN": "ssm:/shop/dev/A_TOKEN",
        "DB": "ssm:/shop/dev/DB",
    }


def test_lists_and_tables_are_merged_name_by_name_with_their_origins(tmp_path: Path) -> None:
    toml = (
        '[defaults]\nsecrets = ["A_TOKEN", "DB"]\n[env.dev]\nsecrets = { DB = "secretsmanager:db#p", CC = "ssm:/c" }\n'
    )
    found = read(tmp_path, toml)
    assert found.environment.settings.secrets == {
        "A_TOKEN": "ssm:/shop/dev/A_TOKEN",
        "DB": "secretsmanager:db#p",
        "CC": "ssm:/c",
    }
    assert found.origins["secrets"] == "rtp.toml [defaults], rtp.toml [env.dev]"
    # And the other way round, a list sets the own place again
    toml = '[defaults]\nsecrets = { DB = "ssm:/shared/db" }\n[env.dev]\nsecrets = ["DB"]'
    assert secrets(tmp_path, toml) == {"DB": "ssm:/shop/dev/DB"}


def test_on_an_engine_of_this_machine_an_arn_is_its_name(tmp_path: Path) -> None:
    toml = f'[defaults]\nsecrets = {{ TOKEN = "{PARAMETER}", DB = "{SECRET}#p" }}'
    assert secrets(tmp_path, toml, "local") == {"TOKEN": "ssm:/team/token", "DB": "secretsmanager:team/db#p"}
    assert secrets(tmp_path, toml) == {"TOKEN": PARAMETER, "DB": f"{SECRET}#p"}


@pytest.mark.parametrize(
    ("toml", "text"),
    [
        ('secrets = "TOKEN"', "must be a list of names, or a table of sources"),
        ("secrets = [1]", "must be a list of names"),
        ('secrets = ["my-token"]', "secrets = ['my-token']: must be a list of names"),
        ('secrets = ["AWS_TOKEN"]', "AWS_TOKEN begins with AWS, which SSM keeps for AWS"),
        ('secrets = ["ssmToken"]', "ssmToken begins with ssm"),
        ('secrets = { TOKEN = "vault:x" }', "'vault:x' is not \"ssm:/path\""),
        ('secrets = { TOKEN = "ssm:/aws/x" }', "SSM refuses names that begin with aws or ssm"),
        ('secrets = { TOKEN = "ssm:" }', "has a name that ssm does not take"),
        ('secrets = { TOKEN = "ssm:/a b" }', "has a name that ssm does not take"),
        ('secrets = { TOKEN = "ssm:/a#b" }', "only a secret of Secrets Manager has a #key"),
        ('secrets = { TOKEN = "arn:aws:s3:::bucket" }', "is not"),
        (
            'secrets = { TOKEN = "arn:aws:ssm:eu-west-1:444455556666:document/x" }',
            "not the ARN of a parameter or a secret",
        ),
        ('environment = { TOKEN = "v" }\nsecrets = ["TOKEN"]', "TOKEN is in environment and in secrets"),
        ('secrets_key = "my key"', "must be the ARN, id or alias of a KMS key"),
    ],
)
def test_a_mistake_is_reported_with_the_table_and_the_forms(tmp_path: Path, toml: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"[defaults]\n{toml}")
    assert text in caught.value.message
    with pytest.raises(ConfigError):  # also from another environment's table, unless it is about both
        read(tmp_path, f"[env.dev]\n{toml}")


def test_a_project_whose_folder_ssm_would_refuse_needs_a_place(tmp_path: Path) -> None:
    (tmp_path / "rtp.toml").write_text('project = "aws-shop"\n[defaults]\nsecrets = ["TOKEN"]')
    with pytest.raises(ConfigError, match="SSM refuses names that begin with aws") as caught:
        explain(Overrides(env="dev"), cwd=tmp_path, environ={})
    assert 'secrets = { TOKEN = "ssm:/another/path" }' in caught.value.hint


def test_the_sources_count_among_the_variables(tmp_path: Path) -> None:
    names = ", ".join(f'"SECRET_NUMBER_{n}"' for n in range(60))
    with pytest.raises(ConfigError, match="environment, with the sources of secrets, has"):
        read(tmp_path, f"[defaults]\nsecrets = [{names}]")


@pytest.mark.parametrize(
    ("source", "arn", "text"),
    [
        ("ssm:/a/b", "arn:aws:ssm:us-east-1:1:parameter/a/b", "ssm:/a/b"),
        ("ssm:plain", "arn:aws:ssm:us-east-1:1:parameter/plain", "ssm:plain"),
        ("secretsmanager:db#p", "arn:aws:secretsmanager:us-east-1:1:secret:db-??????", "secretsmanager:db#p"),
        (PARAMETER, PARAMETER, f"ssm:{PARAMETER}"),
        (SECRET, SECRET, f"secretsmanager:{SECRET}"),
        (f"{SECRET[:-7]}#p", f"{SECRET[:-7]}-??????", f"secretsmanager:{SECRET[:-7]}#p"),
    ],
)
def test_a_source_has_its_arn_for_the_policy_and_its_text_for_the_function(source: str, arn: str, text: str) -> None:
    assert secret_sources.parse(source).arn("aws", "us-east-1", "1") == arn
    assert json.loads(secret_sources.encoded({"T": source})) == {"T": text}

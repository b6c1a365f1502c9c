"""NAME=VALUE files: what people write, and errors that show no value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtp.errors import ConfigError
from rtp.ops import envfile

if TYPE_CHECKING:
    from pathlib import Path

TEXT = r"""
# a comment
PLAIN=value
export EXPORTED=x=y  # remark
EMPTY=
SPACED = two words
SINGLE='as "it" is \n # no remark'
DOUBLE="tab\tand \"quotes\"" # remark
KEY="-----BEGIN-----
abc
-----END-----"
HASH=a#b
PLAIN=last
"""


def test_every_form_is_read(tmp_path: Path) -> None:
    file = tmp_path / ".env.local"
    file.write_text(TEXT)
    assert envfile.read(file) == {
        "PLAIN": "last",
        "EXPORTED": "x=y",
        "EMPTY": "",
        "SPACED": "two words",
        "SINGLE": r'as "it" is \n # no remark',
        "DOUBLE": 'tab\tand "quotes"',
        "KEY": "-----BEGIN-----\nabc\n-----END-----",
        "HASH": "a#b",
    }
    assert envfile.of_project(tmp_path / "none") == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("A=1\nhunter2", ":2 is not NAME=VALUE"),
        ('A="hunter2', ':1 has a value whose closing " is missing'),
        ("A='x' hunter2", ":1 goes on after the closing '"),
        ("A=1\nB='hun\nter2", ":2 has a value whose closing ' is missing"),
    ],
)
def test_an_error_names_the_line_and_not_its_text(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "values"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        envfile.read(file)
    assert why in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        envfile.read(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        envfile.read(tmp_path / "binary")


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    file = tmp_path / ".env.local"
    file.write_bytes(b"\xef\xbb\xbfA=b\r\n")
    assert envfile.read(file) == {"A": "b"}


def test_a_link_that_leads_nowhere_is_not_the_same_as_no_file(tmp_path: Path) -> None:
    assert envfile.of_project(tmp_path) == {}
    (tmp_path / ".env.local").symlink_to("nowhere")
    with pytest.raises(ConfigError, match="cannot be read"):
        envfile.of_project(tmp_path)

"""Reads rtp.toml. Errors name the file, the key and the allowed values."""

from __future__ import annotations

import re
import stat
import tomllib
import unicodedata
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from rtp.config import secret_sources, setting_table
from rtp.config.settings import Settings
from rtp.config.tables import Document, Place, Section
from rtp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from msgspec import Struct

_TAG_CHARACTERS = 256  # of a tag's value
_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
_PROBLEM = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$\.(?P<path>.*)`)?", re.DOTALL)


def load(file: Path) -> Document:
    """Read the file, with or without a byte order mark; its tables are not checked yet. Raises ConfigError."""
    try:
        kind = kind_of(file)
        if kind != "file":
            what = f"is a {kind} and no file" if kind else f"is a link to {file.readlink()}, which does not exist"
            raise ConfigError(f"{file} {what}.", hint="Fix or remove it; no other rtp.toml is used in its place.")
        document = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: {error}", hint="Fix the TOML syntax.") from None
    except RecursionError:
        raise ConfigError(f"{file} is nested too deeply.", hint="Fix the TOML syntax.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text (byte {error.start}).", hint="Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror or error}.", hint="Let this user read it, or fix the link."
        ) from None
    checked: Document = convert(document, Document, str(file))
    return checked


_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def kind_of(path: Path) -> str:
    """What a path leads to: file, folder, pipe, socket or device; empty where that does not exist. Raises OSError."""
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode), "special file")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def section(content: object, where: str, label: str) -> dict[str, Any]:
    """Check `[defaults]` or an `[env.*]` and return the keys that it sets. Raises ConfigError."""
    checked = convert(secret_sources.as_table(content), Section, where, label, written=content)
    values = {key: value for key in Section.__struct_fields__ if (value := getattr(checked, key)) is not UNSET}
    secret_sources.check(values.get("secrets", {}), where, label)
    return values


def convert(content: object, struct: type[Struct], where: str, label: str = "", *, written: object = None) -> Any:
    """Convert a table to a struct. Raises ConfigError with the file, table, key and the allowed values.

    written: the table as the file has it, where that is another one.
    """
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: {label} must be a table.")
    try:
        return msgspec.convert(content, struct)
    except msgspec.ValidationError as error:
        shown = written if isinstance(written, dict) else content
        raise _refusal(str(error), shown, struct, where, label) from None


def checked_name(name: str, where: str, what: str) -> str:
    """Check and return the name of a project or environment. Raises ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: {what} name {name!r} is not allowed.",
            hint="Use lower-case letters, digits and dashes, first a letter, at most 20 characters.",
        )
    return name


def checked_tag(value: str, where: str, what: str) -> str:
    """A value of a tag, in the characters that every service takes. Raises ConfigError."""
    wrong = next((c for c in value if unicodedata.category(c)[0] not in "LNZ" and c not in "_.:/=+-@"), "")
    if wrong or not value.strip() or len(value) > _TAG_CHARACTERS:
        why = f"{wrong!r} cannot be in a tag" if wrong else f"a tag has 1 to {_TAG_CHARACTERS} characters"
        raise ConfigError(
            f"{where}: {what} = {value[:60]!r}: {why}.", hint="AWS allows letters, digits, spaces and _ . : / = + - @"
        )
    return value


def nearest(word: str, words: Iterable[str]) -> str:
    """Suggest the nearest word for a mistyped one; empty where none is near."""
    near = get_close_matches(word, list(words), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _refusal(problem: str, content: Mapping[str, Any], struct: type[Struct], where: str, label: str) -> ConfigError:
    """Turn an error of msgspec into one about the file."""
    unknown = _UNKNOWN.fullmatch(problem)
    prefix = f"{where}: {label} " if label else f"{where}: "
    if unknown is not None and unknown["path"] is None:
        key, keys = unknown.group(1), struct.__struct_fields__
        suggestion = nearest(key, keys)
        return ConfigError(
            f"{where}: unknown key {key!r}{f' in {label}' if label else ''}.{suggestion}",
            hint="Rename or remove it; then `rtp config` lists every setting."
            if suggestion
            else f"Allowed keys: {', '.join(sorted(keys))}.",
            code="unknown-key",
        )
    path = _PROBLEM.fullmatch(problem)
    key = re.split(r"[.\[]", (path["path"] if path and path["path"] else "").removeprefix("."))[0]
    setting = _settings(struct).get(key)
    if setting is None:  # not about a key; it must not become a traceback
        return ConfigError(f"{prefix}{problem}")
    if setting.allowed == "a table":
        return ConfigError(f"{prefix}{key} must be a table.")
    if path and path["path"] != f".{key}" and setting_table.is_nested(key):
        return ConfigError(f"{prefix}{key}: {path['what']}.", hint=f"{key} is {setting.allowed}.")
    return ConfigError(
        f"{prefix}{key} = {content.get(key)!r}: must be {setting.allowed}.", hint=setting_table.about(setting)
    )


def _settings(struct: type[Struct]) -> dict[str, setting_table.Setting]:
    return (
        setting_table.table(Place) | setting_table.table(Settings) if struct is Section else setting_table.table(struct)
    )

"""The variables of the operator's shell that child processes get: a list, so that no token reaches foreign code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rtp.trust import search_paths

if TYPE_CHECKING:
    from collections.abc import Mapping

MORE = "RTP_PASS"
"""Names of further variables, separated by commas or spaces, for an extension that reads them."""

_SYSTEM = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "XDG_CACHE_HOME")
_LIBRARIES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "VIRTUAL_ENV", "UV_CACHE_DIR")
_PYTHON = ("PYTHONPATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
# How AWS is reached; no credentials, and no endpoints.
AWS = ("AWS_CA_BUNDLE", "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT")
_NAMES = frozenset((*_SYSTEM, *_LIBRARIES, *_PYTHON, *_PROXIES, *map(str.lower, _PROXIES), *_CERTIFICATES))
_NEVER = ("AWS_", "CDK_", "JSII_")  # they would lead the child elsewhere than rtp goes


def variables(user: Mapping[str, str], *, aws: bool = False) -> dict[str, str]:
    """The variables to pass on. aws: also those that say how AWS is reached."""
    named = [name for name in re.split(r"[\s,]+", user.get(MORE, "")) if not name.startswith(_NEVER)]
    names = {*_NAMES, *named, *(AWS if aws else ())}
    passed = {name: value for name, value in user.items() if name in names or name.startswith("LC_")}
    return search_paths.absolute(passed)

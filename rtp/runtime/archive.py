"""S3: raw events before they are processed, results afterwards, and values too large for an item.

raw/yyyy/mm/dd/hh/NAME.ndjson.gz
    a line per message: id, timestamp, source, request_id, received_at, body
processed/yyyy/mm/dd/hh/NAME.ndjson.gz
    a line per event: id, timestamp, type, source, trace_id, processed_at, data, result
processed/items/ID/TIMESTAMP/NAME-DIGEST.json
    one value that a record points to with data_key or result_key

`body` is the text exactly as it arrived, so that a replay sends the same event.
The hour is the one the object was written in (UTC). A record's raw_key is `KEY#LINE`, lines counted from 0.
"""

from __future__ import annotations

import gzip
import hashlib
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rtp.runtime import jsontext, wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.runtime.event import Identity

_MAX_ID_IN_KEY = 200


class Archive:
    """The bucket."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def write_lines(self, prefix: str, name: str, lines: Iterable[str], now: float) -> str:
        """Write one object of gzipped JSON texts, and return its key. The same name and hour write the same object."""
        key = f"{prefix}{time.strftime('%Y/%m/%d/%H', time.gmtime(now))}/{name}.ndjson.gz"
        text = "".join(f"{line}\n" for line in lines)
        # Level 1 costs a third of the default's CPU and loses little on text; mtime 0 makes equal lines equal bytes.
        self._put(
            key,
            gzip.compress(text.encode("utf-8", "backslashreplace"), compresslevel=1, mtime=0),
            "application/x-ndjson",
        )
        return key

    def write_value(self, identity: Identity, name: str, text: str) -> str:
        """Store a JSON text that a record points to, and return its key.

        The key has the text's digest: the write of the record may be refused, and then the object that the record
        points to must still be there unchanged.
        """
        body = text.encode()
        digest = hashlib.sha256(body).hexdigest()[:16]
        key = f"{wire.PROCESSED_PREFIX}items/{_safe(identity.id)}/{identity.timestamp}/{name}-{digest}.json"
        self._put(key, body, "application/json")
        return key

    def read_value(self, key: str) -> Any:
        """Return the value that `write_value` stored."""
        return jsontext.loads(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())

    def _put(self, key: str, body: bytes, content_type: str) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)


def _safe(id: str) -> str:
    """Return an id as one part of a key: quoted if that is short, else its digest."""
    text = quote(id, safe="")
    return text if len(text) <= _MAX_ID_IN_KEY and text.strip(".") else hashlib.sha256(id.encode()).hexdigest()

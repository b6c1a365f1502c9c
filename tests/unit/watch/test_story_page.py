"""The HTML page of an event."""

from __future__ import annotations

from rtp.aws.queues import Message
from rtp.commands.render.story_page import page
from rtp.ops.dlq.messages import read
from rtp.ops.telemetry.story import Story

ACCEPTED = 1_800_000_000_123


def test_the_times_of_the_record_and_of_the_message_have_one_form() -> None:
    record = {"id": "a", "timestamp": ACCEPTED, "type": "order", "status": "dead", "accepted_at": ACCEPTED}
    message = read(Message("m-1", "receipt", '{"id": "a"}', {}, ACCEPTED, 2))

    html = page(Story("a", records=[record], dlq_message=message))

    cell = '<td>2027-01-15 08:00:00.123 <span class="dim">1800000000123</span></td>'
    assert f"<th>accepted_at</th>{cell}" in html
    assert f"<th>first seen</th>{cell}" in html

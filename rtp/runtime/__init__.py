"""What runs in Lambda, and what processors are written with."""

from rtp.runtime.event import Event
from rtp.runtime.registry import Reject, processor

__all__ = ["Event", "Reject", "processor"]

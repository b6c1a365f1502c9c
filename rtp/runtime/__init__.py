"""The code that runs in Lambda, and what processors import."""

from rtp.runtime.event import Event
from rtp.runtime.registry import Reject, processor
from rtp.runtime.secrets import SecretError, secret

__all__ = ["Event", "Reject", "SecretError", "processor", "secret"]

"""The CDK app. `from rtp.infra import Pipeline` is for the types of a file that `[infra] extend` names."""

from rtp.infra.pipeline import Pipeline

__all__ = ["Pipeline"]

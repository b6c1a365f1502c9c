"""What botocore knows of AWS: the models of its services, and the names of its regions."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def service(name: str) -> dict[str, Any]:
    """The model of a service, under boto3's name: its operations and shapes."""
    from botocore.loaders import Loader

    loaded: dict[str, Any] = Loader().load_service_model(name, "service-2")
    return loaded


@cache
def region_name(region: str) -> str:
    """The long name of a region, such as `US East (N. Virginia)`; its code if it is unknown."""
    from botocore.loaders import Loader

    for partition in Loader().load_data("endpoints")["partitions"]:
        if region in partition["regions"]:
            return str(partition["regions"][region]["description"])
    return region

"""The cloud region in which this machine stands, from what lies on it; no network is used.

Only what the machine says about itself counts. ``AWS_REGION`` on a laptop names the region that its
owner works with, not the place of the laptop.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

MOST_BYTES = 1 << 20

_CLOUDS = {"aws": "aws", "azure": "azure", "gce": "gcp"}
"""By cloud-init's name of a cloud, ours (``v1.cloud_name`` in https://docs.cloud-init.io)."""


def region(instance_data: str, environ: Mapping[str, str]) -> str | None:
    """``aws:eu-west-3``, or None where nothing on the machine tells.

    Args:
        instance_data: cloud-init's file; empty: nothing is looked at.
        environ: the environment, in which AWS's managed services name the region.
    """
    if not instance_data:
        return None
    return _from_cloud_init(Path(instance_data)) or _from_environment(environ)


def _from_cloud_init(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(MOST_BYTES))["v1"]
        cloud, name = _CLOUDS[told["cloud_name"]], told["region"]
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
    return f"{cloud}:{name}" if isinstance(name, str) and name else None


def _from_environment(environ: Mapping[str, str]) -> str | None:
    """``AWS_EXECUTION_ENV`` is set by Lambda, ECS and SageMaker, and by nobody else."""
    name = environ.get("AWS_REGION")
    return f"aws:{name}" if name and environ.get("AWS_EXECUTION_ENV") else None

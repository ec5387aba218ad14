"""What Kustomize makes of the manifests, and whether a cluster would take it.

Kubernetes' own kinds are judged by its schemas, with unknown fields refused. KEDA's and the Prometheus operator's are
judged by ``crds.json``, which names the fields that are used here and their types, as the operators document them.
"""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from deployed import ROOT

KUBERNETES = ROOT / "deploy/kubernetes"
OVERLAYS = ("cpu", "gpu")
VERSIONS = ("1.29", "1.37")  # the oldest that is looked after somewhere, and the newest that the schemas know
_CRDS = json.loads(Path(__file__).with_name("crds.json").read_text())


@cache
def _built(folder: Path) -> str:
    return subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True).stdout


def build(overlay: str, kubernetes: Path = KUBERNETES) -> list[dict[str, Any]]:
    """Return the resources of an overlay."""
    return list(yaml.safe_load_all(_built(kubernetes / "overlays" / overlay)))


def judge(resource: dict[str, Any], version: str = VERSIONS[-1]) -> None:
    """Raise where a cluster would refuse a resource, or forget a part of it."""
    schema = _CRDS.get(f"{resource['apiVersion']}/{resource['kind']}")
    if schema is not None:
        jsonschema.validate(resource, schema)
    else:
        kubernetes_validate.validate(resource, version, strict=True)

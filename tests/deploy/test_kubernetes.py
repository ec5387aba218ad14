"""Kubernetes' manifests: a cluster takes what Kustomize builds, it is closed, and it scales by the jobs there are."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import sqlalchemy as sa

from reelpress.jobs.database import open_database

from clusters import KUBERNETES, OVERLAYS, VERSIONS, build, judge
from deployed import accepts
from job_table import put, set_row

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
_AFTER_GRACE_S = 6  # what stopping programs may take: reelpress.service.server


def of_kind(overlay: str, kind: str) -> list[dict[str, Any]]:
    return [resource for resource in build(overlay) if resource["kind"] == kind]


def pods() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield overlay and name, pod and container of each workload."""
    for overlay in OVERLAYS:
        for workload in of_kind(overlay, "Deployment"):
            pod = workload["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            yield f"{overlay}/{workload['metadata']['name']}", pod, container


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_cluster_takes_everything(overlay: str, version: str) -> None:
    resources = build(overlay)
    assert len(resources) == 16
    for resource in resources:
        judge(resource, version)
        assert resource["kind"] == "Namespace" or resource["metadata"]["namespace"] == "reelpress"
    assert not of_kind(overlay, "Secret")  # these are named, and made by whoever runs it


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("base/worker.yaml", "readOnlyRootFilesystem: true", "readonlyRootFilesystem: true"),
        ("base/worker.yaml", "terminationGracePeriodSeconds: 630", "terminationGracePeriodSeconds: soon"),
        ("base/api.yaml", "failureThreshold: 60", "failureTreshold: 60"),
        ("base/network.yaml", "podSelector:", "podSelektor:"),
        ("components/keda/scaling.yaml", "maxReplicaCount: 20", "maxReplicas: 20"),
        ("components/keda/scaling.yaml", 'targetQueryValue: "2"', "targetQueryValue: 2"),
        ("components/prometheus/monitors.yaml", "podMetricsEndpoints:", "endpoints:"),
        ("overlays/gpu/worker.yaml", "nodeSelector:", "nodeSelectors:"),
    ],
)
def test_a_mistake_is_found(tmp_path: Path, file: str, right: str, wrong: str) -> None:
    changed = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    text = (changed / file).read_text()
    assert right in text
    (changed / file).write_text(text.replace(right, wrong))
    mistaken = [resource for resource in build("gpu", changed) if resource not in build("gpu")]
    assert mistaken
    for resource in mistaken:
        with pytest.raises((kubernetes_validate.ValidationError, jsonschema.ValidationError)):
            judge(resource)


def test_what_kustomize_cannot_build_is_found(tmp_path: Path) -> None:
    changed = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    (changed / "base/api.yaml").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        build("cpu", changed)


def test_pods_are_as_restricted_as_the_namespace_demands() -> None:
    for name, pod, container in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        writable = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert writable == {"/data", "/scratch", "/cache"}, name  # those of the image
        assert {probe for probe in container if probe.endswith("Probe")} == {
            "startupProbe", "livenessProbe", "readinessProbe",
        }, name  # fmt: skip


def test_settings_are_accepted_and_there_is_time_to_end() -> None:
    for name, pod, container in pods():
        (configured,) = (c["data"] for c in of_kind(name.split("/")[0], "ConfigMap"))
        environment = {**configured, **{entry["name"]: entry["value"] for entry in container["env"]}}
        accepts(environment)
        pre_stop = container.get("lifecycle", {}).get("preStop", {"exec": {"command": ["sleep", "0"]}})
        needed_s = float(environment["REELPRESS_GRACE"]) + _AFTER_GRACE_S + float(pre_stop["exec"]["command"][1])
        assert pod["terminationGracePeriodSeconds"] >= needed_s, name


def test_the_api_does_no_jobs_whatever_the_settings_of_all_say() -> None:
    """What is named in ``env`` wins over ``envFrom``, which workers have, too."""
    apis = [container for name, _, container in pods() if name.endswith("-api")]
    assert len(apis) == len(OVERLAYS)
    for container in apis:
        own = {entry["name"]: entry["value"] for entry in container["env"]}
        assert (own["REELPRESS_WORKER_JOBS"], own["REELPRESS_PUSH_JOBS"]) == ("0", "0")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_named_is_there(overlay: str) -> None:
    accounts = {found["metadata"]["name"] for found in of_kind(overlay, "ServiceAccount")}
    settings = {found["metadata"]["name"] for found in of_kind(overlay, "ConfigMap")}
    labels = [w["spec"]["template"]["metadata"]["labels"] for w in of_kind(overlay, "Deployment")]
    for workload in of_kind(overlay, "Deployment"):
        pod = workload["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] in accounts
        (container,) = pod["containers"]
        assert container["envFrom"][0]["configMapRef"]["name"] in settings
        assert container["envFrom"][1]["secretRef"]["name"] == "reelpress"
        assert container["image"] != "reelpress"
    selectors = [s["spec"]["selector"] for s in of_kind(overlay, "Service")]
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        selectors += [found["spec"]["selector"]["matchLabels"] for found in of_kind(overlay, kind)]
    selectors += [p["spec"]["podSelector"]["matchLabels"] for p in of_kind(overlay, "NetworkPolicy")]
    for selector in selectors:
        assert any(selector.items() <= found.items() for found in labels), selector


def test_workers_of_the_gpu_s_overlay_get_one_and_demand_that_it_works() -> None:
    found = {name: (pod, container) for name, pod, container in pods()}
    pod, container = found["gpu/reelpress-worker"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    assert {"name": "REELPRESS_START_CHECK", "value": "require"} in container["env"]
    assert container["image"].endswith(":cuda")
    for name in ("gpu/reelpress-api", "cpu/reelpress-worker"):
        assert "nvidia.com/gpu" not in str(found[name])


def test_the_scaler_counts_what_waits_and_what_runs(new_postgres: Callable[[], str], tmp_path: Path) -> None:
    """Its query, on a database of ours; a target of other than a worker's slots would let jobs wait for nothing."""
    (scaled,) = of_kind("cpu", "ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    worker = next(container for name, _, container in pods() if name == "cpu/reelpress-worker")
    assert {"name": "REELPRESS_WORKER_JOBS", "value": trigger["metadata"]["targetQueryValue"]} in worker["env"]
    database = open_database(new_postgres(), tmp_path)
    for status in ("queued", "queued", "running", "done", "failed", "cancelled", "dead"):
        set_row(database, put(database).id, status=status)
    set_row(database, put(database).id, status="running", queue="push")
    with database.reading() as connection:
        assert connection.execute(sa.text(trigger["metadata"]["query"])).scalar_one() == 3
    database.close()

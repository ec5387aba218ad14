"""What makes and changes the Cloud Run services: the worker on a GPU or on CPUs, and the API."""

from __future__ import annotations

from collections.abc import Mapping

from cloudrun.deployment import Deployment
from cloudrun.settings_file import ServiceEnvironment, service_environment
from cloudrun.steps import Step
from reelpress.errors import UsageError

# Our own part of a deployment: what gcloud has no command for (see rollout.py).
OURS = ("env", "PYTHONPATH=deploy:src", "python3", "-m", "cloudrun")
# Cloud Run gives a container four minutes to start; the doctor tries the GPU first, which takes its time.
_STARTUP = "httpGet.path=/health,httpGet.port=8001,periodSeconds=5,timeoutSeconds=4,failureThreshold=48"
_LIVENESS = "httpGet.path=/health,httpGet.port=8001,periodSeconds=30,timeoutSeconds=10,failureThreshold=4"


def deploy_worker(deployment: Deployment, given: Mapping[str, str], *, gpu: bool) -> list[Step]:
    """Deploy the worker; the GPU's and the CPU's have one name, so that either takes the other's place."""
    hardware = ["--gpu=1", f"--gpu-type={deployment.gpu_type}", "--no-gpu-zonal-redundancy"] if gpu else ["--gpu=0"]
    image = deployment.image("gpu" if gpu else "cpu")
    argv = (
        *_deploy(deployment, deployment.worker, image, deployment.account("worker")),
        *hardware, f"--cpu={deployment.cpu}", f"--memory={deployment.memory_gib}Gi",
        # one request is one job, and its work goes on between requests
        "--concurrency=1", "--no-cpu-throttling",
        f"--min-instances={deployment.min_instances}", f"--max-instances={deployment.max_instances}",
        f"--timeout={deployment.timeout_s}", f"--set-custom-audiences={deployment.audience}",
        *_scratch(deployment),
        *_environment(deployment, service_environment(deployment, given, role="worker")),
        "--no-allow-unauthenticated",
    )  # fmt: skip
    kind = "a GPU" if gpu else "CPUs"
    return _released(deployment, deployment.worker, argv, f"The worker, on {kind}.")


def deploy_api(deployment: Deployment, given: Mapping[str, str]) -> list[Step]:
    """Deploy the service that answers the wizard and the API; its requests are many and small, and streams last."""
    check = "--no-invoker-iam-check" if deployment.api_public else "--invoker-iam-check"
    argv = (
        *_deploy(deployment, deployment.api, deployment.image("cpu"), deployment.account("api")),
        "--cpu=1", "--memory=1Gi", "--concurrency=250", "--no-cpu-throttling", "--min-instances=0",
        "--max-instances=10", "--timeout=3600", "--session-affinity",
        *_environment(deployment, service_environment(deployment, given, role="api")),
        "--no-allow-unauthenticated", check,
    )  # fmt: skip
    return _released(deployment, deployment.api, argv, "The API.")


def update_env(deployment: Deployment, given: Mapping[str, str]) -> list[Step]:
    """Give the worker's containers the settings of the file, and nothing else of its own; no image is built."""
    environment = _environment(deployment, service_environment(deployment, given, role="worker"))
    return _changed(deployment, environment, "New settings.")


def switch_gpu(deployment: Deployment, *, on: bool) -> list[Step]:
    """Have the worker use its GPU, or leave it alone; no image is built."""
    change = [f"--update-env-vars=ENABLE_GPU_ACCELERATION={'true' if on else 'false'}"]
    return _changed(deployment, change, "The GPU is used from now on." if on else "The GPU is left alone from now on.")


def deploy_doctor(deployment: Deployment) -> list[Step]:
    """Run ``reelpress doctor`` once where the worker runs: what works there, and why the rest does not.

    A job with a GPU is beta in gcloud 528, and has no flag for zonal redundancy there.
    """
    name = f"reelpress-doctor-{deployment.stage}"
    argv = (
        "gcloud", "beta", "run", "jobs", "deploy", name, f"--image={deployment.image('gpu')}", *_where(deployment),
        f"--service-account={deployment.account('worker')}", "--gpu=1", f"--gpu-type={deployment.gpu_type}",
        f"--cpu={deployment.cpu}", f"--memory={deployment.memory_gib}Gi", "--task-timeout=600", "--max-retries=0",
        "--args=doctor,--hardware,require", "--execute-now", "--wait",
    )  # fmt: skip
    logs = f'resource.type="cloud_run_job" AND resource.labels.job_name="{name}"'
    return [
        Step(argv=argv, why="A job of its own, beside the worker; exit code 4 is: no GPU encodes.",
             goes_on=True),
        Step(argv=_read_logs(deployment, logs, "10m"), why="What it said."),
    ]  # fmt: skip


def logs(deployment: Deployment) -> list[Step]:
    """Show the worker's log of the last hour."""
    query = f'resource.type="cloud_run_revision" AND resource.labels.service_name="{deployment.worker}"'
    return [Step(argv=_read_logs(deployment, query, "1h"))]


def _read_logs(deployment: Deployment, query: str, freshness: str) -> tuple[str, ...]:
    return (
        "gcloud", "logging", "read", query, f"--project={deployment.project}", f"--freshness={freshness}",
        "--order=asc", "--limit=1000",
        "--format=value(timestamp, severity, jsonPayload.message, jsonPayload.job, textPayload)",
    )  # fmt: skip


def _where(deployment: Deployment) -> tuple[str, str]:
    return f"--project={deployment.project}", f"--region={deployment.region}"


def _deploy(deployment: Deployment, service: str, image: str, account: str) -> tuple[str, ...]:
    network = (f"--network={deployment.network}", f"--subnet={deployment.subnet}", "--vpc-egress=private-ranges-only")
    return (
        "gcloud", "run", "deploy", service, f"--image={image}", *_where(deployment), f"--service-account={account}",
        "--execution-environment=gen2", "--port=8001", "--cpu-boost", f"--startup-probe={_STARTUP}",
        f"--liveness-probe={_LIVENESS}",
        *((f"--set-cloudsql-instances={deployment.cloudsql}",) if deployment.cloudsql else ()),
        *(network if deployment.network else ()),
    )  # fmt: skip


def _scratch(deployment: Deployment) -> tuple[str, ...]:
    """Cloud Run's own file system is memory without a limit of its own: what is full there ends the instance."""
    volume = (
        f"name=scratch,type=in-memory,size-limit={deployment.scratch_gib}Gi"
        if deployment.scratch == "memory"
        else f"name=scratch,type=cloud-storage,bucket={deployment.scratch}"
    )
    # a deployment over an earlier one changes volumes; it would refuse to add what is there
    return (
        "--clear-volume-mounts", "--clear-volumes", f"--add-volume={volume}",
        "--add-volume-mount=volume=scratch,mount-path=/scratch",
    )  # fmt: skip


def _environment(deployment: Deployment, environment: ServiceEnvironment) -> tuple[str, str]:
    secrets = ",".join(f"{name}={deployment.secret(name)}:latest" for name in environment.secret)
    return f"--set-env-vars={as_mapping(environment.plain)}", f"--set-secrets={secrets}"


def as_mapping(values: Mapping[str, str]) -> str:
    """Return a mapping as gcloud reads it, with a delimiter that none of the values has (``gcloud topic escaping``)."""
    pairs = [f"{name}={value}" for name, value in values.items()]
    for delimiter in (",", "@", "|", ";", "~", "#"):
        if not any(delimiter in pair for pair in pairs):
            joined = delimiter.join(pairs)
            return joined if delimiter == "," else f"^{delimiter}^{joined}"
    raise UsageError("These settings have every character in them that could part them.")


def _released(deployment: Deployment, service: str, argv: tuple[str, ...], why: str) -> list[Step]:
    """Let a new service have traffic at once, since nothing else could; a new revision of one begins without any."""
    look = ("gcloud", "run", "services", "describe", service, *_where(deployment))
    first = Step(argv=argv, why=why, look=look, there=(*argv, "--no-traffic", "--tag=canary"))
    if deployment.is_staged:
        return [first]
    return [first, Step(argv=(*OURS, "promote", f"--service={service}"), why="All traffic to it, at once.")]


def _changed(deployment: Deployment, change: list[str] | tuple[str, ...], why: str) -> list[Step]:
    """Make a revision out of the newest one, which must be the one that serves, and no canary."""
    update = ("gcloud", "run", "services", "update", deployment.worker, *_where(deployment), *change)
    traffic = ("gcloud", "run", "services", "update-traffic", deployment.worker, *_where(deployment), "--to-latest")
    return [
        Step(
            argv=(*OURS, "check-newest-serves", f"--service={deployment.worker}"),
            why="A change is made to the newest revision: is that what serves?",
        ),
        Step(argv=update, why=why),
        Step(argv=traffic, why="Traffic may be bound to a revision by name, and a new one would get none."),
    ]

"""What a deployment is told, once: names, defaults, accepted values. ``.env.deploy.example`` is written from here."""

from __future__ import annotations

import re
from collections.abc import Callable

from reelpress.settings_table import Setting, choice, number, optional, switch

# Of Cloud Run: what a GPU type asks for at least (cloud.google.com/run/docs/configuring/services/gpu). There is no T4.
GPUS = {"nvidia-l4": (4, 16), "nvidia-rtx-pro-6000": (20, 80)}
# Cloud Tasks ends a dispatch after 30 minutes at most; Cloud Run a request after 60.
LONGEST_DISPATCH_S = 1800


def matching(pattern: str) -> Callable[[str], str]:
    """Return a parser of texts that are wholly what a pattern says."""

    def parse(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError("not of that form")
        return text

    return parse


def named(text: str) -> str | None:
    """Return the name of a network; ``None`` for the word none, and for that alone: ``default`` is a network's name."""
    return None if text.lower() == "none" else _NAME(text)


_NAME = matching(r"[a-z]([a-z0-9-]{0,40}[a-z0-9])?")

VARIABLES: tuple[Setting, ...] = (
    Setting(
        name="stage", env=("DEPLOY_ENV",), default="dev", accepts="dev, prod", parse=choice("dev", "prod"),
        help="Which of the two; all names end in it, so both may be in one project.",
    ),
    Setting(
        name="project", env=("PROJECT",), default="", accepts="the id of a Google Cloud project",
        parse=matching(r"[a-z][a-z0-9.:-]{4,62}[a-z0-9]"), help="Google Cloud project.",
    ),
    Setting(
        name="region", env=("REGION",), default="", accepts="a region, as europe-west1",
        parse=matching(r"[a-z]+-[a-z]+[0-9]+"),
        help="Region of everything. The L4 is in few, as asia-southeast1, europe-west1, europe-west4, us-east4.",
    ),
    Setting(
        name="bucket", env=("BUCKET",), default="", accepts="the name of a bucket, without gs://",
        parse=matching(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"), help="Bucket of inputs and outputs.",
    ),
    Setting(
        name="repository", env=("REPOSITORY",), default="reelpress", accepts="a name", parse=_NAME,
        help="Artifact Registry's repository of the images.",
    ),
    Setting(
        name="tag", env=("TAG",), default="latest", accepts="a tag of an image",
        parse=matching(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"),
        help="Which images; the Makefile takes the commit's short hash.",
    ),
    Setting(
        name="service", env=("SERVICE",), default="reelpress-worker", accepts="a name", parse=_NAME,
        help="The worker's Cloud Run service, GPU or CPU; -dev or -prod is put behind it.",
    ),
    Setting(
        name="api_service", env=("API_SERVICE",), default="reelpress-api", accepts="a name", parse=_NAME,
        help="The Cloud Run service that answers the wizard and the API, and does no jobs.",
    ),
    Setting(
        name="api_public", env=("API_PUBLIC",), default="false", accepts="true or false", parse=switch,
        help="Let requests to the API through without Google's check, as Firebase Hosting needs it. Reelpress asks "
        "every one for a key or an ID token all the same.",
    ),
    Setting(
        name="gpu_type", env=("GPU_TYPE",), default="nvidia-l4", accepts=", ".join(GPUS), parse=choice(*GPUS),
        help="The GPU of deploy-worker-gpu.",
    ),
    Setting(
        name="cpu", env=("CPU",), default="4", accepts="1 to 64", parse=number(1, 64, int), help="vCPUs of a worker.",
    ),
    Setting(
        name="memory_gib", env=("MEMORY_GIB",), default="16", accepts="1 to 256 GiB", parse=number(1, 256, int),
        help="Memory of a worker; files in memory are part of it.",
    ),
    Setting(
        name="scratch", env=("SCRATCH",), default="memory", accepts="memory, or the name of a bucket",
        parse=matching(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"),
        help="Where files of jobs at work are: in memory, or in a bucket that is mounted (slower; for inputs that "
        "memory cannot hold).",
    ),
    Setting(
        name="scratch_gib", env=("SCRATCH_GIB",), default="8", accepts="1 to 32 GiB", parse=number(1, 32, int),
        help="Most that files in memory may take.",
    ),
    Setting(
        name="min_instances", env=("MIN_INSTANCES",), default="0", accepts="0 to 100", parse=number(0, 100, int),
        help="Workers that are always up, and paid for; 1 also does the jobs that come by the API.",
    ),
    Setting(
        name="max_instances", env=("MAX_INSTANCES",), default="20", accepts="1 to 100", parse=number(1, 100, int),
        help="Most workers at once; Cloud Run's own default is 100.",
    ),
    Setting(
        name="timeout_s", env=("TIMEOUT",), default="1800", accepts="900 to 3600 seconds",
        parse=number(900, 3600, int), help="Longest request. Cloud Tasks waits 1800 s at most, whatever is said here.",
    ),
    Setting(
        name="queue", env=("QUEUE",), default="reelpress-videos", accepts="a name", parse=_NAME,
        help="Cloud Tasks' queue.",
    ),
    Setting(
        name="dispatches_per_s", env=("DISPATCHES_PER_SECOND",), default="5", accepts="0.1 to 500",
        parse=number(0.1, 500, float), help="Most dispatches of the queue in a second.",
    ),
    Setting(
        name="max_attempts", env=("MAX_ATTEMPTS",), default="100", accepts="1 to 1000", parse=number(1, 1000, int),
        help="Deliveries of a task before it is given up; every 503 and 429 is one of them.",
    ),
    Setting(
        name="cloudsql", env=("CLOUDSQL_INSTANCE",), default="none", accepts="PROJECT:REGION:INSTANCE, none",
        parse=optional(matching(r"[a-z0-9.:-]+:[a-z0-9-]+:[a-z0-9-]+")),
        help="Cloud SQL instance that REELPRESS_DATABASE_URL is at, by its socket; none for other databases.",
    ),
    Setting(
        name="network", env=("NETWORK",), default="none", accepts="a VPC network, none", parse=named,
        help="VPC network to reach a database by its private address.",
    ),
    Setting(
        name="subnet", env=("SUBNET",), default="none", accepts="a subnet of it, none", parse=named,
        help="Subnet in that network.",
    ),
    Setting(
        name="env_file", env=("ENV_FILE",), default="auto", accepts="a file, auto", parse=optional(str),
        help="The service's settings; auto is deploy/.env.STAGE.",
    ),
    Setting(
        name="staged", env=("STAGED",), default="auto", accepts="true, false, auto", parse=optional(switch),
        help="Give a new revision no traffic until it is promoted or rolled out; auto does so in prod.",
    ),
    Setting(
        name="container_tool", env=("CONTAINER_TOOL",), default="docker", accepts="docker, podman",
        parse=choice("docker", "podman"), help="What builds and pushes images from this machine.",
    ),
    Setting(
        name="billing_account", env=("BILLING_ACCOUNT",), default="", accepts="an id, as 012345-6789AB-CDEF01",
        parse=matching(r"[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}"), help="Billing account of the budget.",
    ),
    Setting(
        name="budget_usd", env=("BUDGET_USD",), default="", accepts="1 to 10000000", parse=number(1, 10**7, float),
        help="Dollars a month.",
    ),
    Setting(
        name="github_owner", env=("GITHUB_OWNER",), default="", accepts="a name", parse=matching(r"[A-Za-z0-9-]{1,39}"),
        help="Owner of the repository that Cloud Build builds.",
    ),
    Setting(
        name="github_repository", env=("GITHUB_REPOSITORY",), default="", accepts="a name",
        parse=matching(r"[A-Za-z0-9._-]{1,100}"), help="Name of that repository.",
    ),
)  # fmt: skip

BY_NAME = {row.name: row for row in VARIABLES}

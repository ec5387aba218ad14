"""What a project needs beside the services: accounts and what they may, repository, bucket, queue, secrets, budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudrun.deployment import FOLDER, ROOT, Deployment
from cloudrun.settings_file import tells_figures
from cloudrun.steps import Step
from cloudrun.variables import BY_NAME

_APIS = (
    "run", "artifactregistry", "cloudbuild", "cloudtasks", "secretmanager", "sqladmin", "storage", "iamcredentials",
    "monitoring", "logging", "telemetry", "billingbudgets",
)  # fmt: skip
ROLES = {"worker": "does the jobs", "tasks": "calls the worker", "api": "answers the API", "build": "builds, deploys"}
# What each account may do in the whole project. The rest is granted on the one thing that it is for.
_PROJECT_ROLES = {
    "worker": ("monitoring.metricWriter", "cloudtrace.agent", "cloudsql.client"),
    "tasks": (),
    "api": ("monitoring.metricWriter", "cloudtrace.agent", "cloudsql.client", "cloudtasks.enqueuer"),
    "build": ("logging.logWriter", "run.developer", "monitoring.viewer"),
}
# What builds are told of a deployment: substitutions of deploy/cloudbuild.yaml and cloudbuild.prod.yaml.
_HANDED_TO_BUILDS = (
    "region", "repository", "bucket", "service", "gpu_type", "cpu", "memory_gib", "scratch", "scratch_gib",
    "min_instances", "max_instances", "timeout_s", "max_attempts", "cloudsql", "network", "subnet",
)  # fmt: skip
BUDGET_STEPS = (0.5, 0.8, 1.0, 1.2)


def set_up(deployment: Deployment) -> list[Step]:
    """Switch the APIs on, and make repository, bucket and service accounts. May be done again."""
    project = f"--project={deployment.project}"
    apis = tuple(f"{name}.googleapis.com" for name in _APIS)
    repository = ("gcloud", "artifacts", "repositories")
    place = (deployment.repository, project, f"--location={deployment.region}")
    bucket = f"gs://{deployment.bucket}"
    accounts = [
        Step(
            argv=("gcloud", "iam", "service-accounts", "create", _id(deployment, role), project,
                  f"--display-name=Reelpress {deployment.stage}: {what}"),
            look=("gcloud", "iam", "service-accounts", "describe", deployment.account(role), project),
        )
        for role, what in ROLES.items()
    ]  # fmt: skip
    return [
        Step(argv=("gcloud", "services", "enable", *apis, project), why="What is used of Google Cloud."),
        Step(argv=(*repository, "create", *place, "--repository-format=docker"), why="Where the images are.",
             look=(*repository, "describe", *place)),
        Step(argv=("gcloud", "storage", "buckets", "create", bucket, project, f"--location={deployment.region}",
                   "--uniform-bucket-level-access", "--public-access-prevention"), why="Inputs and outputs.",
             look=("gcloud", "storage", "buckets", "describe", bucket)),
        *accounts,
    ]  # fmt: skip


def grant(deployment: Deployment, secrets: Sequence[str]) -> list[Step]:
    """Give each account what its role needs, and no more; ``secrets`` are the variables that Secret Manager holds.

    The worker's service and the secrets must be there.
    """
    project, region = f"--project={deployment.project}", f"--region={deployment.region}"
    member = {role: f"--member=serviceAccount:{deployment.account(role)}" for role in ROLES}
    account = ("gcloud", "iam", "service-accounts", "add-iam-policy-binding")
    steps = [
        Step(argv=("gcloud", "projects", "add-iam-policy-binding", str(deployment.project), member[role],
                   f"--role=roles/{name}", "--condition=None"))
        for role, names in _PROJECT_ROLES.items() for name in names
    ]  # fmt: skip
    for role in ("worker", "api"):
        steps += [
            Step(argv=("gcloud", "storage", "buckets", "add-iam-policy-binding", f"gs://{deployment.bucket}",
                       member[role], "--role=roles/storage.objectUser"), why=f"The {role} reads and writes objects."),
            Step(argv=(*account, deployment.account(role), project, member[role],
                       "--role=roles/iam.serviceAccountTokenCreator"),
                 why=f"The {role} signs addresses as itself: there is no key."),
            *(Step(argv=("gcloud", "secrets", "add-iam-policy-binding", deployment.secret(name), project, member[role],
                         "--role=roles/secretmanager.secretAccessor")) for name in secrets),
        ]  # fmt: skip
    return [
        *steps,
        Step(argv=("gcloud", "run", "services", "add-iam-policy-binding", deployment.worker, project, region,
                   member["tasks"], "--role=roles/run.invoker"), why="Nobody but Cloud Tasks calls the worker."),
        Step(argv=(*account, deployment.account("tasks"), project, member["api"],
                   "--role=roles/iam.serviceAccountUser"),
             why="Who makes a task lets it call as that account."),
        *(
            Step(argv=(*account, deployment.account(role), project, member["build"],
                       "--role=roles/iam.serviceAccountUser"), why=f"Builds deploy what runs as the {role}.")
            for role in ("worker", "api")
        ),
        Step(argv=("gcloud", "artifacts", "repositories", "add-iam-policy-binding", deployment.repository, project,
                   f"--location={deployment.region}", member["build"], "--role=roles/artifactregistry.writer")),
    ]  # fmt: skip


def put_secrets(deployment: Deployment, present: Sequence[str]) -> list[Step]:
    """Keep what these variables hold in Secret Manager; instances that start from now on read it."""
    steps = []
    for name in present:
        place = (deployment.secret(name), f"--project={deployment.project}")
        steps += [
            Step(argv=("gcloud", "secrets", "create", *place, "--replication-policy=automatic"), why=name,
                 look=("gcloud", "secrets", "describe", *place)),
            Step(argv=("gcloud", "secrets", "versions", "add", *place, "--data-file=-"), stdin=name),
        ]  # fmt: skip
    return steps


def create_queue(deployment: Deployment) -> list[Step]:
    """Make the queue, or change it. The dispatch deadline is each task's own: enqueue.py says it."""
    place = (deployment.queue_name, f"--project={deployment.project}", f"--location={deployment.region}")
    rates = (
        f"--max-dispatches-per-second={deployment.dispatches_per_s:g}",
        # one more would wait at Cloud Run's door, and be turned away with 429
        f"--max-concurrent-dispatches={deployment.max_instances}",
        f"--max-attempts={deployment.max_attempts}", "--min-backoff=10s", "--max-backoff=300s", "--max-doublings=5",
        "--log-sampling-ratio=1",
    )  # fmt: skip
    queues = ("gcloud", "tasks", "queues")
    return [
        Step(argv=(*queues, "create", *place, *rates), why="Rates and retries.", look=(*queues, "describe", *place),
             there=(*queues, "update", *place, *rates))
    ]  # fmt: skip


def budget(deployment: Deployment) -> list[Step]:
    """Make a budget that tells the billing account's administrators at each step. It only tells: it stops nothing."""
    rules = tuple(f"--threshold-rule=percent={share:g}" for share in BUDGET_STEPS)
    return [
        Step(argv=("gcloud", "billing", "budgets", "create", f"--billing-account={deployment.billing_account}",
                   f"--display-name=reelpress-{deployment.stage}", f"--budget-amount={deployment.budget_usd:g}USD",
                   "--calendar-period=month", f"--filter-projects=projects/{deployment.project}", *rules))
    ]  # fmt: skip


def monitoring(deployment: Deployment, given: Mapping[str, str]) -> list[Step]:
    """Load the dashboard and the alert policies of deploy/monitoring. Policies are alpha in gcloud 528.

    Said first where containers with these settings tell nobody the figures that those ask for.
    """
    folder, project = FOLDER / "monitoring" / "google", f"--project={deployment.project}"
    dashboards, policies = (
        [path.relative_to(ROOT) for path in sorted(folder.glob(pattern))] for pattern in ("*.json", "policies/*.json")
    )
    unfed = Step(
        argv=(
            "echo",
            "Nothing feeds these yet: containers have to tell a collector their figures (docs/metrics.md).",
        ),
        why=f"{deployment.settings_file.name} has Google's own two metrics at most: no alert would ever fire.",
    )
    return [
        *([] if tells_figures(given) else [unfed]),
        *(Step(argv=("gcloud", "monitoring", "dashboards", "create", project, f"--config-from-file={path}"))
          for path in dashboards),
        *(Step(argv=("gcloud", "alpha", "monitoring", "policies", "create", project, f"--policy-from-file={path}"))
          for path in policies),
    ]  # fmt: skip


def create_triggers(deployment: Deployment) -> list[Step]:
    """Have Cloud Build bring every push to main to dev; prod is a build of its own that waits for a yes.

    Both deploy with what this deployment was told: ``.env.deploy`` is not where they run.
    """
    substitutions = {
        f"_{row.env[0]}": value
        for row in (BY_NAME[name] for name in _HANDED_TO_BUILDS)
        if (value := getattr(deployment, row.name)) is not None and str(value) != row.default
    }
    steps = []
    for stage, config, approval in (
        ("dev", "cloudbuild.yaml", "--no-require-approval"),
        ("prod", "cloudbuild.prod.yaml", "--require-approval"),
    ):
        where = "--branch-pattern=^main$" if stage == "dev" else "--tag-pattern=^v[0-9].*"
        steps.append(
            Step(argv=("gcloud", "builds", "triggers", "create", "github", f"--name=reelpress-{stage}",
                       f"--project={deployment.project}", f"--region={deployment.region}",
                       f"--repo-owner={deployment.github_owner}", f"--repo-name={deployment.github_repository}", where,
                       f"--build-config=deploy/{config}", approval,
                       f"--service-account=projects/{deployment.project}/serviceAccounts/{deployment.account('build')}",
                       "--substitutions=" + ",".join(f"{name}={value}" for name, value in substitutions.items())))
        )  # fmt: skip
    return steps


def _id(deployment: Deployment, role: str) -> str:
    return deployment.account(role).partition("@")[0]

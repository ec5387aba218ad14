"""Every target of the Makefile: what it needs to be told, and the steps it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cloudrun import project, services
from cloudrun.deployment import Deployment
from cloudrun.services import OURS
from cloudrun.settings_file import SECRETS, read_settings, service_environment
from cloudrun.steps import Step
from reelpress.facts.values import Value

_PLACE = ("project", "region")
_SERVICE = (*_PLACE, "bucket")


class Target(Value, frozen=True, kw_only=True):
    """One target. ``needs`` are variables without which it means nothing; ``plan`` makes its steps.

    ``plan`` is given the deployment, the settings of its file (empty unless ``reads_settings``), and the environment.
    """

    help: str
    needs: tuple[str, ...]
    plan: Callable[[Deployment, Mapping[str, str], Mapping[str, str]], list[Step]]
    reads_settings: bool = False


def _build(deployment: Deployment) -> list[Step]:
    return [
        Step(argv=(deployment.container_tool, "build", f"--file=deploy/{file}", f"--tag={deployment.image(kind)}",
                   f"--build-arg=REVISION={deployment.tag}", "."), why=f"The image for {what}.")
        for kind, file, what in (("gpu", "Dockerfile.cuda", "a GPU"), ("cpu", "Dockerfile", "CPUs"))
    ]  # fmt: skip


def _push(deployment: Deployment) -> list[Step]:
    host = f"{deployment.region}-docker.pkg.dev"
    return [
        Step(argv=("gcloud", "auth", "configure-docker", host, "--quiet"), why="Pushes are made by who is signed in."),
        *(Step(argv=(deployment.container_tool, "push", deployment.image(kind))) for kind in ("gpu", "cpu")),
    ]  # fmt: skip


def _wizard(deployment: Deployment) -> list[Step]:
    collect = (
        "env", "PYTHONPATH=src", "python3", "scripts/collect_wizard.py", f"--project={deployment.project}",
        f"--bucket={deployment.bucket}", f"--api-service={deployment.api}", f"--region={deployment.region}",
    )  # fmt: skip
    place = ("--config=out/firebase/firebase.json", f"--project={deployment.project}")
    return [
        Step(argv=collect, why="The pages' files, and which service their calls go to; docs/firebase.md."),
        Step(argv=("gcloud", "storage", "buckets", "update", f"gs://{deployment.bucket}",
                   "--cors-file=out/firebase/cors.json"), why="Browsers upload to the bucket itself."),
        Step(argv=("firebase", "deploy", "--only=hosting", *place, "--non-interactive")),
    ]  # fmt: skip


def _ours(command: str) -> Callable[[Deployment, Mapping[str, str], Mapping[str, str]], list[Step]]:
    return lambda deployment, _settings, _environ: [
        Step(argv=(*OURS, command, f"--service={deployment.worker}"), why="Cloud Run's own API; see rollout.py.")
    ]


TARGETS: dict[str, Target] = {
    "set-up": Target(
        help="APIs, image repository, bucket, service accounts", needs=_SERVICE,
        plan=lambda d, _s, _e: project.set_up(d),
    ),
    "put-secrets": Target(
        help="keep REELPRESS_DATABASE_URL, and keys of a store, in Secret Manager", needs=_PLACE,
        plan=lambda d, _s, e: project.put_secrets(d, [name for name in SECRETS if e.get(name)] or SECRETS[:1]),
    ),
    "build-worker": Target(help="both images, on this machine", needs=_PLACE, plan=lambda d, _s, _e: _build(d)),
    "push-worker": Target(help="push them", needs=_PLACE, plan=lambda d, _s, _e: _push(d)),
    "build-push-worker": Target(help="both of these", needs=_PLACE, plan=lambda d, _s, _e: _build(d) + _push(d)),
    "deploy-worker-gpu": Target(
        help="the worker on a GPU", needs=_SERVICE, reads_settings=True,
        plan=lambda d, s, _e: services.deploy_worker(d, s, gpu=True),
    ),
    "deploy-worker-cpu": Target(
        help="the worker on CPUs, in the GPU's place", needs=_SERVICE, reads_settings=True,
        plan=lambda d, s, _e: services.deploy_worker(d, s, gpu=False),
    ),
    "deploy-api": Target(
        help="the API, which does no jobs", needs=_SERVICE, reads_settings=True,
        plan=lambda d, s, _e: services.deploy_api(d, s),
    ),
    "deploy-wizard": Target(
        help="the page, on Firebase Hosting", needs=_SERVICE, plan=lambda d, _s, _e: _wizard(d)
    ),
    "update-worker-env": Target(
        help="new settings, no new image", needs=_SERVICE, reads_settings=True,
        plan=lambda d, s, _e: services.update_env(d, s),
    ),
    "enable-gpu": Target(
        help="use the GPU; no new image", needs=_PLACE, plan=lambda d, _s, _e: services.switch_gpu(d, on=True)
    ),
    "disable-gpu": Target(
        help="leave the GPU alone; no new image", needs=_PLACE, plan=lambda d, _s, _e: services.switch_gpu(d, on=False)
    ),
    "grant-worker-permissions": Target(
        help="what each service account may do", needs=_SERVICE, reads_settings=True,
        plan=lambda d, s, _e: project.grant(d, service_environment(d, s, role="worker").secret),
    ),
    "create-queue": Target(
        help="Cloud Tasks' queue, or its new rates", needs=_PLACE, plan=lambda d, _s, _e: project.create_queue(d)
    ),
    "budget": Target(
        help="a budget that tells at 50, 80, 100 and 120 %", needs=("project", "billing_account", "budget_usd"),
        plan=lambda d, _s, _e: project.budget(d),
    ),
    "monitoring": Target(
        help="dashboard and alert policies", needs=("project",), reads_settings=True,
        plan=lambda d, s, _e: project.monitoring(d, s),
    ),
    "create-triggers": Target(
        help="Cloud Build: dev on every push, prod after a yes",
        needs=(*_SERVICE, "github_owner", "github_repository"), plan=lambda d, _s, _e: project.create_triggers(d),
    ),
    "rollout": Target(
        help="give the canary more and more traffic, or take it back", needs=_PLACE, plan=_ours("rollout")
    ),
    "promote": Target(help="all traffic to the canary, at once", needs=_PLACE, plan=_ours("promote")),
    "rollback": Target(help="all traffic to the revision before", needs=_PLACE, plan=_ours("rollback")),
    "logs": Target(help="the worker's log of the last hour", needs=_PLACE, plan=lambda d, _s, _e: services.logs(d)),
    "doctor-remote": Target(
        help="reelpress doctor, once, where the worker runs", needs=_PLACE,
        plan=lambda d, _s, _e: services.deploy_doctor(d),
    ),
}  # fmt: skip


def steps_of(target: Target, deployment: Deployment, environ: Mapping[str, str]) -> list[Step]:
    """Return the steps of a target. Raises :class:`reelpress.errors.UsageError` for a bad settings file."""
    settings = read_settings(deployment.settings_file) if target.reads_settings else {}
    return target.plan(deployment, settings, environ)

"""What a deployment is told, and the commands that follow; what cannot be meant is refused before any of them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cloudrun.deployment import Deployment, read_deployment
from cloudrun.examples import EXAMPLES
from cloudrun.services import as_mapping
from cloudrun.settings_file import DERIVED, SECRETS, read_settings
from cloudrun.steps import Step, run, script
from cloudrun.targets import TARGETS, steps_of
from cloudrun.variables import VARIABLES
from reelpress.errors import UsageError
from reelpress.service_settings import load_service

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
GIVEN = {
    "PROJECT": "my-project", "REGION": "europe-west1", "BUCKET": "my-bucket", "BUDGET_USD": "100", "GITHUB_OWNER": "me",
    "BILLING_ACCOUNT": "012345-6789AB-CDEF01", "GITHUB_REPOSITORY": "reelpress",
    "ENV_FILE": str(DEPLOY / ".env.prod.example"),
}  # fmt: skip
ASKED = (
    "build-worker", "push-worker", "build-push-worker", "deploy-worker-gpu", "deploy-worker-cpu", "update-worker-env",
    "enable-gpu", "disable-gpu", "grant-worker-permissions", "deploy-wizard", "rollback", "promote", "logs",
    "doctor-remote", "create-queue", "budget", "monitoring", "rollout",
)  # fmt: skip


def deployed(**more: str) -> Deployment:
    return read_deployment({**GIVEN, **more}, file=Path("/nonexistent"))


def lines(target: str, **more: str) -> list[list[str]]:
    steps = steps_of(TARGETS[target], deployed(**more), {})
    return [list(argv) for step in steps for argv in step.commands()]


def line(target: str, *words: str, **more: str) -> list[str]:
    return next(argv for argv in lines(target, **more) if argv[: len(words)] == list(words))


# --- the commands ---


@pytest.mark.parametrize("name", ASKED)
def test_every_target_is_in_the_makefile(name: str) -> None:
    assert name in TARGETS
    shown = subprocess.run(["make", "-n", "-C", str(DEPLOY), name], capture_output=True, text=True, check=True)
    assert f"cloudrun {name}" in shown.stdout


def test_a_network_may_be_called_default() -> None:
    argv = line("deploy-worker-gpu", "gcloud", "run", "deploy", NETWORK="default", SUBNET="default")
    assert {"--network=default", "--subnet=default", "--vpc-egress=private-ranges-only"} <= set(argv)


@pytest.mark.parametrize("stage", ["dev", "prod"])
@pytest.mark.parametrize("target", ["deploy-worker-gpu", "deploy-worker-cpu", "deploy-api"])
def test_nobody_calls_a_service_unasked(target: str, stage: str) -> None:
    deploys = [argv for argv in lines(target, DEPLOY_ENV=stage) if argv[:3] == ["gcloud", "run", "deploy"]]
    assert deploys
    for argv in deploys:
        assert "--no-allow-unauthenticated" in argv
        assert not {"--allow-unauthenticated", "--no-invoker-iam-check"} & set(argv)
    assert "--no-invoker-iam-check" in line("deploy-api", "gcloud", "run", "deploy", API_PUBLIC="true")


def test_the_gpu_worker_is_what_cloud_run_asks_for() -> None:
    argv = line("deploy-worker-gpu", "gcloud", "run", "deploy")
    assert {
        "--gpu=1", "--gpu-type=nvidia-l4", "--no-gpu-zonal-redundancy", "--no-cpu-throttling", "--cpu=4",
        "--memory=16Gi", "--concurrency=1", "--max-instances=20", "--min-instances=0", "--timeout=1800",
        "--execution-environment=gen2", "--service-account=reelpress-worker-dev@my-project.iam.gserviceaccount.com",
        "--set-secrets=REELPRESS_DATABASE_URL=reelpress-dev-database-url:latest",
    } <= set(argv)  # fmt: skip
    assert "--gpu=0" in line("deploy-worker-cpu", "gcloud", "run", "deploy")


def test_a_new_revision_in_prod_has_no_traffic_and_a_new_service_has() -> None:
    (step,) = steps_of(TARGETS["deploy-worker-gpu"], deployed(DEPLOY_ENV="prod"), {})
    assert {"--no-traffic", "--tag=canary"} <= set(step.there)
    assert not {"--no-traffic", "--tag=canary"} & set(step.argv)
    assert [argv[-2] for argv in lines("deploy-worker-gpu")][-1] == "promote"


def test_the_queue_admits_no_more_than_there_are_workers() -> None:
    for verb in ("create", "update"):
        argv = line("create-queue", "gcloud", "tasks", "queues", verb, MAX_INSTANCES="7", MAX_ATTEMPTS="9")
        assert {"--max-concurrent-dispatches=7", "--max-attempts=9"} <= set(argv)
    settings = line("deploy-worker-gpu", "gcloud", "run", "deploy", MAX_ATTEMPTS="9", TIMEOUT="3600")
    mapping = next(word for word in settings if word.startswith("--set-env-vars"))
    assert "REELPRESS_PUSH_MAX_ATTEMPTS=9" in mapping
    assert "REELPRESS_PUSH_DEADLINE=1800" in mapping, "Cloud Tasks waits no longer, whatever Cloud Run allows"


def environment_of(target: str, **more: str) -> dict[str, str]:
    """Return the plain settings that a target deploys a service with."""
    word = next(w for w in line(target, "gcloud", "run", "deploy", **more) if w.startswith("--set-env-vars="))
    text = word.removeprefix("--set-env-vars=")
    delimiter, pairs = (text[1], text[3:]) if text.startswith("^") else (",", text)
    return dict(pair.split("=", 1) for pair in pairs.split(delimiter))


def test_the_api_does_no_jobs_whatever_the_file_says() -> None:
    """The example file lets workers do them, also those that are pushed."""
    assert {environment_of("deploy-worker-gpu")[f"REELPRESS_{kind}_JOBS"] for kind in ("WORKER", "PUSH")} == {"1"}
    settings = load_service(environ=environment_of("deploy-api"), env_file=None)
    assert (settings.worker_jobs, settings.push_jobs) == (0, 0)


def test_tokens_without_a_signature_are_believed_only_behind_googles_own_check() -> None:
    """Google takes it off, also for those who tell a closed API of new objects."""
    assert environment_of("deploy-worker-gpu")["REELPRESS_IAM_CHECKED"] == "true"
    assert environment_of("deploy-api")["REELPRESS_IAM_CHECKED"] == "true"
    assert "REELPRESS_IAM_CHECKED" not in environment_of("deploy-api", API_PUBLIC="true")


def test_the_budget_tells_at_all_four_steps() -> None:
    argv = line("budget", "gcloud", "billing", "budgets", "create")
    assert [word.partition("percent=")[2] for word in argv if "threshold" in word] == ["0.5", "0.8", "1", "1.2"]


@pytest.mark.parametrize(
    ("more", "is_told"),
    [
        ("", False),
        ("REELPRESS_METRICS=prometheus,gcp\n", False),
        ("REELPRESS_METRICS=prometheus,gcp\nOTEL_EXPORTER_PROMETHEUS_PORT=9464\n", True),
        ("REELPRESS_METRICS=otlp,gcp\nOTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318\n", True),
        ("OTEL_EXPORTER_PROMETHEUS_PORT=9464\n", False),
    ],
)
def test_alerts_that_nobody_would_feed_are_said_before_they_are_made(tmp_path: Path, more: str, is_told: bool) -> None:
    """The example file has Google's own two metrics alone; dashboard and alerts ask for all the others."""
    settings = tmp_path / ".env.dev"
    settings.write_text((DEPLOY / ".env.prod.example").read_text() + more)
    first = steps_of(TARGETS["monitoring"], deployed(ENV_FILE=str(settings)), {})[0].argv
    assert (first[0], "docs/metrics.md" in first[-1]) == (("gcloud", False) if is_told else ("echo", True))


def test_the_gpu_is_switched_without_an_image() -> None:
    for target, value in (("enable-gpu", "true"), ("disable-gpu", "false")):
        argvs = lines(target)
        assert f"--update-env-vars=ENABLE_GPU_ACCELERATION={value}" in argvs[1]
        assert not any("--image" in word for argv in argvs for word in argv)
        assert argvs[0][-2] == "check-newest-serves"
        assert argvs[2][-1] == "--to-latest"


# --- secrets ---


def test_no_secret_is_ever_an_argument(tmp_path: Path) -> None:
    settings = tmp_path / ".env.prod"
    settings.write_text("REELPRESS_DATABASE_URL=postgresql://u:hunter2@h/d\nAWS_SECRET_ACCESS_KEY=hunter3\n")
    environ = dict.fromkeys(SECRETS, "hunter4")
    shown = [script(steps_of(target, deployed(ENV_FILE=str(settings)), environ)) for target in TARGETS.values()]
    assert "hunter" not in "".join(shown)
    assert 'printf %s "$REELPRESS_DATABASE_URL" | gcloud secrets versions add' in "".join(shown)


def test_steps_feed_a_secret_to_standard_input_and_say_when_it_is_missing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    step = Step(argv=("sh", "-c", f"cat >{out}"), stdin="REELPRESS_DATABASE_URL")
    with pytest.raises(UsageError, match="REELPRESS_DATABASE_URL"):
        run([step], {"PATH": os.environ["PATH"]})
    assert run([step], {"PATH": os.environ["PATH"], "REELPRESS_DATABASE_URL": "hunter2"}) == 0
    assert out.read_text() == "hunter2"
    assert "hunter2" not in "".join(capfd.readouterr())


# --- what is shown is what is run ---


STEPS = [
    Step(argv=("sh", "-c", "echo made '$1'", "-", "a b"), look=("false",), there=("echo", "there")),
    Step(argv=("echo", "never"), look=("true",), there=("echo", "changed")),
    Step(argv=("echo", "never"), look=("true",)),
    Step(argv=("sh", "-c", "exit 4"), goes_on=True),
    Step(argv=("echo", "after")),
]


@pytest.mark.parametrize("steps", [STEPS, [*STEPS[:2], Step(argv=("false",)), *STEPS[2:]]])
def test_the_script_does_what_the_runner_does(steps: list[Step], capfd: pytest.CaptureFixture[str]) -> None:
    code = run(steps)
    did = capfd.readouterr().out
    shown = subprocess.run(["sh", "-c", script(steps)], capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stdout) == (code, did)
    assert "never" not in did


def test_plan_shows_and_runs_nothing(tmp_path: Path) -> None:
    """With a gcloud on PATH that would leave a mark."""
    (tmp_path / "gcloud").write_text(f"#!/bin/sh\ntouch {tmp_path / 'called'}\n")
    (tmp_path / "gcloud").chmod(0o755)
    env = {**GIVEN, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": f"{DEPLOY}:{ROOT / 'src'}"}
    argv = [sys.executable, "-m", "cloudrun", "plan", "deploy-worker-gpu"]
    shown = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert shown.count("gcloud run deploy reelpress-worker-dev") == 2
    assert subprocess.run(["sh", "-n"], input=shown, text=True, check=False).returncode == 0
    assert not (tmp_path / "called").exists()


# --- what is refused ---


def test_all_missing_variables_are_named_at_once() -> None:
    with pytest.raises(UsageError, match=r"PROJECT.*REGION.*BUCKET"):
        read_deployment({}, needs=("project", "region", "bucket"), file=Path("/nonexistent"))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"GPU_TYPE": "nvidia-t4"}, "GPU_TYPE"),
        ({"CPU": "2"}, "CPU=4"),
        ({"GPU_TYPE": "nvidia-rtx-pro-6000"}, "CPU=20"),
        ({"TIMEOUT": "7200"}, "TIMEOUT"),
        ({"SCRATCH_GIB": "12"}, "half of MEMORY_GIB"),
        ({"MIN_INSTANCES": "30"}, "MIN_INSTANCES"),
        ({"NETWORK": "default"}, "SUBNET"),
        ({"PROJECT": "x; rm -rf /"}, "PROJECT"),
        ({"DEPLOY_ENV": "test"}, "DEPLOY_ENV"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        deployed(**given)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("GPU_PRESET=warp", "GPU_PRESET"),
        ("REELPRESS_GRACES=8", "REELPRESS_GRACES"),
        ("REELPRESS_PUSH_AUDIENCE=x", "follows from the deployment"),
        (None, "missing"),
    ],
)
def test_a_bad_settings_file_is_refused(tmp_path: Path, text: str | None, named: str) -> None:
    path = tmp_path / ".env.prod"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=named):
        read_settings(path)


def test_a_stranger_in_the_deployments_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ".env.deploy"
    path.write_text("PROJECT=my-project\nREGOIN=x\n")
    with pytest.raises(UsageError, match="REGOIN"):
        read_deployment({"A": "b"}, file=path)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"A": "1", "B": "2"}, "A=1,B=2"),
        ({"A": "1,2"}, "^@^A=1,2"),
        ({"A": "1,2@3|4"}, "^;^A=1,2@3|4"),
    ],
)
def test_values_with_commas_get_another_delimiter(values: dict[str, str], text: str) -> None:
    assert as_mapping(values) == text


def test_values_that_no_delimiter_parts_are_refused() -> None:
    with pytest.raises(UsageError):
        as_mapping({"A": ",@|;~#"})


# --- the example files ---


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_current(name: str) -> None:
    assert (DEPLOY / name).read_text() == EXAMPLES[name](), "run `make docs`"


def test_every_setting_of_the_example_is_known_and_accepted_also_those_in_comments(tmp_path: Path) -> None:
    text = (DEPLOY / ".env.prod.example").read_text()
    assert len(read_settings(DEPLOY / ".env.prod.example")) > 20
    bare = tmp_path / "all"
    bare.write_text(re.sub(r"^#(?=[A-Z_]+=)", "", text, flags=re.MULTILINE))
    assert len(read_settings(bare)) > len(read_settings(DEPLOY / ".env.prod.example"))
    assert not set(DERIVED) & set(read_settings(bare))


def test_every_variable_is_in_the_example() -> None:
    text = (DEPLOY / ".env.deploy.example").read_text()
    named = set(re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE))
    assert named == {row.env[0] for row in VARIABLES}


def test_the_makefile_has_no_target_that_is_none() -> None:
    text = (DEPLOY / "Makefile").read_text().replace("\\\n", " ")
    named: list[Any] = shlex.split(re.search(r"^TARGETS := (.*)$", text, re.MULTILINE)[1])  # type: ignore[index]
    assert set(named) == set(TARGETS)

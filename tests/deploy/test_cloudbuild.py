"""The build files: by Cloud Build's schema, by gcloud's own loader, and what they substitute."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloudrun.deployment import read_deployment
from cloudrun.project import create_triggers
from cloudrun.variables import VARIABLES

import gcloud_lines

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILES = ("cloudbuild.yaml", "cloudbuild.prod.yaml")
# What Cloud Build itself puts in (cloud.google.com/build/docs/configuring-builds/substitute-variable-values).
BUILT_IN = {"PROJECT_ID", "SHORT_SHA"}


def schema_says(*paths: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.cloudbuild", *map(str, paths)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def strangers(text: str) -> set[str]:
    """Return what a file substitutes and does not declare, and what it declares and never uses."""
    build = yaml.safe_load(text)
    steps = yaml.safe_dump([build["steps"], build["options"]])
    used = set(re.findall(r"(?<!\$)\$\{?([A-Z_][A-Z0-9_]*)", steps))
    return used ^ set(build["substitutions"]) ^ (BUILT_IN & used)


def waits(text: str) -> dict[str, list[str]]:
    build = yaml.safe_load(text)
    order: dict[str, list[str]] = {}
    for step in build["steps"]:
        order[step["id"]] = step.get("waitFor", list(order))
    return order


def test_the_schema_takes_both_and_refuses_a_wrong_one(tmp_path: Path) -> None:
    right = schema_says(*(DEPLOY / name for name in FILES))
    assert right.returncode == 0, right.stdout
    wrong = tmp_path / "cloudbuild.yaml"
    wrong.write_text((DEPLOY / FILES[0]).read_text().replace("entrypoint: bash", "entrypoint: [bash]", 1))
    assert schema_says(wrong).returncode != 0


def test_gcloud_loads_both_and_refuses_a_wrong_one(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((DEPLOY / FILES[0]).read_text().replace("entrypoint:", "entry_point:", 1))
    undeclared = tmp_path / "undeclared.yaml"
    undeclared.write_text((DEPLOY / FILES[0]).read_text().replace('  _BUCKET: ""', '  BUCKET: ""'))
    answer = gcloud_lines.ask(builds=[*(str(DEPLOY / name) for name in FILES), str(wrong), str(undeclared)])
    if answer is None:
        pytest.skip("gcloud is not installed")
    assert answer["builds"][:2] == [None, None]
    assert all(answer["builds"][2:])


@pytest.mark.parametrize("name", FILES)
def test_every_substitution_is_declared_and_used(name: str) -> None:
    text = (DEPLOY / name).read_text()
    assert strangers(text) == set()
    assert strangers(text.replace("$_BUCKET", "$_BUKET")) == {"_BUCKET", "_BUKET"}


def test_nothing_is_pushed_before_the_checks_and_nothing_deployed_before_the_push() -> None:
    order = waits((DEPLOY / "cloudbuild.yaml").read_text())

    def before(step: str) -> set[str]:
        return {name for direct in order[step] if direct != "-" for name in (direct, *before(direct))}

    assert {"check", "build-gpu", "build-cpu"} <= before("push")
    assert {"push", "plan"} <= before("deploy")
    assert "deploy" in before("rollout")


def test_prod_builds_nothing_and_its_trigger_waits_for_a_yes() -> None:
    steps: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "cloudbuild.prod.yaml").read_text())["steps"]
    assert not any("docker" in step["name"] for step in steps)
    triggers = gcloud_lines.collect()["make create-triggers"]
    prod = [argv for argv in triggers if "--build-config=deploy/cloudbuild.prod.yaml" in argv]
    assert prod
    assert all("--require-approval" in argv for argv in prod)


def test_what_is_built_is_there() -> None:
    text = "".join((DEPLOY / name).read_text() for name in FILES)
    named = re.findall(r"--file=(\S+)", text) + re.findall(r"args: \[(\.ci/\S+)\]", text)
    assert len(named) == 3
    assert [name for name in named if not (DEPLOY.parent / name).is_file()] == []


# --- what the step plan writes is what the step deploy runs ---


GIVEN = {"_REGION": "europe-west1", "_REPOSITORY": "reelpress", "_BUCKET": "my-bucket", "PROJECT_ID": "my-project",
         "SHORT_SHA": "0123456"}  # fmt: skip


def substituted(text: str, values: dict[str, str]) -> str:
    """Return a text of a build file as Cloud Build hands it on."""
    return re.sub(r"\$(?:(\$)|\{?([A-Z_]+)\}?)", lambda found: found[1] or values[found[2]], text)


def planned(name: str, workspace: Path, **given: str) -> Path:
    """Run the step ``plan`` of a build file, which installs nothing here, and return the script it wrote."""
    build = yaml.safe_load((DEPLOY / name).read_text())
    values = {**build["substitutions"], **GIVEN, **given}
    (workspace / "deploy").symlink_to(DEPLOY)
    environ = [substituted(line, values).replace("/workspace", str(workspace)) for line in build["options"]["env"]]
    (step,) = (step for step in build["steps"] if step["id"] == "plan")
    argv = [
        step["entrypoint"],
        *(substituted(arg, values).replace("/workspace", str(workspace)) for arg in step["args"]),
    ]
    env = {"PATH": os.environ["PATH"], "VENV": sys.prefix, **dict(line.split("=", 1) for line in environ)}
    subprocess.run(argv, cwd=DEPLOY.parent, env=env, check=True, capture_output=True, text=True, timeout=60)
    return workspace / "deploy.sh"


# Of a deployment, what a build does not need, or says itself.
NOT_HANDED_ON = {
    "stage", "project", "tag", "staged", "env_file", "container_tool", "billing_account", "budget_usd", "github_owner",
    "github_repository", "api_service", "api_public", "queue", "dispatches_per_s",
}  # fmt: skip


def test_a_build_hands_on_all_that_the_worker_is_deployed_with() -> None:
    handed_on = {row.env[0] for row in VARIABLES if row.name not in NOT_HANDED_ON}
    for name in FILES:
        lines = yaml.safe_load((DEPLOY / name).read_text())["options"]["env"]
        assert handed_on <= {line.split("=")[0] for line in lines if re.fullmatch(r"([A-Z_]+)=\$_\1", line)}, name


@pytest.mark.parametrize("name", FILES)
def test_a_build_deploys_as_its_trigger_was_made_to(tmp_path: Path, name: str) -> None:
    """What differs by hand differs in builds: else they would take it back and say nothing."""
    chosen = {
        "SERVICE": "cutter", "CPU": "8", "MEMORY_GIB": "32", "SCRATCH": "my-scratch", "MIN_INSTANCES": "1",
        "MAX_INSTANCES": "7", "MAX_ATTEMPTS": "9", "TIMEOUT": "3600", "CLOUDSQL_INSTANCE": "my-project:europe-west1:db",
        "GPU_TYPE": "nvidia-l4", "NETWORK": "net", "SUBNET": "sub", "SCRATCH_GIB": "9",
    }  # fmt: skip
    place = {"PROJECT": "my-project", "REGION": "europe-west1", "BUCKET": "my-bucket", "GITHUB_OWNER": "me"}
    deployment = read_deployment({**place, **chosen, "GITHUB_REPOSITORY": "r"}, file=Path("/nonexistent"))
    (argv,) = (step.argv for step in create_triggers(deployment) if f"--build-config=deploy/{name}" in step.argv)
    (word,) = (word for word in argv if word.startswith("--substitutions="))
    given = dict(pair.split("=", 1) for pair in word.removeprefix("--substitutions=").split(","))
    assert set(given) <= set(yaml.safe_load((DEPLOY / name).read_text())["substitutions"])
    script = planned(name, tmp_path, **given).read_text()
    for part in (
        "gcloud run deploy cutter-", "--cpu=8", "--memory=32Gi", "bucket=my-scratch", "--min-instances=1",
        "--max-instances=7", "REELPRESS_PUSH_MAX_ATTEMPTS=9", "--timeout=3600", "--network=net", "--subnet=sub",
        "--set-cloudsql-instances=my-project:europe-west1:db",
    ):  # fmt: skip
        assert part in script, part


@pytest.mark.parametrize("name", FILES)
def test_the_planned_script_runs_to_its_end(tmp_path: Path, name: str) -> None:
    (tmp_path / "workspace").mkdir()
    script = planned(name, tmp_path / "workspace")
    stand_in = tmp_path / "bin/gcloud"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path / "calls"}\n')
    stand_in.chmod(0o755)
    env = {"PATH": f"{stand_in.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", script], env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    stage = "dev" if name == "cloudbuild.yaml" else "prod"
    look, deploy = (tmp_path / "calls").read_text().splitlines()
    assert look.startswith(f"run services describe reelpress-worker-{stage}")
    assert deploy.startswith(f"run deploy reelpress-worker-{stage}")
    assert deploy.endswith("--no-traffic --tag=canary")

"""Compose files: of the right form, closed by default, with settings that are ours and time enough to end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from deployed import ROOT, accepts

FILES = ("compose.yaml", "compose.gpu.yaml")
_AFTER_GRACE_S = 6  # what stopping programs may take: reelpress.service.server


def check(path: Path) -> None:
    """Raise where a file is not as the specification has it."""
    jsonschema.validate(yaml.safe_load(path.read_text()), get_builtin_schema("vendor.compose-spec"))


def services(*files: str) -> dict[str, Any]:
    """Return the services of these files over one another, as far as these go; YAML's merges are done."""
    merged: dict[str, Any] = {}
    for file in files:
        for name, service in yaml.safe_load((ROOT / "deploy" / file).read_text())["services"].items():
            before = merged.get(name, {})
            environment = {**before.get("environment", {}), **service.get("environment", {})}
            merged[name] = {**before, **service, "environment": environment}
    return merged


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_form_of_the_specification(name: str) -> None:
    check(ROOT / "deploy" / name)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("read_only: true", "readonly: true"),
        ("stop_grace_period: 20s", "stop_grace_period: [20]"),
        ("services:", "service:"),
    ],
)
def test_a_file_of_another_form_is_found(tmp_path: Path, right: str, wrong: str) -> None:
    text = (ROOT / "deploy/compose.yaml").read_text()
    assert right in text
    (tmp_path / "compose.yaml").write_text(text.replace(right, wrong))
    with pytest.raises(jsonschema.ValidationError):
        check(tmp_path / "compose.yaml")


@pytest.mark.parametrize("files", [FILES[:1], FILES])
def test_every_service_is_closed_by_default(files: tuple[str, ...]) -> None:
    for name, service in services(*files).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].split(":")[0] not in ("0", "root"), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert not any("PASSWORD" in key and not key.endswith("_FILE") for key in service["environment"]), name
    assert services(*files)["postgres"]["networks"] == ["back"]


@pytest.mark.parametrize("files", [FILES[:1], FILES])
@pytest.mark.parametrize("name", ["api", "worker"])
def test_settings_are_accepted_and_there_is_time_to_end(files: tuple[str, ...], name: str) -> None:
    service = services(*files)[name]
    environment = dict(service["environment"])
    assert environment.pop("REELPRESS_DATABASE_URL_FILE") == "/run/secrets/database_url"
    # what ${NAME:-default} comes to
    plain = {key: re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value) for key, value in environment.items()}
    accepts(plain)
    if name == "api":
        assert (plain["REELPRESS_WORKER_JOBS"], plain["REELPRESS_PUSH_JOBS"]) == ("0", "0"), "it does no jobs"
    grace_s = float(plain.get("REELPRESS_GRACE", 8))
    assert seconds(service["stop_grace_period"]) >= grace_s + _AFTER_GRACE_S


@pytest.mark.parametrize("name", ["api", "worker"])
@pytest.mark.parametrize("kind", ["PUSH", "EVENTS"])
def test_a_server_is_told_whose_tokens_count_wholly_or_not_at_all(name: str, kind: str) -> None:
    """It does not start with half of it, as with an audience that is handed on and an account that is not."""
    whole = {f"REELPRESS_{kind}_AUDIENCE", f"REELPRESS_{kind}_SERVICE_ACCOUNT"}
    assert whole & set(services(FILES[0])[name]["environment"]) in (set(), whole)


def test_a_gpu_is_reserved_with_what_encoding_needs() -> None:
    worker = services(*FILES)["worker"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia"
    assert {"gpu", "compute", "video", "utility"} == set(device["capabilities"])
    assert worker["build"]["dockerfile"] == "deploy/Dockerfile.cuda"
    assert worker["environment"]["REELPRESS_START_CHECK"].endswith(":-require}")

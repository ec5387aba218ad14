"""The site for Firebase Hosting: what is written for a project, and that it is what the service itself would serve."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from reelpress.service.pages import HEADERS, policy, router

from hosting import Hosting, matches

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import collect_wizard as site  # noqa: E402

DEPLOY = ROOT / "deploy" / "firebase"
PLACE = "https://storage.googleapis.com/demo-project.appspot.com/in/"
ASKED = ["--project", "demo-project", "--bucket", "demo-project.appspot.com", "--prefix", "in"]
# What firebase-tools 15 accepts in these places, from its schema of firebase.json.
KNOWN = {"public", "ignore", "cleanUrls", "trailingSlash", "headers", "rewrites"}


def problems_of(config: dict) -> list[str]:
    """Return what Firebase would refuse, or would let through with another meaning."""
    hosting = config.get("hosting", {})
    found = [f"hosting.{name}" for name in hosting if name not in KNOWN]
    found += [f"missing: {name}" for name in ("public", "headers", "rewrites") if name not in hosting]
    for rule in hosting.get("headers", ()):
        if set(rule) != {"source", "headers"} or any(set(one) != {"key", "value"} for one in rule["headers"]):
            found.append(f"headers: {rule.get('source')}")
    for rule in hosting.get("rewrites", ()):
        if set(rule) != {"source", "run"} or set(rule.get("run", ())) != {"serviceId", "region"}:
            found.append(f"rewrites: {rule.get('source')}")
    if config.get("storage") != {"rules": "storage.rules"}:
        found.append("storage")
    return found


@pytest.fixture
def written(tmp_path: Path) -> Path:
    session = tmp_path / "mine.js"
    session.write_text("export const session = {};\n")
    folder = tmp_path / "site"
    assert (
        site.main(["--folder", str(folder), *ASKED, "--origin", "https://shorts.example", "--session", str(session)])
        == 0
    )
    return folder


def test_the_templates_and_what_is_made_of_them_are_accepted(written: Path) -> None:
    for folder in (DEPLOY, written):
        config = json.loads((folder / "firebase.json").read_text())
        assert problems_of(config) == []
        assert (folder / config["storage"]["rules"]).is_file()
    (rule,) = json.loads((written / "cors.json").read_text())
    assert rule["origin"] == [
        "https://demo-project.web.app", "https://demo-project.firebaseapp.com", "https://shorts.example"
    ]  # fmt: skip
    assert {"GET", "PUT"} <= set(rule["method"])
    assert {"Content-Type", "Content-Range", "Range"} <= set(rule["responseHeader"])
    assert json.loads((written / ".firebaserc").read_text()) == {"projects": {"default": "demo-project"}}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c["hosting"].update(rewrite=[]), lambda c: c["hosting"].pop("rewrites"),
        lambda c: c["hosting"]["rewrites"][0]["run"].pop("region"), lambda c: c.pop("storage"),
        lambda c: c["hosting"]["rewrites"][0].update(destination="/x"),
        lambda c: c["hosting"]["headers"][0]["headers"][0].pop("value"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_noticed(spoil) -> None:
    config = json.loads((DEPLOY / "firebase.json").read_text())
    spoil(config)
    assert problems_of(config) != []


def test_the_template_is_what_is_written_for_its_own_names(written: Path) -> None:
    template = json.loads((DEPLOY / "firebase.json").read_text())
    again = site.firebase_json(
        place="https://storage.googleapis.com/BUCKET/", service="reelpress-api", region="europe-west4", signs_in=False
    )
    assert again == template, "write deploy/firebase/firebase.json anew"


def test_the_site_answers_as_the_service_does(written: Path) -> None:
    app = FastAPI()
    app.include_router(router)
    app.state.store_place = lambda: PLACE
    hosting = Hosting(written, {"reelpress-api": "http://127.0.0.1:9"})
    client = TestClient(app)
    hosts = "".join(f" {host}" for host in site.SIGN_IN_HOSTS)
    names = [path.relative_to(hosting.public / "web").as_posix() for path in (hosting.public / "web").iterdir()]
    for path in ("/", "/jobs", *(f"/web/{name}" for name in names if name not in ("site.js", "session.js"))):
        answer, file = client.get(path), hosting.static(path)
        assert file.read_bytes() == answer.content, path
        sent = hosting.headers(path)
        assert sent == {**HEADERS, "Content-Security-Policy": policy(PLACE, connect=hosts)}
        assert sent["Content-Security-Policy"].replace(hosts, "") == answer.headers["content-security-policy"]
        assert all(answer.headers[name] == value for name, value in HEADERS.items())
    for path in ("/v1/jobs", "/v1/videos/x/preview", "/openapi.json", "/health"):
        assert hosting.static(path) is None
        assert hosting.headers(path) == {}  # the service's own are not written over
        assert hosting.service(path) is not None
    for path in ("/metrics", "/process-video", "/events/storage", "/v2/x"):
        assert hosting.service(path) is None
    hosting._http.server_close()


def test_the_policy_names_the_store_and_nothing_else() -> None:
    assert " https:" not in policy(None)
    named = [part for part in policy(PLACE).split("; ") if PLACE in part]
    assert named == [f"media-src 'self' blob: {PLACE}", f"connect-src 'self' {PLACE}"]


@pytest.mark.parametrize(
    "wrong", [["--bucket", "a;b"], ["--bucket", "x y"], ["--project", "P"], ["--prefix", "a;b"], ["--prefix", "a b"]]
)
def test_names_that_would_open_the_policy_are_refused(tmp_path: Path, wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        site.main(["--folder", str(tmp_path / "site"), *ASKED, *wrong])
    assert not (tmp_path / "site").exists()


def test_globs_are_those_of_hosting() -> None:
    assert matches("/v1/**", "/v1/a/b")
    assert not matches("/v1/**", "/v10")
    assert not matches("/a/*", "/a/b/c")

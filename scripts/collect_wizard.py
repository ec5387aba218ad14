"""Collects what Firebase Hosting serves the pages from: static files, ``firebase.json``, the bucket's CORS rules.

``python scripts/collect_wizard.py --project P --bucket B`` writes into ``out/firebase``; docs/firebase.md says what
comes then.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reelpress.service.pages import HEADERS, policy

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "deploy" / "firebase"
WEB = ROOT / "src" / "reelpress" / "web"
# Where the pages are; everything else in the folder of the pages' files lies under web/.
PAGES = {"wizard.html": "index.html", "jobs.html": "jobs.html"}
# What Firebase's own sign-in talks to: tokens, and their renewal.
SIGN_IN_HOSTS = ("https://identitytoolkit.googleapis.com", "https://securetoken.googleapis.com")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._/-]*")


def firebase_json(
    *, place: str, service: str, region: str, signs_in: bool, template: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the configuration of the site: the policy names ``place``, rewrites lead to a Cloud Run service."""
    config = template or json.loads((TEMPLATES / "firebase.json").read_text())
    connect = "".join(f" {host}" for host in SIGN_IN_HOSTS) if signs_in else ""
    sent = {**HEADERS, "Content-Security-Policy": policy(place, connect=connect)}
    for rule in config["hosting"]["headers"]:
        rule["headers"] = [{"key": name, "value": value} for name, value in sorted(sent.items())]
    for rule in config["hosting"]["rewrites"]:
        rule["run"] = {"serviceId": service, "region": region}
    return dict(config)


def cors_json(origins: list[str]) -> list[dict[str, Any]]:
    """Return the CORS rules of the bucket, for pages of these origins."""
    rules = json.loads((TEMPLATES / "cors.json").read_text())
    return [{**rule, "origin": origins} for rule in rules]


def write_site(folder: Path, config: dict[str, Any], cors: list[dict[str, Any]], *, session: Path | None) -> None:
    """Write the site into a folder, in place of what was there of it. ``session`` is the module that signs in."""
    public = folder / "public"
    shutil.rmtree(public, ignore_errors=True)
    (public / "web").mkdir(parents=True)
    for path in sorted(WEB.iterdir()):
        if path.suffix in (".html", ".css", ".js", ".svg"):
            shutil.copyfile(path, public / PAGES[path.name] if path.name in PAGES else public / "web" / path.name)
    if session is not None:
        shutil.copyfile(session, public / "web" / "session.js")
    said = 'export { session } from "./session.js";' if session is not None else "export const session = null;"
    (public / "web" / "site.js").write_text(
        f"{said}\n// Firebase Hosting holds streams back until they end.\nexport const streams = false;\n"
    )
    (folder / "firebase.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "cors.json").write_text(json.dumps(cors, indent=2) + "\n")
    shutil.copyfile(TEMPLATES / "storage.rules", folder / "storage.rules")


def main(argv: list[str]) -> int:
    """Write the site that the arguments describe; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("out/firebase"), help="where to (out/firebase)")
    parser.add_argument("--project", required=True, type=_matching(_PROJECT), help="Firebase project")
    parser.add_argument("--bucket", required=True, type=_matching(_BUCKET), help="bucket of REELPRESS_STORAGE_URL")
    parser.add_argument("--prefix", default="", type=_matching(_PREFIX), help="prefix in it, if any")
    parser.add_argument("--api-service", default="reelpress-api", help="Cloud Run service that answers the API")
    parser.add_argument("--region", default="europe-west4", help="its region")
    parser.add_argument("--storage", default="https://storage.googleapis.com", help="where signed addresses lead")
    parser.add_argument("--origin", action="append", default=[], help="origin of a domain of your own; may be repeated")
    parser.add_argument("--session", type=Path, help="JavaScript module that signs people in; none leaves API keys")
    asked = parser.parse_args(argv)
    place = "/".join(part for part in (asked.storage, asked.bucket, asked.prefix.strip("/")) if part) + "/"
    origins = [f"https://{asked.project}.web.app", f"https://{asked.project}.firebaseapp.com", *asked.origin]
    config = firebase_json(
        place=place, service=asked.api_service, region=asked.region, signs_in=asked.session is not None
    )  # fmt: skip
    write_site(asked.folder, config, cors_json(origins), session=asked.session)
    rc = {"projects": {"default": asked.project}}
    (asked.folder / ".firebaserc").write_text(json.dumps(rc, indent=2) + "\n")
    print(f"written: {asked.folder}/firebase.json, .firebaserc, cors.json, storage.rules, public/")
    return 0


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise argparse.ArgumentTypeError(f"not {pattern.pattern}")
        return text

    return parse


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The pages' policy: the store's own place, where it signs addresses, and nothing else."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from reelpress.errors import StorageError
from reelpress.jobs.house import House
from reelpress.service.app import create_app
from reelpress.service.pages import policy
from reelpress.storage.opening import open_store
from reelpress.storage.signing import signed_place

from conftest import LOCAL
from fake_gcs import service_account_key

S3 = {"region": "eu-west-1", "access_key_id": "AK", "secret_access_key": "S"}


@pytest.mark.parametrize(
    ("url", "options", "place"),
    [
        ("gs://videos/a b", {"service_account_key": service_account_key()}, "https://storage.googleapis.com/videos/a%20b/"),
        ("s3://videos/x", S3, "https://s3.eu-west-1.amazonaws.com/videos/x/"),
        ("s3://videos", {**S3, "virtual_hosted_style_request": True}, "https://videos.s3.eu-west-1.amazonaws.com/"),
        ("s3://videos", {**S3, "endpoint": "https://acc.r2.cloudflarestorage.com"}, "https://acc.r2.cloudflarestorage.com/videos/"),
        ("s3://videos/a;b", S3, "https://s3.eu-west-1.amazonaws.com/videos/a%3Bb/"),
        ("az://box/x", {"account_name": "shop", "account_key": "a2V5"}, "https://shop.blob.core.windows.net/box/x/"),
        ("memory://", {}, None),
    ],
)  # fmt: skip
def test_the_place_is_that_of_the_store(url: str, options: dict[str, object], place: str | None) -> None:
    assert signed_place(open_store(url, **options)) == place


def test_pages_name_the_store_where_it_signs(house: House) -> None:
    def sent() -> str:
        with TestClient(create_app(house), base_url=LOCAL) as client:
            said = [client.get(path).headers["content-security-policy"] for path in ("/", "/web/upload.js")]
        assert said[0] == said[1]
        return said[0]

    assert sent() == policy(None)
    house.store = open_store("gs://videos", service_account_key=service_account_key())
    assert sent() == policy("https://storage.googleapis.com/videos/")


def test_a_page_opens_also_where_nothing_can_be_signed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_store: object) -> str:
        raise StorageError("There are no credentials.", reason="denied")

    monkeypatch.setattr("reelpress.service.app.signed_place", refuse)
    with TestClient(create_app(house), base_url=LOCAL) as client:
        answer = client.get("/jobs")
        assert (answer.status_code, answer.headers["content-security-policy"]) == (200, policy(None))

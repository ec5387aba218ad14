"""When webhooks are tried again, and how they are signed."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from reelpress.errors import UsageError
from reelpress.webhooks.backoff import WINDOW_S, next_attempt_at
from reelpress.webhooks.delivery import Delivery
from reelpress.webhooks.signing import check_secret, new_secret, signed_headers


def times(chance: float, took_s: float = 0.0) -> list[float]:
    """When a receiver that never answers well is tried, from the first try at 0 on."""
    found, now = [0.0], 0.0
    while (at := next_attempt_at(len(found), 0.0, now + took_s, chance=chance)) is not None:
        found.append(at)
        now = at
    return found


def test_the_first_tries_are_quick_and_the_last_is_when_the_day_ends():
    assert times(0.5)[:5] == [0, 5, 35, 155, 755]
    for chance in (0.0, 0.5, 1.0):
        assert times(chance)[-1] == WINDOW_S
        assert len(times(chance)) < 15


@given(
    attempts=st.integers(1, 50), since=st.floats(0, 2 * WINDOW_S), chance=st.floats(0, 1), asked=st.floats(0, WINDOW_S)
)
def test_the_next_try_is_later_and_within_the_day(attempts, since, chance, asked):
    first_at = 1_700_000_000.0
    now = first_at + since
    at = next_attempt_at(attempts, first_at, now, chance=chance, retry_after_s=asked)
    if now >= first_at + WINDOW_S:
        assert at is None
    else:
        assert now < at <= first_at + WINDOW_S
        assert at == first_at + WINDOW_S or at - now >= max(asked, 4) - 1e-6


def test_a_sender_that_was_off_for_hours_does_not_catch_up_in_a_burst():
    assert next_attempt_at(2, 0.0, 36_000.0, chance=0.5) == 36_030.0


def test_chance_spreads_deliveries_by_a_fifth_each_way():
    assert next_attempt_at(2, 0.0, 0.0, chance=0.0) == 24.0
    assert next_attempt_at(2, 0.0, 0.0, chance=1.0) == pytest.approx(36.0)


def test_receivers_verify_with_the_standard_library_of_theirs():
    secret, now = new_secret(), time.time()
    payload = json.dumps({"type": "job.done", "größe": 1}, ensure_ascii=False)
    headers = signed_headers(secret, "evt_1", payload, now)
    assert set(headers) == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert Webhook(secret).verify(payload.encode(), headers) == json.loads(payload)
    for other in (
        {**headers, "webhook-id": "evt_2"},
        {**headers, "webhook-timestamp": str(int(now) + 1)},
        {**headers, "webhook-timestamp": str(int(now) - 3600)},
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(payload, other)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(payload + " ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(payload, headers)


def test_a_signature_is_the_one_of_the_standard():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signed_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", '{"test": 2432232314}', 1614265330.9)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!!MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
     "whsec_" + "A" * 400, "whsec_é"],
)  # fmt: skip
def test_secrets_that_are_none_are_refused_without_being_repeated(secret):
    with pytest.raises(UsageError) as caught:
        check_secret(secret)
    assert not secret.removeprefix("whsec_") or secret.removeprefix("whsec_") not in str(caught.value.lines())


def test_new_secrets_are_accepted_and_differ():
    assert check_secret(new_secret()) != new_secret()


def test_a_delivery_shows_no_secret():
    delivery = Delivery(id="evt_1", url="https://a.example/T0K3N", payload="{}", secret=new_secret())
    assert repr(delivery) == "Delivery(id='evt_1')"

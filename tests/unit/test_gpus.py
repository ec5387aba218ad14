"""GPUs as jobs see them: examined once, remembered, doubted after a failure; and slots as configured."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from reelpress import gpus as module
from reelpress.errors import Cancelled
from reelpress.facts.failure import Failure, FailureKind
from reelpress.facts.host import GpuFacts, HostFacts
from reelpress.facts.media import Colour, MediaFacts
from reelpress.gpus import GpuPolicy, Gpus
from reelpress.plan.compress import plan
from reelpress.plan.model import Attempt, Encode
from reelpress.probe import gpu_survey
from reelpress.probe.nvml import DriverFacts
from reelpress.request import Request
from reelpress.run.breaker import Breaker
from reelpress.run.gpu_access import GpuAccess
from reelpress.run.host_state import host_folder
from reelpress.run.process import CancelToken
from reelpress.run.slots import UNMEASURED, GpuSlots, Lease

from factories import audio, gpu, gpu_busy, gpu_h200, gpu_host, host, media, video

HERE = gpu_host(gpus=())


class Survey:
    """Stands where the survey is: says what GPUs there are, and notes what it was asked."""

    def __init__(self) -> None:
        self.found: tuple[GpuFacts, ...] = (gpu(),)
        self.asked: list[dict[str, Any]] = []
        self.retried: list[Any] = []
        self.still_works = True

    def survey(self, _host: HostFacts, **named: Any) -> tuple[GpuFacts, ...]:
        self.asked.append(named)
        return self.found

    def still(self, *arguments: Any, **_named: Any) -> bool:
        self.retried.append(arguments)
        return self.still_works


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Survey:
    made = Survey()
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(gpu_survey, "survey", made.survey)
    monkeypatch.setattr(gpu_survey, "still_works", made.still)
    return made


def found(gpus: Gpus, facts: MediaFacts | None = None, **wishes: Any) -> HostFacts:
    return gpus.host_for(facts or media(), Request(**wishes), CancelToken())


@pytest.mark.parametrize(
    ("machine", "facts", "wishes"),
    [(HERE, media(), {"hardware": "off"}), (host(), media(), {}), (HERE, media(audio()), {})],
    ids=["off", "no GPU", "no video"],
)
def test_nothing_is_examined_for_a_job_without_use_for_it(
    seen: Survey, machine: HostFacts, facts: MediaFacts, wishes: dict[str, Any]
) -> None:
    assert found(Gpus(machine, GpuPolicy()), facts, **wishes) == machine
    assert seen.asked == []


def test_jobs_alike_share_one_survey_and_others_have_their_own(seen: Survey) -> None:
    gpus = Gpus(HERE, GpuPolicy())
    assert found(gpus).gpus == found(gpus).gpus == seen.found
    assert len(seen.asked) == 1
    found(gpus, codec="hevc")
    found(gpus, media(video(codec="vp9"), audio()))
    assert len(seen.asked) == 3


def test_ten_bits_are_examined_where_hdr_is_kept(seen: Survey) -> None:
    hdr = media(video(codec="hevc", pix_fmt="yuv420p10le", colour=Colour(transfer="smpte2084")))
    found(Gpus(HERE, GpuPolicy()), hdr, codec="hevc", hdr="keep")
    assert [(w.kind, w.name, w.pix_fmt) for w in seen.asked[0]["wanted"]] == [
        ("encode", "hevc_nvenc", "yuv420p10le"),
        ("decode", "hevc", "yuv420p10le"),
        ("filter", "scale_cuda", "yuv420p10le"),
    ]


def test_a_busy_gpu_is_examined_again_by_the_next_job(seen: Survey) -> None:
    gpus = Gpus(HERE, GpuPolicy())
    seen.found = (gpu_busy(),)
    found(gpus)
    seen.found = (gpu(),)
    assert found(gpus).gpus == seen.found


def test_what_was_found_is_believed_for_minutes_only(seen: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = Gpus(HERE, GpuPolicy())
    found(gpus)
    monkeypatch.setattr(module, "_BELIEVED_S", -1.0)
    found(gpus)
    assert len(seen.asked) == 2


@pytest.mark.parametrize(("notes", "says"), [(("NVML: Driver Not Loaded",), "Not Loaded"), ((), "lists no GPU")])
def test_no_gpu_is_told_in_the_drivers_words(
    seen: Survey, monkeypatch: pytest.MonkeyPatch, notes: tuple[str, ...], says: str
) -> None:
    seen.found = ()
    monkeypatch.setattr(gpu_survey, "driver_facts", lambda **_: DriverFacts(notes=notes))
    assert says in (found(Gpus(HERE, GpuPolicy())).gpu_note or "")


def test_a_gpu_that_rests_is_suspended_until_its_time_comes(seen: Survey) -> None:
    lost = Failure(kind=FailureKind.DEVICE_LOST, evidence="gone")
    Breaker(host_folder()).failed("GPU-1", "/opt/ffmpeg9", lost, job="a", reprobe=lambda _: False)
    (known,) = found(Gpus(HERE, GpuPolicy())).gpus
    assert "device_lost: gone" in (known.suspended or "") or "trial encode failed" in (known.suspended or "")
    assert "s more" in (known.suspended or "")


def test_a_build_that_cannot_use_a_gpu_suspends_it_for_that_build_alone(seen: Survey) -> None:
    old = Failure(kind=FailureKind.DRIVER_TOO_OLD, evidence="13.1")
    Breaker(host_folder()).failed("GPU-1", "/opt/ffmpeg9", old, job="a", reprobe=lambda _: True)
    (known,) = found(Gpus(HERE, GpuPolicy())).gpus
    assert known.suspended is None


def test_a_host_whose_processes_cannot_share_gpus_uses_none_and_says_why(seen: Survey, tmp_path: Path) -> None:
    (tmp_path / "run" / "reelpress").write_text("no folder")
    machine = found(Gpus(HERE, GpuPolicy()))
    assert machine.gpus == ()
    assert "is not a folder of ours" in (machine.gpu_note or "")


def test_gpus_that_cannot_be_examined_for_want_of_room_are_not_used(
    seen: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def survey(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gpu_survey, "survey", survey)
    assert "No space left" in (found(Gpus(HERE, GpuPolicy())).gpu_note or "")


def test_a_cancelled_examination_ends_the_job(seen: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    def survey(*_: Any, **__: Any) -> None:
        raise Cancelled

    monkeypatch.setattr(gpu_survey, "survey", survey)
    with pytest.raises(Cancelled):
        found(Gpus(HERE, GpuPolicy()))


def test_who_is_cancelled_while_another_job_examines_the_gpus_does_not_wait_for_that(
    seen: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus, examining, done, stop = Gpus(HERE, GpuPolicy()), threading.Event(), threading.Event(), CancelToken()

    def survey(*_: Any, **__: Any) -> tuple[GpuFacts, ...]:
        examining.set()
        done.wait()
        return (gpu(),)

    monkeypatch.setattr(gpu_survey, "survey", survey)
    other = threading.Thread(target=found, args=(gpus,))
    other.start()
    try:
        examining.wait()
        stop.cancel()
        with pytest.raises(Cancelled):
            gpus.host_for(media(), Request(), stop)
        assert gpus.counted() == {}
    finally:
        done.set()
        other.join()


def test_a_rest_that_seems_long_since_the_clock_was_set_back_is_over(
    seen: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Failure(kind=FailureKind.DEVICE_LOST, evidence="gone")
    Breaker(host_folder(), clock=lambda: time.time() + 3600).failed(
        "GPU-1", "/opt/ffmpeg9", lost, job="a", reprobe=lambda _: False
    )
    (known,) = found(Gpus(HERE, GpuPolicy())).gpus
    assert known.suspended is None  # whoever enters tries it


@pytest.mark.parametrize(("configured", "counted"), [(None, 4), (1, 0), (12, 0)])
def test_sessions_are_not_counted_where_they_are_configured(seen: Survey, configured: int | None, counted: int) -> None:
    found(Gpus(HERE, GpuPolicy(sessions=configured)))
    assert [asked["sessions"] for asked in seen.asked] == [counted]


# --- access ---


def attempt_on(machine: HostFacts, **source: Any) -> Attempt:
    decided = plan(media(video(**source), audio()), machine, Request(always_encode=True))
    assert isinstance(decided, Encode)
    return decided.attempts[0]


def lease(access: GpuAccess, attempt: Attempt) -> Lease:
    entered = access.enter(attempt, (), waited_s=0.0, cancel=CancelToken())
    assert isinstance(entered, Lease)
    return entered


def lose(access: GpuAccess, attempt: Attempt) -> None:
    failure = Failure(kind=FailureKind.DEVICE_LOST, evidence="gone")
    access.failed(lease(access, attempt), attempt, failure, job="a", cancel=CancelToken())


@pytest.mark.parametrize(
    ("counted", "configured", "slots"),
    [(3, None, 3), (3, 1, 1), (3, 8, 8), (None, None, UNMEASURED), (None, 1, 1), (0, None, 1)],
)
def test_slots_are_those_configured_else_those_counted(
    seen: Survey, counted: int | None, configured: int | None, slots: int
) -> None:
    machine = gpu_host(gpu(sessions=counted))
    access = Gpus(HERE, GpuPolicy(sessions=configured, patience_s=0.0)).access(machine)
    attempt = attempt_on(machine)
    held = [lease(access, attempt) for _ in range(slots)]
    refused = access.enter(attempt, (), waited_s=0.0, cancel=CancelToken())
    assert isinstance(refused, Failure)
    assert refused.kind is FailureKind.SESSION_LIMIT
    for each in held:
        each.release()


def test_a_failure_is_examined_by_what_failed_and_forgets_what_was_known(seen: Survey) -> None:
    gpus = Gpus(HERE, GpuPolicy())
    machine = found(gpus)
    attempt, access = attempt_on(machine), gpus.access(machine)
    lose(access, attempt)
    ((examined, build, wish),) = seen.retried
    assert (examined.uuid, build.path, wish.kind, wish.name) == ("GPU-1", attempt.ffmpeg, "encode", "h264_nvenc")
    found(gpus)
    assert len(seen.asked) == 2


def test_a_gpu_that_only_decodes_is_examined_by_scaling(seen: Survey) -> None:
    machine = gpu_host(gpu_h200())
    gpus = Gpus(machine, GpuPolicy())
    attempt, access = attempt_on(machine, width=3840, height=2160), gpus.access(machine)
    assert attempt.rung == "gpu_decode"
    lose(access, attempt)
    assert [(wish.kind, wish.name) for _, _, wish in seen.retried] == [("filter", "scale_cuda")]


def test_gpus_a_job_lost_are_not_entered(seen: Survey) -> None:
    machine = gpu_host(gpu(), gpu(uuid="GPU-2", index=1))
    access = Gpus(HERE, GpuPolicy(patience_s=0.0)).access(machine)
    entered = access.enter(attempt_on(machine), {"GPU-1"}, waited_s=0.0, cancel=CancelToken())
    assert isinstance(entered, Lease)
    assert entered.gpu == "GPU-2"
    entered.release()


def test_what_was_waited_already_counts(seen: Survey) -> None:
    machine = gpu_host(gpu(sessions=1))
    access = Gpus(HERE, GpuPolicy(patience_s=3600.0)).access(machine)
    attempt = attempt_on(machine)
    with lease(access, attempt):
        refused = access.enter(attempt, (), waited_s=3600.0, cancel=CancelToken())
    assert isinstance(refused, Failure)
    assert "waited 0.0 s" in refused.evidence


def test_a_folder_that_breaks_after_the_survey_costs_the_gpu_and_not_the_job(seen: Survey, tmp_path: Path) -> None:
    gpus = Gpus(HERE, GpuPolicy())
    machine = found(gpus)
    (tmp_path / "run" / "reelpress").rename(tmp_path / "run" / "gone")
    (tmp_path / "run" / "reelpress").write_text("no folder")
    refused = gpus.access(machine).enter(attempt_on(machine), (), waited_s=0.0, cancel=CancelToken())
    assert isinstance(refused, Failure)
    assert refused.kind in attempt_on(machine).falls_back_on
    assert "is not a folder of ours" in refused.evidence


def test_work_delivered_clears_the_suspicion(seen: Survey) -> None:
    machine = gpu_host()
    access = Gpus(machine, GpuPolicy()).access(machine)
    attempt = attempt_on(machine)
    lost = Failure(kind=FailureKind.DEVICE_LOST, evidence="gone")
    access.failed(lease(access, attempt), attempt, lost, job="a", cancel=CancelToken())
    entered = lease(access, attempt)
    access.worked(entered)
    entered.release()
    access.failed(
        lease(access, attempt), attempt, lost, job="b", cancel=CancelToken()
    )  # the second in a row would have it left alone
    assert GpuSlots(host_folder()).held("GPU-1") == 0
    assert [report.state for report in Breaker(host_folder()).snapshot() if report.ffmpeg is None] == ["closed"]

"""Quotes of generated videos against what jobs then came to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from reelpress.engine import compress_file
from reelpress.errors import InputError
from reelpress.facts.gate import GateWish
from reelpress.facts.host import HostFacts
from reelpress.facts.prediction import around
from reelpress.facts.quality import Window
from reelpress.plan.compress import plan
from reelpress.plan.model import Encode
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quality.samples import SampleError
from reelpress.quoting.model import Quote
from reelpress.quoting.prediction import ErrorTable
from reelpress.quoting.quote import QuoteOptions, quote_file
from reelpress.quoting.rehearsal import RehearsalError, cut_down
from reelpress.quoting.scoring import Scorer
from reelpress.quoting.stretches import order_of
from reelpress.request import Request
from reelpress.run.process import CancelToken

import clips

HOST = probe_host()
CHEAP: dict[str, Any] = {"preset": "ultrafast", "hardware": "off", "always_encode": True}


def quoted(source: Path, tmp_path: Path, *, host: HostFacts = HOST, options: Any = None, **wishes: Any) -> Quote:
    folder = tmp_path / "scratch"
    folder.mkdir()
    options = options or QuoteOptions(codecs=("h264",))
    return quote_file(source, folder, host=host, request=Request(**CHEAP | wishes), options=options)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.with_sound(tmp_path_factory.mktemp("short") / "short.mp4")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 seconds that move ever faster, with sound."""
    made = tmp_path_factory.mktemp("long") / "long.mkv"
    drawn = "mandelbrot=size=160x90:rate=25:start_scale=3:end_scale=0.0005:end_pts=1000"
    tone = ("-f", "lavfi", "-i", "sine=frequency=300:sample_rate=48000:duration=40")
    return clips.make(
        made, "-f", "lavfi", "-i", drawn, *tone, "-t", "40", *clips.X264, "-crf", "12", "-g", "50", "-c:a", "pcm_s16le"
    )


def test_a_short_video_is_quoted_by_doing_the_job_once(short: Path, tmp_path: Path) -> None:
    quote = quoted(short, tmp_path)
    [offer] = quote.offers
    done = compress_file(short, tmp_path / "out.mp4", host=HOST, request=Request(**CHEAP))
    assert done.result is not None
    predicted = offer.predicted
    assert predicted is not None
    assert (predicted.basis, predicted.outcome, predicted.encoder) == ("rehearsed", "encoded", "libx264")
    assert predicted.size_bytes is not None
    assert predicted.size_bytes.likely == done.result.size_bytes
    assert predicted.wall_s is not None
    assert predicted.wall_s.low < predicted.wall_s.likely < predicted.wall_s.high
    assert predicted.usd is not None
    assert predicted.usd.likely > 0
    assert predicted.vmaf is not None
    assert 60 < predicted.vmaf.likely <= 100
    assert predicted.quote == quote.quote
    assert list((tmp_path / "scratch").glob("rehearsed*")) == []


def test_a_long_video_is_quoted_from_stretches(long: Path, tmp_path: Path) -> None:
    [offer] = quoted(long, tmp_path).offers
    done = compress_file(long, tmp_path / "out.mp4", host=HOST, request=Request(**CHEAP))
    assert done.result is not None
    predicted = offer.predicted
    assert predicted is not None
    assert predicted.basis == "sampled"
    assert predicted.size_bytes is not None
    assert predicted.size_bytes.likely == pytest.approx(done.result.size_bytes, rel=0.15)
    assert predicted.size_bytes.holds(done.result.size_bytes)
    assert predicted.wall_s is not None
    assert predicted.vmaf is not None


def test_from_the_facts_alone_nothing_is_encoded_and_the_interval_is_wide(long: Path, tmp_path: Path) -> None:
    [offer] = quoted(long, tmp_path, options=QuoteOptions(codecs=("h264",), quick=True)).offers
    predicted = offer.predicted
    assert predicted is not None
    assert predicted.basis == "facts"
    assert predicted.vmaf is None
    assert predicted.size_bytes is not None
    assert predicted.size_bytes.high > 4 * predicted.size_bytes.low
    assert predicted.usd is not None
    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_does_not_pay_is_an_answer_with_its_reason(tmp_path: Path) -> None:
    # noise that was encoded as badly as can be: no encode of it at CRF 0 is smaller
    source = clips.plain(tmp_path / "worst.mp4", "-crf", "45")
    [offer] = quoted(source, tmp_path, crf=1.0, always_encode=False).offers
    assert offer.worth == "no"
    assert offer.outcome in ("copied", "skipped")
    assert "not worth" in offer.why or "could not be smaller" in offer.why
    assert offer.predicted is not None
    assert offer.predicted.outcome == offer.outcome


def test_a_file_above_the_limit_is_skipped_in_the_words_of_the_plan(short: Path, tmp_path: Path) -> None:
    [offer] = quoted(short, tmp_path, max_input_bytes=1000, always_encode=False).offers
    assert (offer.outcome, offer.worth) == ("skipped", "no")
    assert "COMPRESSION_MAX_FILE_SIZE" in offer.why


def test_each_codec_has_its_own_quality(short: Path, tmp_path: Path) -> None:
    options = QuoteOptions(codecs=("h264", "av1"), quick=True)
    offers = quoted(short, tmp_path, crf=18.0, options=options).offers
    assert [(o.codec, o.encoder) for o in offers] == [("h264", "libx264"), ("av1", "libsvtav1")]
    assert "CRF 18" in (offers[0].settings or "")
    assert "CRF 34" in (offers[1].settings or "")


def test_a_gpu_that_is_not_there_is_said_to_be_not_there(short: Path, tmp_path: Path) -> None:
    host = msgspec.structs.replace(HOST, gpus=(), gpu_note="no NVIDIA device on this machine")
    options = QuoteOptions(codecs=("h264",), quick=True)
    cpu, gpu = quoted(short, tmp_path, host=host, options=options, hardware="auto").offers
    assert (cpu.device, cpu.outcome) == ("cpu", "encoded")
    assert (gpu.device, gpu.outcome, gpu.predicted) == ("nvidia", "unavailable", None)
    assert "no NVIDIA device" in gpu.why


def test_a_single_picture_is_quoted_by_doing_the_job_too(tmp_path: Path) -> None:
    one = clips.make(
        tmp_path / "one.mp4", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-frames:v", "1", *clips.X264
    )
    [offer] = quoted(one, tmp_path).offers
    done = compress_file(one, tmp_path / "out.mp4", host=HOST, request=Request(**CHEAP))
    assert done.result is not None
    assert offer.predicted is not None
    assert offer.predicted.basis == "rehearsed"
    assert offer.predicted.size_bytes is not None
    assert offer.predicted.size_bytes.likely == pytest.approx(done.result.size_bytes, rel=0.01)


def test_without_libvmaf_no_score_is_made_up(short: Path, tmp_path: Path) -> None:
    builds = tuple(msgspec.structs.replace(f, filters=f.filters - {"libvmaf"}) for f in HOST.ffmpegs)
    [offer] = quoted(short, tmp_path, host=msgspec.structs.replace(HOST, ffmpegs=builds)).offers
    assert offer.predicted is not None
    assert offer.predicted.vmaf is None
    assert offer.predicted.size_bytes is not None
    assert "libvmaf" in next(r.text for r in offer.reasons if r.code == "vmaf_unmeasured")


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(InputError):
        quoted(text, tmp_path)


def test_stretches_are_spread_and_cut_from_the_plans_own_command(long: Path) -> None:
    facts = probe(long)
    decided = plan(facts, HOST, Request(**CHEAP))
    assert isinstance(decided, Encode)
    assert facts.main_video is not None
    order = order_of(decided, facts.main_video)
    starts = sorted(w.start_s for w in order.windows)
    assert len(starts) == 4
    assert starts[0] > 3
    assert starts[-1] + order.windows[0].duration_s < 40
    attempt = decided.attempts[0]
    short = cut_down(attempt, Window(start_s=7.0, duration_s=2.0))
    at = short.args.index("-i")
    assert short.args[at - 5 : at] == ("-noaccurate_seek", "-ss", "7.000", "-t", "2.000")
    assert short.args[at + 2 :] == tuple("passthrough" if t == "vfr" else t for t in attempt.args[at - 3 :])


def test_where_no_stretch_can_be_encoded_the_facts_have_to_do(
    long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any, **_more: Any) -> None:
        raise RehearsalError("The stretch at 17.2 s came to no picture.")

    monkeypatch.setattr("reelpress.quoting.offers.rehearse", fail)
    [offer] = quoted(long, tmp_path).offers
    assert offer.outcome == "encoded"
    assert offer.predicted is not None
    assert offer.predicted.basis == "facts"
    assert "17.2 s" in next(r.text for r in offer.reasons if r.code == "not_sampled")


def test_what_cannot_be_scored_for_one_offer_cannot_for_the_next(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts: list[Path] = []

    def cut(_ffmpeg: str, _source: Path, _facts: Any, _windows: Any, folder: Path, **_more: Any) -> None:
        cuts.append(folder)
        raise SampleError("No picture begins at 1.6 s or later.")

    monkeypatch.setattr("reelpress.quoting.scoring.cut_samples", cut)
    facts = probe(short)
    decided = plan(facts, HOST, Request(**CHEAP))
    assert isinstance(decided, Encode)
    scorer = Scorer(short, facts, tmp_path, HOST, cancel=CancelToken(), spend=lambda _cpu_s: None)
    for _ in range(2):
        said = scorer.score(decided, decided.attempts[0], ErrorTable().sampled, head_only=False)
        assert said == (None, "No picture begins at 1.6 s or later")
    assert len(cuts) == 1


def test_a_still_end_is_scored_by_what_comes_before_it(tmp_path: Path) -> None:
    source = clips.ends_still(tmp_path / "stays.mp4", "-preset", "medium", until_s=60)
    [offer] = quoted(source, tmp_path).offers
    assert offer.predicted is not None
    assert offer.predicted.vmaf is not None


def test_a_job_that_is_handed_a_look_takes_none_of_its_seconds(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> None:
        raise AssertionError("It looks again.")

    monkeypatch.setattr("reelpress.engine.look_at", fail)
    options = QuoteOptions(codecs=("h264",), looked_at=True)
    [offer] = quoted(short, tmp_path, options=options).offers
    assert offer.outcome == "encoded"
    (tmp_path / "kept").mkdir()
    [offer] = quoted(short, tmp_path / "kept", options=options, max_input_bytes=1000, always_encode=False).offers
    assert offer.predicted is not None
    assert offer.predicted.wall_s == around(0.0, 0.0)


def test_what_a_gate_takes_is_said_to_be_left_out_where_the_job_was_not_done(short: Path, tmp_path: Path) -> None:
    def assumed(name: str, *, quick: bool, gate: GateWish) -> str:
        (tmp_path / name).mkdir()
        options = QuoteOptions(codecs=("h264",), quick=quick)
        return quoted(short, tmp_path / name, options=options, gate=gate).assumes

    gate = GateWish(max_size_ratio=5.0)
    assert "without what a gate asks for" in assumed("quick", quick=True, gate=gate)
    assert "gate" not in assumed("whole", quick=False, gate=gate)
    assert "gate" not in assumed("none", quick=True, gate=GateWish())

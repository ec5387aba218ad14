"""The probe that stands ready: asked once, asked late, asked never, stopped."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from reelpress.errors import Cancelled, InputError
from reelpress.probe.media import output_limits, probe
from reelpress.probe.media_request import Decoding
from reelpress.probe.ready import ReadyProbe
from reelpress.run.process import CancelToken

import clips

pytestmark = [pytest.mark.media, pytest.mark.usefixtures("no_descriptor_left")]
TWO = Decoding(threads=2)


@pytest.mark.parametrize("early", [True, False])
def test_it_says_what_a_probe_says(tmp_path: Path, early: bool) -> None:
    clip, spent = clips.plain(tmp_path / "clip.mp4"), []
    with ReadyProbe(CancelToken(), 1.0) as ready:
        if early:
            ready.start()
            ready.start()  # one waits already
        found = ready.look(clip, TWO, spent.append)[0]
    assert found == probe(clip)
    assert len(spent) == 1
    assert spent[0] > 0


def test_it_can_be_asked_again(tmp_path: Path) -> None:
    first, second = clips.plain(tmp_path / "a.mp4"), clips.plain(tmp_path / "b.mp4", size="160x120")
    with ReadyProbe(CancelToken(), 1.0) as ready:
        sizes = [ready.look(clip, TWO, lambda _: None)[0].main_video.width for clip in (first, second, first)]  # type: ignore[union-attr]
    assert sizes == [320, 160, 320]


def test_one_that_is_never_asked_ends_with_the_job() -> None:
    with ReadyProbe(CancelToken(), 1.0) as ready:
        ready.start()


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with ReadyProbe(CancelToken(), 1.0) as ready, pytest.raises(InputError):
        ready.look(tmp_path / "text.mp4", TWO, lambda _: None)


def test_one_that_was_cancelled_while_it_waited_says_so(tmp_path: Path) -> None:
    cancel = CancelToken()
    with ReadyProbe(cancel, 1.0) as ready:
        ready.start()
        cancel.cancel()
        with pytest.raises(Cancelled):
            ready.look(clips.plain(tmp_path / "clip.mp4"), TWO, lambda _: None)


def test_waiting_is_not_looking() -> None:
    """The limit of a look starts with the question."""
    with ReadyProbe(CancelToken(), 1.0) as ready:
        assert ready._too_long() is None
        ready._asked_at = time.monotonic() - output_limits(1.0).wall_s - 1
        assert "looked for longer than" in (ready._too_long() or "")
        ready.start()  # a new one has not been asked
        assert ready._too_long() is None

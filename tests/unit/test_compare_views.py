"""By which filters the two sides of a comparison are brought together."""

from __future__ import annotations

from reelpress.facts.media import Colour, VideoTrack
from reelpress.facts.quality import Measuring
from reelpress.quality.views import Refused, View, decide_view

from factories import video

LIMITED = video(colour=Colour(range="limited", matrix="bt709"))
FULL = video(colour=Colour(range="full", matrix="bt470bg"), pix_fmt="yuvj420p")


def steps(encoded: VideoTrack, *, has_zscale: bool = True) -> tuple[str, ...]:
    view = decide_view(LIMITED, encoded, Measuring(), has_zscale=has_zscale)
    assert isinstance(view, View)
    return view.encoded_steps


def test_pictures_alike_are_scaled_alone() -> None:
    assert steps(LIMITED) == ("scale=<size>:flags=bicubic",)


def test_another_range_and_matrix_are_undone_by_zimg_before_scaling() -> None:
    zscale, form, scale = steps(FULL)
    assert zscale == "zscale=rangein=full:range=limited:matrixin=470bg:matrix=709:dither=none"
    assert (form, scale) == ("format=yuv420p", "scale=<size>:flags=bicubic")


def test_where_zimg_cannot_swscale_does_it_exactly() -> None:
    """Builds without it, and sides that are odd, of which 4:2:0 has half a sample of colour."""
    odd = video(colour=FULL.colour, pix_fmt="yuvj420p", width=1919)
    for (only,) in (steps(FULL, has_zscale=False), steps(odd)):
        assert "accurate_rnd" in only
        assert only.endswith("in_range=pc:out_range=tv:in_color_matrix=bt601:out_color_matrix=bt709")


def test_finer_colours_of_an_encode_are_brought_back_by_means() -> None:
    finer = video(colour=LIMITED.colour, chroma="444", pix_fmt="yuv444p10le", bit_depth=10)
    assert steps(finer)[1:] == ("format=yuv444p10le", "scale=flags=area")
    assert len(steps(video(colour=LIMITED.colour))) == 1


def test_pictures_that_libvmaf_crashes_on_are_refused() -> None:
    for width, height, is_refused in ((16, 64, True), (64, 16, True), (18, 18, False)):
        track = video(width=width, height=height)
        view = decide_view(track, track, Measuring(), has_zscale=True)
        assert isinstance(view, Refused) == is_refused, (width, height)

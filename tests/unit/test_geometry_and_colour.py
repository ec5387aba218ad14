"""Size, time, colour, sound and worth, case by case: what each decision is at its edges."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from reelpress.facts.media import Chapter, Colour, ContentLight, Edit
from reelpress.plan.colour import plan_colour
from reelpress.plan.encoders import (
    ENCODERS,
    GPU_PRESETS,
    LEGACY_GPU_PRESETS,
    NVENC_PRESETS,
    EncoderRow,
    cpu_row,
    quality_args,
)
from reelpress.plan.geometry import Size, fit, timing
from reelpress.plan.ladder import output_args
from reelpress.plan.tracks import TrackPlan, plan_tracks
from reelpress.plan.worth import (
    CERTAIN_BPP,
    HOPELESS_BPP,
    PROJECT_FROM,
    REST_AT_LEAST,
    SAMPLE_FROM_DURATION_S,
    SampleFacts,
    outgrown,
    outlook,
    sample_windows,
    sampled_outlook,
    spent_by,
)
from reelpress.request import CODECS, Request

from cases import DISPLAY, HDR10, HLG, TEN_BIT
from factories import audio, media, other, subtitle, video

F = Fraction
HD = Size(width=1280, height=720)
NTSC = F(30000, 1001)


def codes(reasons: tuple[Any, ...]) -> set[str]:
    return {r.code for r in reasons}


# --- size ---


@pytest.mark.parametrize(
    ("shown", "box", "want"),
    [
        ((1920, 1080), (1280, 720), (1280, 720)),
        ((1080, 1920), (1280, 720), (720, 1280)),
        ((1080, 1920), (720, 1280), (720, 1280)),
        ((1080, 1080), (1280, 720), (720, 720)),
        ((3840, 1600), (1280, 720), (1280, 534)),
        ((1280, 720), (1280, 720), (1280, 720)),
        ((1281, 721), (1280, 720), (1280, 720)),
        ((640, 360), (1280, 720), (640, 360)),
        ((641, 361), (1280, 720), (640, 360)),
        ((3, 3), (1280, 720), (2, 2)),
        ((2, 2), (16, 16), (2, 2)),
        ((8192, 2), (1280, 720), (1280, 2)),
        ((1920, 1080), (1283, 723), (1282, 722)),
        ((1440, 1080), (1283, 723), (964, 722)),
    ],
)
def test_a_picture_fits_its_box(shown: tuple[int, int], box: tuple[int, int], want: tuple[int, int]) -> None:
    size, _ = fit(video(width=shown[0], height=shown[1]), Request(max_width=box[0], max_height=box[1]))
    assert (size.width, size.height) == want


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({}, {"scaled_down"}),
        ({"width": 640, "height": 360}, set()),
        ({"width": 641, "height": 361}, {"made_even"}),
        ({"width": 640, "height": 360, "rotation_deg": 90}, {"rotation_baked"}),
        ({"width": 640, "height": 360, "mirrored": True}, {"rotation_baked"}),
        ({"width": 640, "height": 360, "sample_aspect_ratio": F(3, 4)}, {"square_pixels"}),
    ],
)
def test_every_change_of_shape_has_its_reason(changes: dict[str, Any], want: set[str]) -> None:
    _, reasons = fit(video(**changes), Request())
    assert codes(reasons) == want


# --- time ---


@pytest.mark.parametrize(
    ("fps", "cap", "filters", "kept"),
    [
        (F(60), F(30), ("select='not(mod(n,2))'",), F(30)),
        (F(60000, 1001), F(30), ("select='not(mod(n,2))'",), NTSC),
        (F(60000, 1001), NTSC, ("select='not(mod(n,2))'",), NTSC),
        (F(50), F(30), ("select='not(mod(n,2))'",), F(25)),
        (F(120), F(30), ("select='not(mod(n,4))'",), F(30)),
        (F(240), F(30), ("select='not(mod(n,8))'",), F(30)),
        (F(30), F(30), (), F(30)),
        (F(306, 10), F(30), (), F(306, 10)),
        (NTSC, F(30), (), NTSC),
        (F(24), F(30), (), F(24)),
    ],
)
def test_a_constant_rate_is_thinned_evenly_or_left_alone(
    fps: Fraction, cap: Fraction, filters: tuple[str, ...], kept: Fraction
) -> None:
    clock, reasons = timing(video(fps_avg=fps, fps_nominal=fps, frames=1000), Request(max_fps=cap))
    assert (clock.filters, clock.fps) == (filters, kept)
    assert ("fps_capped" in codes(reasons)) is bool(filters)


@pytest.mark.parametrize(("pauses", "fps", "keeps"), [(99, F(12), False), (100, F(12), True), (100, F(40), False)])
def test_a_recording_that_pauses_too_often_to_say_where_is_thinned_only_if_it_has_too_many_frames(
    pauses: int, fps: Fraction, keeps: bool
) -> None:
    track = video(fps_avg=fps, fps_peak=60.0, is_vfr=True, held_s=tuple(float(n) for n in range(1, pauses + 1)))
    assert timing(track, Request(max_fps=F(30)))[0].keeps_all_frames is keeps


@pytest.mark.parametrize(("fps", "cap"), [(F(40), F(30)), (F(31), F(30)), (F(44), F(30)), (F(60), F(58))])
def test_a_rate_no_even_thinning_comes_close_to_is_thinned_by_time(fps: Fraction, cap: Fraction) -> None:
    clock, _ = timing(video(fps_avg=fps, fps_nominal=fps), Request(max_fps=cap))
    assert clock.filters == (
        f"select='isnan(prev_selected_t)+gt(floor((t-start_t)*{cap}+0.25),floor((prev_selected_t-start_t)*{cap}+0.25))'",
    )
    assert (clock.fps, clock.keeps_all_frames) == (cap, False)


@pytest.mark.parametrize(("peak", "capped"), [(44.9, False), (45.1, True), (None, False)])
def test_fast_stretches_of_a_variable_rate_are_capped_only_well_above_the_cap(peak: float | None, capped: bool) -> None:
    clock, _ = timing(video(is_vfr=True, fps_avg=F(24), fps_peak=peak), Request())
    assert clock.keeps_all_frames is not capped


def test_a_constant_rate_is_never_capped_for_its_peak() -> None:
    clock, _ = timing(video(fps_avg=F(24), fps_nominal=F(24), fps_peak=60.0), Request())
    assert clock.keeps_all_frames


def test_an_unknown_rate_keeps_every_frame() -> None:
    clock, reasons = timing(video(fps_avg=None, fps_nominal=None, fps_peak=None, is_vfr=None), Request())
    assert (clock.filters, clock.fps, clock.keeps_all_frames, reasons) == ((), None, True, ())


@pytest.mark.parametrize(
    ("track", "base"),
    [
        ({"fps_avg": F(25), "fps_nominal": F(25)}, F(1, 12_800)),
        ({"fps_avg": NTSC, "fps_nominal": NTSC}, F(1, 30_000)),
        ({"is_vfr": True, "time_base": F(1, 600)}, F(1, 90_000)),
        ({"is_vfr": True, "time_base": F(1, 1000)}, F(1, 1000)),
        ({"is_vfr": True, "time_base": F(1, 90_000)}, F(1, 90_000)),
        ({"is_vfr": True, "time_base": F(1, 10_000_000)}, F(1, 90_000)),
        ({"is_vfr": True, "time_base": F(1001, 30_000)}, F(1, 90_000)),
        ({"fps_avg": None, "fps_nominal": None, "time_base": F(1, 1000)}, F(1, 1000)),
    ],
)
def test_the_encoders_clock_is_exact_for_constant_rates_and_the_sources_own_for_others(
    track: dict[str, Any], base: Fraction
) -> None:
    assert timing(video(**track), Request())[0].time_base == base


@pytest.mark.parametrize(("base", "moves"), [(F(1, 1000), True), (F(1, 90_000), False)])
def test_only_coarse_clocks_are_put_back_on_a_grid(base: Fraction, moves: bool) -> None:
    clock, _ = timing(video(time_base=base), Request())
    assert bool(clock.filters) is moves


@pytest.mark.parametrize(("frames", "most"), [(600, 300), (601, 301), (None, None)])
def test_thinned_frames_are_counted_beforehand(frames: int | None, most: int | None) -> None:
    clock, _ = timing(video(fps_avg=F(60), fps_nominal=F(60), frames=frames), Request())
    assert clock.frames_at_most == most


# --- colour ---


def filters_of(track: dict[str, Any], codec: str = "h264", size: Size = HD, **wish: Any) -> str:
    return ",".join(plan_colour(video(**track), size, cpu_row(codec), Request(codec=codec, **wish)).filters)


@pytest.mark.parametrize(
    ("colour", "source"),
    [
        (HLG, "zscale=tin=arib-std-b67:pin=bt2020:min=bt2020nc:rin=tv:t=linear:npl=203"),
        (HDR10, "zscale=tin=smpte2084:pin=bt2020:min=bt2020nc:rin=tv:t=linear:npl=203"),
        (Colour(transfer="smpte2084"), "zscale=tin=smpte2084:pin=bt2020:min=bt2020nc:rin=tv:t=linear:npl=203"),
        (Colour(transfer="smpte2084", range="full", primaries="smpte432"),
         "zscale=tin=smpte2084:pin=smpte432:min=bt2020nc:rin=pc:t=linear:npl=203"),
    ],
)  # fmt: skip
def test_hdr_is_tone_mapped_from_what_the_file_says_or_hdr_implies(colour: Colour, source: str) -> None:
    assert filters_of({**TEN_BIT, "colour": colour}) == (
        f"scale=w=1280:h=720,format=yuv420p10le,setsar=1,{source},format=gbrpf32le,zscale=p=bt709,"
        "tonemap=tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv420p,"
        "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    )


def test_hdr_in_rgb_becomes_bt2020_before_it_is_tone_mapped_or_kept() -> None:
    track = {"pix_fmt": "gbrp10le", "chroma": "rgb", "bit_depth": 10,
             "colour": Colour(transfer="smpte2084", range="full", primaries="bt2020", matrix="gbr")}  # fmt: skip
    scale = "scale=w=1280:h=720:out_color_matrix=bt2020:out_range=tv,format=yuv420p10le,setsar=1"
    assert filters_of(track).startswith(f"{scale},zscale=tin=smpte2084:pin=bt2020:min=bt2020nc:rin=tv:t=linear")
    kept = plan_colour(video(**track), HD, cpu_row("hevc"), Request(hdr="keep"))
    assert (",".join(kept.filters), kept.matrix, kept.range) == (scale, "bt2020nc", "limited")


def test_a_matrix_that_the_scaler_does_not_know_is_not_shown_to_it() -> None:
    hidden = "setparams=colorspace=bt709,scale=w=1280:h=720,"
    assert filters_of({"colour": Colour(matrix="smpte2085")}) == (
        f"{hidden}format=yuv420p,setsar=1,setparams=colorspace=smpte2085"
    )
    hdr = {**TEN_BIT, "colour": Colour(transfer="arib-std-b67", primaries="bt2020", matrix="bt2020c")}
    assert filters_of(hdr).startswith(
        f"{hidden}format=yuv420p10le,setsar=1,zscale=tin=arib-std-b67:pin=bt2020:min=bt2020nc:"
    )
    kept = plan_colour(video(**hdr), HD, cpu_row("hevc"), Request(hdr="keep"))
    assert (kept.filters[0], kept.filters[-1], kept.matrix) == (
        "setparams=colorspace=bt709", "setparams=colorspace=bt2020c", "bt2020c",
    )  # fmt: skip
    wide = {"colour": Colour(primaries="bt2020", matrix="bt2020c")}
    assert "zscale=tin=bt709:pin=bt2020:min=bt2020c:" in filters_of(wide)


def test_a_matrix_that_few_players_know_becomes_bt709() -> None:
    colour = plan_colour(video(colour=Colour(matrix="ycgco", range="limited")), HD, cpu_row("h264"), Request())
    assert (colour.primaries, colour.transfer, colour.matrix, colour.range) == ("bt709", "bt709", "bt709", "limited")
    assert ",".join(colour.filters).startswith(
        "setparams=colorspace=bt709,scale=w=1280:h=720,format=yuv420p,setsar=1,"
        "zscale=tin=bt709:pin=bt709:min=ycgco:rin=tv:p=bt709:t=bt709:m=bt709:r=tv,"
    )
    assert "matrix_converted" in codes(colour.reasons)


def test_primaries_that_encoders_cannot_write_are_left_unsaid() -> None:
    colour = plan_colour(video(colour=Colour(primaries="ebu3213", matrix="bt470bg")), HD, cpu_row("h264"), Request())
    assert (colour.primaries, colour.matrix) == (None, "bt470bg")
    assert colour.filters[-1] == "setparams=color_primaries=unknown:colorspace=bt470bg"
    assert "primaries_unsaid" in codes(colour.reasons)


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_kept_hdr_keeps_ten_bits_and_tags_and_is_not_mapped(codec: str) -> None:
    colour = plan_colour(video(**TEN_BIT, colour=HDR10), HD, cpu_row(codec), Request(hdr="keep"))  # type: ignore[arg-type]
    assert colour.filters == ("scale=w=1280:h=720", "format=yuv420p10le", "setsar=1")
    assert (colour.pix_fmt, colour.primaries, colour.transfer, colour.matrix, colour.range) == (
        "yuv420p10le", "bt2020", "smpte2084", "bt2020nc", "limited",
    )  # fmt: skip
    assert colour.keeps_hdr == HDR10


def test_hdr_cannot_be_kept_by_an_encoder_without_ten_bits() -> None:
    colour = plan_colour(video(**TEN_BIT, colour=HDR10), HD, cpu_row("h264"), Request(hdr="keep"))
    assert (colour.pix_fmt, colour.transfer, colour.keeps_hdr) == ("yuv420p", "bt709", None)


BT709_TAGS = "format=yuv420p,setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
PLAIN = "scale=w=640:h=360,format=yuv420p,setsar=1"
SD = {"width": 640, "height": 360}
PAL = Colour(range="limited", primaries="bt470bg", transfer="gamma28", matrix="bt470bg")
PAL_TAGS = "setparams=range=tv:color_primaries=bt470bg:color_trc=gamma28:colorspace=bt470bg"
WIDE = "zscale=tin=bt709:pin=bt2020:min=bt2020nc:rin=tv:p=bt709:t=bt709:m=bt709:r=tv"
SDR: dict[str, tuple[dict[str, Any], str]] = {
    "hd made small": ({}, f"{PLAIN},setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709"),
    "sd untagged": (SD, PLAIN),
    "limited": ({**SD, "colour": Colour(range="limited")}, f"{PLAIN},setparams=range=tv"),
    "full": (
        {**SD, "colour": Colour(range="full")},
        "scale=w=640:h=360:in_range=pc:out_range=tv,format=yuv420p,setsar=1,setparams=range=tv",
    ),
    "bt601 tagged": ({"colour": PAL}, f"{PLAIN},{PAL_TAGS}"),
    "rgb": (
        {"chroma": "rgb", "pix_fmt": "gbrp"},
        f"scale=w=640:h=360:out_color_matrix=bt709:out_range=tv,setsar=1,{BT709_TAGS}",
    ),
    "wide gamut": ({"colour": Colour(primaries="bt2020")}, f"{PLAIN},{WIDE},{BT709_TAGS}"),
    "wide gamut in ten bits": (
        {"colour": Colour(matrix="bt2020nc"), "bit_depth": 10},
        f"scale=w=640:h=360,format=yuv420p10le,setsar=1,{WIDE},{BT709_TAGS}",
    ),
}


@pytest.mark.parametrize(("track", "want"), SDR.values(), ids=SDR)
def test_sdr_colour_ends_as_its_tags_say(track: dict[str, Any], want: str) -> None:
    assert filters_of(track, size=Size(width=640, height=360)) == want


@pytest.mark.parametrize(
    ("track", "want"),
    [
        ({}, set()),
        ({"pix_fmt": "yuv422p10le"}, {"pixel_format"}),
        ({"pix_fmt": "yuva420p", "has_alpha": True}, {"pixel_format", "alpha_dropped"}),
        ({"pix_fmt": None}, set()),
        ({"colour": Colour(range="full")}, {"limited_range"}),
    ],
)
def test_every_loss_of_pixel_format_has_its_reason(track: dict[str, Any], want: set[str]) -> None:
    assert codes(plan_colour(video(**track), HD, cpu_row("h264"), Request()).reasons) == want


# --- encoders ---


def args_of(codec: str, hdr: Colour | None = None, **changes: Any) -> tuple[str, ...]:
    row = cpu_row(codec)  # type: ignore[arg-type]
    return quality_args(row, **{"crf": 20, "preset": row.preset_default, "hdr": hdr, "threads": 0, **changes})


def after(args: tuple[str, ...], name: str) -> str:
    return args[args.index(name) + 1]


def test_x265_is_told_of_hdr10_in_its_own_units() -> None:
    assert after(args_of("hevc", HDR10), "-x265-params:v:0") == (
        "log-level=error:hdr10-opt=1:repeat-headers=1:"
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,180"
    )


def test_svt_is_told_of_hdr10_in_decimals() -> None:
    assert after(args_of("av1", HDR10), "-svtav1-params:v:0") == (
        "mastering-display=G(0.26500,0.69000)B(0.15000,0.06000)R(0.68000,0.32000)WP(0.31270,0.32900)L(1000.0000,0.0001)"
        ":content-light=1000,180"
    )


@pytest.mark.parametrize(
    ("fps", "want"),
    [(Fraction(30000, 1001), "fps-num=30000:fps-denom=1001"), (Fraction(480), "fps-num=240:fps-denom=1")],
)
def test_svt_is_told_of_the_rate_that_it_gets_and_of_no_more_than_it_takes(fps: Fraction, want: str) -> None:
    assert after(args_of("av1", fps=fps), "-svtav1-params:v:0") == want


def test_hlg_has_no_hdr10_metadata_to_write() -> None:
    assert after(args_of("hevc", HLG), "-x265-params:v:0") == "log-level=error:hdr10-opt=0:repeat-headers=1"
    assert "-svtav1-params:v:0" not in args_of("av1", HLG)


@pytest.mark.parametrize("part", ["mastering_display", "content_light"])
def test_half_of_the_hdr10_metadata_is_written_alone(part: str) -> None:
    known = {"mastering_display": DISPLAY, "content_light": ContentLight(max_cll=600, max_fall=90)}
    colour = Colour(transfer="smpte2084", **{part: known[part]})
    x265 = after(args_of("hevc", colour), "-x265-params:v:0")
    svt = after(args_of("av1", colour), "-svtav1-params:v:0")
    assert ("max-cll=600,90" in x265, "master-display=" in x265) == (part == "content_light", part != "content_light")
    assert svt.startswith({"mastering_display": "mastering-display=G(", "content_light": "content-light=600,90"}[part])


@pytest.mark.parametrize(("crf", "want"), [(23, "23"), (23.0, "23"), (18.5, "18.5"), (0, "0")])
def test_crf_is_written_without_needless_digits(crf: float, want: str) -> None:
    assert after(args_of("h264", crf=crf), "-crf:v:0") == want


@pytest.mark.parametrize(("threads", "want"), [(0, None), (4, "4")])
def test_threads_are_named_only_when_they_were_chosen(threads: int, want: str | None) -> None:
    args = args_of("h264", threads=threads)
    assert (after(args, "-threads:v:0") if "-threads:v:0" in args else None) == want


def test_only_the_lean_preset_is_ours_and_x264_never_hears_its_name() -> None:
    assert after(args_of("h264", preset="lean"), "-preset:v:0") in cpu_row("h264").presets[1:]
    assert "lean" not in args_of("h264", preset="lean")
    assert after(args_of("h264", preset="faster"), "-preset:v:0") == "faster"
    assert "-x264-params:v:0" not in args_of("h264", preset="faster")


@pytest.mark.parametrize("row", ENCODERS, ids=lambda row: row.name)
def test_every_row_of_the_table_accepts_its_own_defaults(row: EncoderRow) -> None:
    assert 0 <= row.crf_default <= row.crf_max
    assert row.preset_default in row.presets
    assert len(set(row.presets)) == len(row.presets)
    assert not row.crf_integer or row.crf_default == int(row.crf_default)
    assert 2 <= row.min_width <= row.max_side
    assert 2 <= row.min_height <= row.max_side
    assert row.tag == {"h264": "avc1", "hevc": "hvc1", "av1": "av01"}[row.codec]
    assert (row.device == "nvidia") == row.name.endswith("_nvenc")


def test_every_codec_has_one_encoder_on_each_device() -> None:
    assert sorted((row.codec, row.device) for row in ENCODERS) == sorted(
        (codec, device) for codec in CODECS for device in ("cpu", "nvidia")
    )


def test_h264_has_no_ten_bits_and_the_others_do() -> None:
    assert {row.codec for row in ENCODERS if row.pix_fmt_hdr is None} == {"h264"}


def test_legacy_gpu_presets_stand_for_p1_to_p7() -> None:
    assert NVENC_PRESETS == ("p1", "p2", "p3", "p4", "p5", "p6", "p7")
    assert {preset for preset, _ in LEGACY_GPU_PRESETS.values()} <= set(NVENC_PRESETS)
    assert {tune for _, tune in LEGACY_GPU_PRESETS.values()} <= {"hq", "ll", "ull", "lossless"}
    assert set(GPU_PRESETS) == set(LEGACY_GPU_PRESETS) | set(NVENC_PRESETS)


# --- tracks ---


def tracks(*given: Any, facts: dict[str, Any] | None = None, **wish: Any) -> TrackPlan:
    return plan_tracks(media(video(), *given, **(facts or {})), Request(**wish))


@pytest.mark.parametrize(
    ("track", "action"),
    [
        ({}, "copy"),
        ({"bitrate_bps": 160_000}, "copy"),
        ({"bitrate_bps": 160_001}, "encode"),
        ({"bitrate_bps": None}, "encode"),
        ({"channels": 1, "bitrate_bps": 160_000}, "copy"),
        ({"channels": 6, "bitrate_bps": 480_000}, "copy"),
        ({"channels": 6, "bitrate_bps": 480_001}, "encode"),
        ({"sample_rate_hz": 48_000}, "copy"),
        ({"sample_rate_hz": 48_001}, "encode"),
        ({"codec": "opus"}, "encode"),
        ({"codec": None}, "encode"),
        ({"edits": (Edit(duration_s=10.0, media_time_s=0.023),)}, "copy"),
        ({"edits": (Edit(duration_s=1.0, media_time_s=None), Edit(duration_s=9.0, media_time_s=0.0))}, "copy"),
        ({"edits": (Edit(duration_s=10.0, media_time_s=0.2),)}, "encode"),
        ({"edits": (Edit(duration_s=5.0, media_time_s=0.0), Edit(duration_s=4.0, media_time_s=0.05))}, "encode"),
        ({"begins_late": True}, "encode"),
        ({"decodes": False}, "drop"),
        ({"size_bytes": 0}, "drop"),
    ],
)
def test_sound_is_copied_where_it_fits_and_encoded_where_it_does_not(track: dict[str, Any], action: str) -> None:
    chosen = tracks(audio(**track))
    assert chosen.streams[0].action == action
    assert ("copy" in chosen.args) is (action == "copy")
    assert bool(chosen.maps) is (action != "drop")


def test_a_stream_without_packets_is_kept_while_the_scan_was_not_complete() -> None:
    assert tracks(audio(size_bytes=0), facts={"scan_complete": False}).streams[0].action == "copy"


@pytest.mark.parametrize(
    ("track", "wish", "bitrate", "options"),
    [
        ({"codec": "mp3", "bitrate_bps": 320_000}, {}, "128000", ()),
        ({"codec": "mp3", "bitrate_bps": 96_000}, {}, "96000", ()),
        ({"codec": "mp3", "bitrate_bps": 8_000}, {}, "32000", ()),
        ({"codec": "mp3", "channels": 1, "bitrate_bps": 320_000}, {}, "64000", ()),
        ({"codec": "amrnb", "channels": 1, "bitrate_bps": 5_000}, {}, "16000", ()),
        ({"codec": "ac3", "channels": 6, "bitrate_bps": 448_000}, {}, "384000", ()),
        ({"codec": "dts", "channels": 6, "bitrate_bps": None}, {"audio_channels": "stereo"}, "128000", ("-ac", "2")),
        ({"codec": "pcm_s16le", "bitrate_bps": 64_000}, {}, "128000", ()),
        ({"codec": "flac", "sample_rate_hz": 96_000, "bitrate_bps": 2_000_000}, {}, "128000", ("-ar", "48000")),
        ({"codec": "pcm_s24le", "channels": 16}, {}, "512000", ("-ac", "2")),
        ({"codec": "opus", "channels": None, "bitrate_bps": None}, {"audio_bitrate_bps": 64_000}, "64000", ()),
    ],
)
def test_sound_never_gets_more_bits_than_wished_or_than_the_source_spent(
    track: dict[str, Any], wish: dict[str, Any], bitrate: str, options: tuple[str, ...]
) -> None:
    args = tracks(audio(**track), **wish).args
    want = ("-c:a:0", "aac", "-b:a:0", bitrate)
    assert args == want + tuple(f"{o}:a:0" if o.startswith("-") else o for o in options)


def test_output_streams_are_numbered_by_what_is_kept() -> None:
    chosen = tracks(
        audio(index=1, decodes=False), audio(index=2), audio(index=3, codec="mp3"),
        subtitle(index=4, codec="dvb_subtitle", is_text=False), subtitle(index=5), other(index=6),
    )  # fmt: skip
    assert chosen.maps == ("-map", "0:2", "-map", "0:3", "-map", "0:5")
    assert [a.index for a in chosen.audio] == [2, 3]
    assert chosen.subtitles == 1
    assert [o for o in chosen.args if o.startswith("-c:")] == ["-c:a:0", "-c:a:1", "-c:s:0"]
    assert {s.index: s.action for s in chosen.streams} == {
        1: "drop", 2: "copy", 3: "encode", 4: "drop", 5: "convert", 6: "drop",
    }  # fmt: skip


def test_subtitles_that_nothing_decodes_are_left_out() -> None:
    chosen = tracks(subtitle(index=1, codec="ttml", decodes=False), subtitle(index=2))
    assert (chosen.maps, chosen.subtitles) == (("-map", "0:2"), 1)
    assert [(s.index, s.action, s.reason) for s in chosen.streams if s.action == "drop"] == [
        (1, "drop", "No decoder for its subtitles (ttml).")
    ]


def test_a_place_is_written_under_the_key_players_read_and_brings_the_title_along() -> None:
    args = output_args(media(title="Day", location="+37-122/"))
    values = [args[n + 1] for n, token in enumerate(args) if token == "-metadata"]
    assert values == ["com.apple.quicktime.location.ISO6709=+37-122/", "com.apple.quicktime.title=Day"]
    assert after(args, "-movflags") == "+faststart+use_metadata_tags"


def test_without_a_place_the_containers_own_tags_are_copied() -> None:
    args = output_args(media(title="Day", chapters=(Chapter(start_s=0.0, end_s=1.0, title="-y"),)))
    assert "-metadata" not in args
    assert (after(args, "-map_metadata"), after(args, "-map_chapters"), after(args, "-movflags")) == (
        "0", "0", "+faststart",
    )  # fmt: skip


# --- worth ---

PIXELS_A_SECOND = 1280 * 720 * 30


def bits(per_pixel: float) -> int:
    return round(per_pixel * PIXELS_A_SECOND)


@pytest.mark.parametrize(
    ("codec", "per_pixel", "verdict"),
    [
        ("h264", CERTAIN_BPP * 1.001, "yes"),
        ("h264", CERTAIN_BPP * 0.999, "doubtful"),
        ("h264", HOPELESS_BPP * 1.001, "doubtful"),
        ("h264", HOPELESS_BPP * 0.999, "no"),
        ("av1", CERTAIN_BPP * 0.51, "yes"),
        ("av1", HOPELESS_BPP * 0.999, "no"),
        ("mpeg2video", CERTAIN_BPP * 1.5, "doubtful"),
        ("mpeg2video", CERTAIN_BPP * 2.1, "yes"),
    ],
)
def test_the_outlook_follows_what_the_input_spends_on_a_pixel(codec: str, per_pixel: float, verdict: str) -> None:
    assert outlook(video(codec=codec, bitrate_bps=bits(per_pixel)), HD, 30.0).verdict == verdict


@pytest.mark.parametrize(
    ("track", "fps"),
    [({"bitrate_bps": None}, 30.0), ({"bitrate_bps": 0}, 30.0), ({"duration_s": None}, 30.0), ({}, None)],
)
def test_the_outlook_is_unknown_where_a_fact_is(track: dict[str, Any], fps: float | None) -> None:
    assert outlook(video(**track), HD, fps).verdict == "unknown"


@pytest.mark.parametrize(("is_vfr", "verdict"), [(False, "yes"), (True, "doubtful")])
def test_a_still_end_spends_nothing(is_vfr: bool, verdict: str) -> None:
    """The average of a variable rate has its seconds in it."""
    track = video(bitrate_bps=bits(CERTAIN_BPP * 0.5), duration_s=30.0, last_from_s=10.0, last_s=20.0, is_vfr=is_vfr)
    assert outlook(track, HD, 30.0).verdict == verdict


def test_dropping_frames_makes_an_encode_look_better() -> None:
    track = video(bitrate_bps=bits(CERTAIN_BPP * 0.75))
    assert (outlook(track, HD, 30.0).verdict, outlook(track, HD, 15.0).verdict) == ("doubtful", "yes")


@pytest.mark.parametrize("duration", [SAMPLE_FROM_DURATION_S, 61.0, 90.5, 600.0, 36_000.0])
def test_sample_windows_lie_apart_within_the_programme(duration: float) -> None:
    windows = sample_windows(video(duration_s=duration))
    assert windows
    ends = [w.start_s + w.duration_s for w in windows]
    assert windows[0].start_s >= 0
    assert max(ends) <= duration
    assert all(end <= later.start_s for end, later in zip(ends, windows[1:], strict=False))
    assert sum(w.duration_s for w in windows) < duration / 5


@pytest.mark.parametrize("duration", [None, 0.5, SAMPLE_FROM_DURATION_S - 0.1])
def test_short_or_endless_inputs_are_not_sampled(duration: float | None) -> None:
    assert sample_windows(video(duration_s=duration)) == ()


@pytest.mark.parametrize(("rate", "verdict"), [(95_000, "yes"), (96_000, "no"), (10_000, "yes"), (500_000, "no")])
def test_samples_decide_by_the_saving_that_was_asked_for(rate: float, verdict: str) -> None:
    """10 s, of which the video is all 1 000 000 bytes: 95 000 bytes a second save just 5 %."""
    track = video(size_bytes=1_000_000)
    facts = media(track, size_bytes=1_000_000)
    found = sampled_outlook(facts, track, rate, SampleFacts(windows=3, seconds=6.0, encoded_bytes_per_s=rate), 0.05)
    assert (found.verdict, found.predicted_bytes) == (verdict, rate * 10)


def test_sound_and_container_count_as_they_are_in_the_prediction() -> None:
    track = video(size_bytes=400_000)
    facts = media(track, audio(), size_bytes=1_000_000)
    found = sampled_outlook(facts, track, 10_000, SampleFacts(windows=3, seconds=6.0, encoded_bytes_per_s=10_000), 0.05)
    assert found.predicted_bytes == 700_000


def test_an_encode_is_stopped_once_it_is_too_large() -> None:
    assert outgrown(1001, None, 1000) is not None
    assert outgrown(1000, None, 1000) is None
    assert outgrown(1001, 0.99, 1000) is not None


@pytest.mark.parametrize("done", [PROJECT_FROM, 0.5, 0.9])
def test_an_encode_is_stopped_where_a_rest_that_needs_little_would_still_be_too_much(done: float) -> None:
    limit = 1_000_000
    most = limit / (1 + REST_AT_LEAST * (1 - done) / done)
    assert outgrown(round(most * 1.001), done, limit) is not None
    assert outgrown(round(most * 0.999), done, limit) is None


@pytest.mark.parametrize("done", [None, 0.0, PROJECT_FROM - 0.01])
def test_a_beginning_tells_nothing_of_the_rest(done: float | None) -> None:
    assert outgrown(1_000_000, done, 1_000_000, 0.3) is None


def test_where_the_source_spent_its_bytes_first_so_may_the_encode() -> None:
    assert outgrown(800_000, 0.35, 1_000_000) is not None
    assert outgrown(800_000, 0.35, 1_000_000, 0.9) is None
    assert outgrown(800_000, 0.35, 1_000_000, 0.1) is not None


def test_what_a_source_spent_by_a_time_lies_between_what_was_read() -> None:
    track = video(bytes_by_s=((0.0, 0), (2.0, 800), (2.0, 850), (10.0, 1000)))
    times = (-1.0, 0.0, 1.0, 2.0, 6.0, 10.0, 11.0)
    assert [spent_by(track, at) for at in times] == pytest.approx([0.0, 0.0, 0.4, 0.8, 0.925, 1.0, 1.0])
    assert spent_by(video(), 1.0) is None


@pytest.mark.parametrize("done", [None, 0.0, 0.29, 0.3, 0.5, 0.9, 1.0])
def test_more_bytes_never_revive_an_encode_that_was_to_stop(done: float | None) -> None:
    stops = [outgrown(written, done, 1_000_000) is not None for written in range(0, 2_000_000, 5_000)]
    assert stops == sorted(stops)
    assert stops[-1]


@pytest.mark.parametrize(
    ("windows", "told"), [(1, "1 sample of 4.0 s predicts "), (3, "3 samples of 4.0 s in all predict ")]
)
def test_samples_are_counted_as_people_count(windows: int, told: str) -> None:
    samples = SampleFacts(windows=windows, seconds=4.0, encoded_bytes_per_s=1000.0)
    assert sampled_outlook(media(), video(), 1000.0, samples, 0.05).text.startswith(told)

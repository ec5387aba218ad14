"""The golden cases: an input, a machine and a wish each, named for what they prove."""

from __future__ import annotations

from fractions import Fraction

from reelpress.facts.host import HostFacts
from reelpress.facts.media import Chapter, Colour, ContentLight, Crop, DolbyVision, Edit, MasteringDisplay, MediaFacts
from reelpress.plan.worth import SampleFacts
from reelpress.request import Request

from factories import (
    NEW,
    OLD,
    audio,
    ffmpeg,
    gpu,
    gpu_busy,
    gpu_h200,
    gpu_host,
    gpu_l4,
    gpu_paths,
    gpu_t4,
    gpu_without,
    host,
    media,
    other,
    subtitle,
    video,
)

F = Fraction
HLG = Colour(range="limited", primaries="bt2020", transfer="arib-std-b67", matrix="bt2020nc")
DISPLAY = MasteringDisplay(
    red=(F(34000, 50000), F(16000, 50000)), green=(F(13250, 50000), F(34500, 50000)),
    blue=(F(7500, 50000), F(3000, 50000)), white=(F(15635, 50000), F(16450, 50000)),
    min_luminance=F(1, 10000), max_luminance=F(1000),
)  # fmt: skip
HDR10 = Colour(
    range="limited", primaries="bt2020", transfer="smpte2084", matrix="bt2020nc", mastering_display=DISPLAY,
    content_light=ContentLight(max_cll=1000, max_fall=180),
)  # fmt: skip
TEN_BIT = {"codec": "hevc", "pix_fmt": "yuv420p10le", "bit_depth": 10, "codec_tag": "hvc1", "profile": "Main 10"}
DOVI8 = DolbyVision(profile=8, compatibility_id=4, base_layer="hlg")
DOVI5 = DolbyVision(profile=5, compatibility_id=0, base_layer="none")
CUT = Crop(left=0, right=240, top=8, bottom=0)
LONG = {"duration_s": 600.0, "frames": 18_000}

Case = tuple[MediaFacts, HostFacts, Request, SampleFacts | None]


def case(facts: MediaFacts, request: Request | None = None, machine: HostFacts | None = None,
         samples: SampleFacts | None = None) -> Case:  # fmt: skip
    return facts, machine or host(), request or Request(), samples


def _tall() -> MediaFacts:
    return media(video(width=1080, height=1920), audio())


def on_gpu(facts: MediaFacts | None = None, request: Request | None = None, machine: HostFacts | None = None,
           samples: SampleFacts | None = None) -> Case:  # fmt: skip
    return case(facts or media(), request, machine or gpu_host(), samples)


UHD = {"width": 3840, "height": 2160, "bitrate_bps": 40_000_000}
BOX_OF_SOURCE = {"max_width": 16_384, "max_height": 16_384}

CPU_CASES: dict[str, Case] = {
    "plain-1080p": case(media()),
    "hevc-asked": case(media(), Request(codec="hevc")),
    "av1-asked": case(media(), Request(codec="av1")),
    "plan-preset-faster": case(media(), Request(preset="faster", crf=21)),
    "rotated-90": case(media(video(rotation_deg=90), audio())),
    "cropped-and-turned": case(
        media(video(crop=CUT, rotation_deg=90, display_width=1072, display_height=1680), audio())
    ),
    "rotated-180-mirrored": case(media(video(rotation_deg=180, mirrored=True), audio())),
    "portrait-box-turns": case(_tall()),
    "small-is-never-enlarged": case(media(video(width=640, height=360, bitrate_bps=6_000_000), audio())),
    "odd-size": case(media(video(width=641, height=361, bitrate_bps=6_000_000), audio())),
    "anamorphic-wide": case(media(video(width=720, height=576, sample_aspect_ratio=F(64, 45)), audio())),
    "anamorphic-narrow": case(media(video(width=640, height=360, sample_aspect_ratio=F(2, 3)), audio())),
    "fps-60-to-30": case(media(video(fps_avg=F(60), fps_nominal=F(60), fps_peak=60.0, frames=600), audio())),
    "fps-50-to-25": case(media(video(fps_avg=F(50), fps_nominal=F(50), fps_peak=50.0, frames=500), audio())),
    "fps-40-capped-unevenly": case(media(video(fps_avg=F(40), fps_nominal=F(40), fps_peak=40.0, frames=400), audio())),
    "fps-29.97-kept": case(media(video(fps_avg=F(30000, 1001), fps_nominal=F(30000, 1001)), audio())),
    "vfr-phone-kept": case(media(video(is_vfr=True, fps_avg=F(299, 10), fps_peak=33.0, time_base=F(1, 600)), audio())),
    "still-end": case(media(video(duration_s=70.0, last_from_s=10.0, last_s=60.0), audio(duration_s=70.0))),
    "vfr-bursts-capped": case(media(video(is_vfr=True, fps_avg=F(24), fps_peak=60.0, time_base=F(1, 90000)), audio())),
    "mkv-milliseconds-put-on-grid": case(
        media(video(time_base=F(1, 1000), fps_avg=F(24000, 1001), fps_nominal=F(24000, 1001)), audio(),
              container="matroska,webm")
    ),
    "hlg-tonemapped": case(media(video(**TEN_BIT, colour=HLG), audio())),
    "hdr10-tonemapped": case(media(video(**TEN_BIT, colour=HDR10), audio())),
    "hdr10-kept-hevc": case(media(video(**TEN_BIT, colour=HDR10), audio()), Request(codec="hevc", hdr="keep")),
    "hdr10-kept-av1": case(media(video(**TEN_BIT, colour=HDR10), audio()), Request(codec="av1", hdr="keep")),
    "hdr-keep-needs-10-bit-codec": case(media(video(**TEN_BIT, colour=HDR10), audio()), Request(hdr="keep")),
    "dolby-vision-8-uses-its-base-layer": case(
        media(video(**TEN_BIT, colour=Colour(primaries="bt2020", transfer="arib-std-b67", matrix="bt2020nc",
                                             dolby_vision=DOVI8)), audio())
    ),
    "dolby-vision-5-skipped": case(media(video(**TEN_BIT, colour=Colour(dolby_vision=DOVI5)), audio())),
    "bt2020-sdr": case(media(video(**TEN_BIT, colour=Colour(range="limited", primaries="bt2020", transfer="bt709",
                                                            matrix="bt2020nc")), audio())),
    "full-range": case(media(video(pix_fmt="yuvj420p", colour=Colour(range="full", matrix="smpte170m")), audio())),
    "yuv422-10bit": case(media(video(codec="prores", pix_fmt="yuv422p10le", bit_depth=10, chroma="422",
                                     bitrate_bps=80_000_000), audio())),
    "rgb-with-alpha": case(media(video(codec="png", pix_fmt="rgba", chroma="rgb", has_alpha=True,
                                       bitrate_bps=90_000_000), audio())),
    "bt601-tags-kept": case(media(video(width=720, height=576, colour=Colour(range="limited", primaries="bt470bg",
                                                                             transfer="bt709", matrix="bt470bg")),
                                  audio())),
    "untagged-hd-made-small-says-bt709": case(media(), Request(max_width=640, max_height=360)),
    "interlaced": case(media(video(codec="mpeg2video", is_interlaced=True, field_order="tt", width=720, height=576,
                                   sample_aspect_ratio=F(16, 15), fps_avg=F(25), fps_nominal=F(25),
                                   bitrate_bps=5_000_000),
                             audio(codec="mp2"), container="mpegts", is_faststart=None)),
    "interlaced-and-turned": case(media(video(is_interlaced=True, field_order="tt", rotation_deg=90), audio())),
    "all-streams": case(
        media(video(), video(index=1, width=320, height=180),
              audio(index=2), audio(index=3, codec="ac3", channels=6, bitrate_bps=448_000),
              audio(index=4, codec=None, decodes=False), subtitle(index=5), subtitle(index=6, codec="ass"),
              subtitle(index=7, codec="hdmv_pgs_subtitle", is_text=False), other(index=8),
              other(index=9, kind="attached_picture", codec="mjpeg"), other(index=10, kind="attachment", codec="ttf"),
              chapters=(Chapter(start_s=0, end_s=5, title="One"), Chapter(start_s=5, end_s=10, title="Two")))
    ),
    "surround-to-stereo": case(media(video(), audio(codec="dts", channels=6, bitrate_bps=1_500_000)),
                               Request(audio_channels="stereo")),
    "audio-with-a-cut-is-encoded": case(
        media(video(), audio(edits=(Edit(duration_s=4.0, media_time_s=2.5),)))
    ),
    "audio-96k-pcm": case(media(video(), audio(codec="pcm_s24le", sample_rate_hz=96_000, bitrate_bps=4_608_000))),
    "title-date-place": case(media(title="Holiday: -y ; rm", creation_time="2024-01-24T14:50:14Z",
                                   location="+37.7450-122.4301+066.374/")),
    "no-audio": case(media(video())),
    "audio-only": case(media(audio())),
    "nothing-decodable": case(
        media(video(decodes=False, codec="vvc"), unknown={"video.0.decodes": "no decoder for vvc"})
    ),
    "no-streams": case(media(other(index=0))),
    "above-size-limit": case(media(size_bytes=1_500_000_000)),
    "already-tiny-h264-copied": case(
        media(video(bitrate_bps=16_000, size_bytes=725_000, **LONG), audio(duration_s=600.0), size_bytes=816_000,
              duration_s=600.0)
    ),
    "already-tiny-vp9-kept": case(
        media(video(codec="vp9", bitrate_bps=5_000, size_bytes=400_000, **LONG), container="matroska,webm",
              size_bytes=500_000, duration_s=600.0)
    ),
    "already-tiny-but-encode-insisted": case(
        media(video(bitrate_bps=16_000, size_bytes=725_000, **LONG), size_bytes=816_000), Request(always_encode=True)
    ),
    "doubtful-before-samples": case(media(video(bitrate_bps=1_500_000, size_bytes=112_500_000, **LONG),
                                          size_bytes=122_000_000, duration_s=600.0)),
    "doubtful-samples-say-yes": case(
        media(video(bitrate_bps=1_500_000, size_bytes=112_500_000, **LONG), size_bytes=122_000_000, duration_s=600.0),
        samples=SampleFacts(windows=3, seconds=12.0, encoded_bytes_per_s=60_000)
    ),
    "doubtful-samples-say-no": case(
        media(video(bitrate_bps=1_500_000, size_bytes=112_500_000, **LONG), size_bytes=122_000_000, duration_s=600.0),
        samples=SampleFacts(windows=3, seconds=12.0, encoded_bytes_per_s=190_000)
    ),
    "long-and-still-searches-less": case(
        media(video(bitrate_bps=8_000_000, size_bytes=600_000_000, **LONG), size_bytes=610_000_000, duration_s=600.0),
        samples=SampleFacts(windows=3, seconds=0.8, encoded_bytes_per_s=None, p_skip=0.61)
    ),
    "long-and-moving-searches-more": case(
        media(video(bitrate_bps=8_000_000, size_bytes=600_000_000, **LONG), size_bytes=610_000_000, duration_s=600.0),
        samples=SampleFacts(windows=3, seconds=0.8, encoded_bytes_per_s=None, p_skip=0.49)
    ),
    "too-small-for-av1": case(media(video(width=48, height=32)), Request(codec="av1")),
    "hardware-required": case(media(), Request(hardware="require")),
    "no-ffmpeg": case(media(), machine=host(ffmpeg()).__class__(ffmpegs=(), gpus=(), cores=2, memory_mb=None)),
    "build-without-zscale-is-passed-over": case(
        media(video(**TEN_BIT, colour=HLG), audio()),
        machine=host(ffmpeg(filters=frozenset({"scale", "format", "setsar", "setparams"})),
                     ffmpeg(path="/usr/bin/ffmpeg", origin="path", version="5.1.9", major=5)),
    ),
}  # fmt: skip

# Which rung comes first is decided by facts of the input, of the GPU and of the FFmpeg that works there.
GPU_CASES: dict[str, Case] = {
    "all-on-the-gpu": on_gpu(),
    "hevc": on_gpu(request=Request(codec="hevc")),
    "av1": on_gpu(request=Request(codec="av1")),
    "quality-asked": on_gpu(request=Request(crf=19.5, preset="slow")),
    "rotated-90": on_gpu(media(video(rotation_deg=90), audio())),
    "cropped-by-the-container": on_gpu(media(video(crop=CUT, display_width=1680, display_height=1072), audio())),
    "cut-at-the-left-by-the-bitstream": on_gpu(media(video(is_cut_left_or_top=True), audio())),
    "mirrored": on_gpu(media(video(mirrored=True), audio())),
    "interlaced": on_gpu(media(video(is_interlaced=True, field_order="tt"), audio())),
    "hlg-tonemapped": on_gpu(media(video(**TEN_BIT, colour=HLG), audio())),
    "hdr10-kept-hevc": on_gpu(media(video(**TEN_BIT, colour=HDR10), audio()), Request(codec="hevc", hdr="keep")),
    "hdr10-kept-av1": on_gpu(media(video(**TEN_BIT, colour=HDR10), audio()), Request(codec="av1", hdr="keep")),
    "hdr10-kept-only-5.1-encodes": on_gpu(media(video(**TEN_BIT, colour=HDR10), audio()),
                                          Request(codec="hevc", hdr="keep"), gpu_host(gpu_l4())),
    "h264-10bit": on_gpu(media(video(pix_fmt="yuv420p10le", bit_depth=10, profile="High 10"), audio())),
    "h264-422": on_gpu(media(video(pix_fmt="yuv422p", chroma="422", profile="High 4:2:2"), audio())),
    "hevc-10bit-sdr": on_gpu(media(video(**TEN_BIT), audio())),
    "full-range": on_gpu(media(video(pix_fmt="yuvj420p", colour=Colour(range="full", matrix="smpte170m")), audio())),
    "tagged-bt709": on_gpu(media(video(colour=Colour(range="limited", primaries="bt709", transfer="bt709",
                                                     matrix="bt709")), audio())),
    "untagged-hd-made-small-says-bt709": on_gpu(request=Request(max_width=640, max_height=360)),
    "text-subtitles": on_gpu(media(video(), audio(), subtitle(index=2))),
    "anamorphic": on_gpu(media(video(width=720, height=576, sample_aspect_ratio=F(64, 45)), audio())),
    "odd-size": on_gpu(media(video(width=641, height=361, bitrate_bps=6_000_000), audio())),
    "changes-size": on_gpu(media(video(changes_size=True), audio())),
    "tiny-source": on_gpu(media(video(width=48, height=48), audio()), Request(always_encode=True)),
    "output-below-nvencs-least": on_gpu(media(video(width=176, height=144, bitrate_bps=900_000), audio())),
    "source-above-nvdecs-most": on_gpu(media(video(codec="hevc", width=8704, height=4352), audio())),
    "h264-wider-than-4096": on_gpu(media(video(width=5120, height=2160), audio()), Request(**BOX_OF_SOURCE)),
    "hevc-wider-than-4096": on_gpu(media(video(width=5120, height=2160), audio()),
                                   Request(codec="hevc", **BOX_OF_SOURCE)),
    "codec-nvdec-lacks": on_gpu(media(video(codec="prores", bitrate_bps=90_000_000), audio())),
    "fps-60-to-30": on_gpu(media(video(fps_avg=F(60), fps_nominal=F(60), fps_peak=60.0, frames=600), audio())),
    "fps-40-capped-unevenly": on_gpu(media(video(fps_avg=F(40), fps_nominal=F(40), fps_peak=40.0, frames=400),
                                           audio())),
    "vfr-kept": on_gpu(media(video(is_vfr=True, fps_avg=F(299, 10), fps_peak=33.0, time_base=F(1, 600)), audio())),
    "mkv-milliseconds": on_gpu(media(video(time_base=F(1, 1000), fps_avg=F(24), fps_nominal=F(24)), audio(),
                                     container="matroska,webm")),
    "video-starts-after-sound": on_gpu(media(video(start_s=0.04), audio(start_s=0.0))),
    "audio-encoded-at-once": on_gpu(media(video(), audio(codec="mp3"))),
    **{f"preset-{name}": on_gpu(request=Request(gpu_preset=name)) for name in (
        "default", "slow", "hp", "hq", "bd", "ll", "llhq", "llhp", "p1", "p4", "p7")},
    "off": on_gpu(request=Request(hardware="off")),
    "required": on_gpu(request=Request(hardware="require")),
    "required-of-one-without-encoder": on_gpu(request=Request(hardware="require"), machine=gpu_host(gpu_h200())),
    "required-for-a-size-nvenc-refuses": on_gpu(media(video(width=176, height=144, bitrate_bps=900_000), audio()),
                                                Request(hardware="require")),
    "l4-driver-535-uses-5.1": on_gpu(machine=gpu_host(gpu_l4())),
    "l4-driver-535-4k-is-scaled-in-software": on_gpu(media(video(**UHD), audio()), machine=gpu_host(gpu_l4())),
    "l4-driver-535-rotated": on_gpu(media(video(rotation_deg=90), audio()), machine=gpu_host(gpu_l4())),
    "l4-driver-535-av1": on_gpu(request=Request(codec="av1"), machine=gpu_host(gpu_l4())),
    "t4-hevc-with-fewer-features": on_gpu(request=Request(codec="hevc"), machine=gpu_host(gpu_t4())),
    "t4-av1": on_gpu(request=Request(codec="av1"), machine=gpu_host(gpu_t4())),
    "h200-4k-hybrid-pays": on_gpu(media(video(**UHD), audio()), machine=gpu_host(gpu_h200())),
    "h200-1080p-hybrid-does-not-pay": on_gpu(machine=gpu_host(gpu_h200())),
    "h200-4k-rotated-nothing-for-a-gpu": on_gpu(media(video(**UHD, rotation_deg=90), audio()),
                                                machine=gpu_host(gpu_h200())),
    "h200-4k-hybrid-hevc": on_gpu(media(video(**UHD), audio()), Request(codec="hevc"), gpu_host(gpu_h200())),
    "two-alike": on_gpu(machine=gpu_host(gpu(), gpu(uuid="GPU-2", index=1))),
    "two-of-which-one-only-encodes": on_gpu(
        machine=gpu_host(gpu_without("h264", "scale_cuda", uuid="GPU-2", name="Fake A"), gpu(index=1))),
    "two-generations": on_gpu(machine=gpu_host(gpu_t4(), gpu(index=1))),
    "two-with-an-ffmpeg-each": on_gpu(machine=gpu_host(gpu_l4(uuid="GPU-L4"), gpu(index=1))),
    "busy": on_gpu(machine=gpu_host(gpu_busy())),
    "suspended": on_gpu(machine=gpu_host(gpu(suspended="left alone for 60 s more, after device_lost: gone"))),
    "one-suspended-of-two": on_gpu(machine=gpu_host(gpu(suspended="left alone"), gpu(uuid="GPU-2", index=1))),
    "works-with-both-ffmpegs": on_gpu(machine=gpu_host(gpu(paths=(*gpu_paths(NEW), *gpu_paths(OLD))))),
    "decodes-but-does-not-scale": on_gpu(machine=gpu_host(gpu_without("scale_cuda"))),
    "still-picture": on_gpu(
        media(video(bitrate_bps=8_000_000, size_bytes=600_000_000, **LONG), size_bytes=610_000_000, duration_s=600.0),
        samples=SampleFacts(windows=3, seconds=0.8, encoded_bytes_per_s=None, p_skip=0.61)),
    "working-build-without-zscale": on_gpu(
        media(video(**TEN_BIT, colour=HLG), audio()),
        machine=gpu_host(ffmpegs=(
            ffmpeg(filters=frozenset({"scale", "format", "setsar", "setparams"})),
            ffmpeg(path=OLD, origin="path", version="5.1.9", major=5)))),
}  # fmt: skip

CASES: dict[str, Case] = {**CPU_CASES, **{f"gpu-{name}": made for name, made in GPU_CASES.items()}}

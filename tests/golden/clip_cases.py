"""The golden cases of clips: an input, a machine, a wish and a framing each, named for what they prove."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec

from reelpress.clip_request import ClipRequest
from reelpress.facts.captions import Captions, Cue
from reelpress.facts.framing import Framing
from reelpress.facts.host import HostFacts
from reelpress.facts.loudness import Loudness
from reelpress.facts.media import MediaFacts
from reelpress.plan.clip import plan_clip
from reelpress.plan.clip_sound import level_for
from reelpress.plan.model import Plan

from cases import HLG, TEN_BIT
from clip_work import framed, middle, shot, window
from factories import FILTERS, audio, ffmpeg, gpu, gpu_host, host, media, video

CLIP_FILTERS = FILTERS | {
    "alimiter", "ass", "framestep", "gblur", "lutyuv", "overlay", "perspective", "tpad", "vstack",
}  # fmt: skip
CPU = host(ffmpeg(filters=CLIP_FILTERS))
LONG = {"duration_s": 600.0, "frames": 18_000}
QUIET = Loudness(integrated_lufs=-24.0, true_peak_dbtp=-14.0)
PEAKS = Loudness(integrated_lufs=-24.0, true_peak_dbtp=-3.0)

ClipCase = tuple[MediaFacts, HostFacts, ClipRequest, Framing, Loudness | None]


def case(
    facts: MediaFacts, framing: Framing | None = None, machine: HostFacts = CPU, sound: Loudness | None = QUIET,
    **wishes: Any,
) -> ClipCase:  # fmt: skip
    request = ClipRequest(**{"start_s": 12.0, "end_s": 17.0, **wishes})
    return facts, machine, request, framing or middle(request.start_s, request.end_s), sound


def planned(
    facts: MediaFacts, machine: HostFacts, request: ClipRequest, framing: Framing, sound: Loudness | None
) -> Plan:
    return plan_clip(facts, machine, request, framing, level=level_for(request, sound))


def _gpus() -> HostFacts:
    machine = gpu_host(gpu())
    builds = tuple(msgspec.structs.replace(f, filters=f.filters | CLIP_FILTERS) for f in machine.ffmpegs)
    return gpu_host(gpu(), ffmpegs=builds)


PAN = window((12.0, 0.3, 0.5), (13.0, 0.3, 0.5), (15.0, 0.6, 0.5), (17.0, 0.6, 0.5))
TALK = media(video(**LONG), audio(duration_s=600.0))

CLIP_CASES: dict[str, ClipCase] = {
    "clip_still": case(TALK),
    "clip_named_loud": case(TALK, name="A 'clip', with: marks", sound=PEAKS),
    "clip_shots": case(
        TALK,
        framed(
            shot(10, 13, "still", window((10, 0.2, 0.5))),
            shot(13, 14, "still", window((13, 0.7, 0.5))),
            shot(14, 15, "track", window((14, 0.2, 0.5), (15, 0.4, 0.5))),
            shot(15, 16, "fit"),
            shot(16, 20, "split", window((16, 0.25, 0.5)), window((16, 0.75, 0.5))),
        ),
        captions=Captions(cues=(Cue(start_s=12.5, end_s=13.5, text="Hello"),)),
    ),
    "clip_track": case(TALK, framed(shot(12, 17, "track", PAN))),
    "clip_gpu": case(TALK, machine=_gpus()),
    "clip_gpu_crf": case(TALK, machine=_gpus(), crf=20.0, hardware="require"),
    "clip_gpu_rotated": case(media(video(rotation_deg=90, **LONG)), machine=_gpus()),
    "clip_hdr": case(media(video(colour=HLG, **TEN_BIT, **LONG), audio(duration_s=600.0))),
    "clip_15_fps": case(media(video(fps_avg=Fraction(15), fps_nominal=Fraction(15), **LONG))),
    "clip_120_fps": case(media(video(fps_avg=Fraction(120), fps_nominal=Fraction(120), **LONG))),
    "clip_variable": case(media(video(is_vfr=True, fps_avg=Fraction(2891, 100), fps_peak=30.2, **LONG))),
    "clip_interlaced": case(media(video(is_interlaced=True, field_order="tt", **LONG))),
    "clip_mpeg_ts": case(media(video(start_s=1.48, keyframes=300, **LONG), container="mpegts", start_s=1.4)),
    "clip_no_sound": case(media(video(**LONG))),
    "clip_silent": case(TALK, sound=Loudness(integrated_lufs=None, true_peak_dbtp=None)),
    "clip_at_the_end": case(media(video(duration_s=17.3, frames=519)), end_s=17.6),
    "clip_outside": case(media(video(duration_s=10.0))),
    "clip_too_short": case(TALK, end_s=12.1),
    "clip_backwards": case(TALK, end_s=11.0),
    "clip_odd_size": case(TALK, width=1081),
    "clip_no_framing": case(TALK, framed()),
    "clip_sound_only": case(media(audio())),
}

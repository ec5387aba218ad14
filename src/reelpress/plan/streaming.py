"""One FFmpeg for all rungs of a ladder: one decode, an encode each, cut into fragments at the same keyframes. Pure.

Segments are made by FFmpeg's DASH muxer. Manifests are written from what they turned out to be
(:mod:`reelpress.plan.hls`, :mod:`reelpress.plan.dash`): its own name mean rates where the standards ask for peaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import msgspec

from reelpress.facts.media import AudioTrack, MediaFacts
from reelpress.facts.values import Value
from reelpress.plan.colour import players_guess
from reelpress.plan.ladder import end_args
from reelpress.plan.model import OUTPUT, Attempt, Encode, Reason
from reelpress.plan.rungs import Rung

SEGMENT_S = 4.0
MPD = "manifest.mpd"
MASTER = "master.m3u8"
# Two renditions of the sound: the better one goes with the upper half of the rungs.
AUDIO_BPS = (128_000, 64_000)
# Fragments tell when a track begins by an edit list alone, which players do not heed: each track begins with the
# programme. Sound is silent until it begins; where pictures begin later, the first is shown until then.
SOUND_FROM_ZERO = "aresample=48000:async=1:first_pts=0"
# Keyframes come where they are forced and nowhere else: every rung is cut at the same pictures.
GOP = "scenecut=0:keyint=infinite:open-gop=0"


class Sound(Value, frozen=True, kw_only=True):
    """One rendition of the sound; all are of one track."""

    track: int
    bitrate_bps: int
    channels: int


class Streams(Value, frozen=True, kw_only=True):
    """What one ladder is made of. Representations are numbered: video first, then sound."""

    rungs: tuple[Rung, ...]
    sounds: tuple[Sound, ...]
    segment_s: float
    fps: Fraction | None
    lead_s: float = 0.0  # how much later than the programme the pictures begin
    still_until_s: float | None = None  # from the first picture shown, where the last one stays for longer than others
    lead_frames: int = 0  # times that the first of them is shown before, so that no frame is seconds long

    def sound_of(self, rung: int) -> int | None:
        """Return the representation of the sound that goes with a rung; ``None`` without sound."""
        if not self.sounds:
            return None
        upper = rung < (len(self.rungs) + 1) // 2
        return len(self.rungs) + (0 if upper else len(self.sounds) - 1)


def streams(
    media: MediaFacts, rungs: Sequence[Rung], fps: Fraction | None, *, segment_s: float = SEGMENT_S
) -> tuple[Streams, tuple[Reason, ...]]:
    """Return the streams of a ladder, and what was left out."""
    track = media.main_audio
    sounds = () if track is None else _sounds(track)
    reasons = []
    others = len(media.audio) - (track is not None) + len(media.subtitles)
    if others > 0:
        text = f"A ladder holds one sound and no subtitles: {others} other streams are left out."
        reasons.append(Reason(code="streams_left_out", text=text, fact=str(others)))
    lead_s = _lead_s(media)
    lead_frames = round(lead_s * fps) if fps is not None else 0
    if lead_frames:
        text = f"Pictures begin {lead_s:.2f} s after the sound: the first one is shown until then."
        reasons.append(Reason(code="first_picture_held", text=text, fact=f"{lead_s:.3f} s"))
    video = media.main_video
    until_s = None if video is None else video.still_until_s
    made = Streams(
        rungs=tuple(rungs), sounds=sounds, segment_s=segment_s, fps=fps, lead_s=lead_s, lead_frames=lead_frames,
        still_until_s=None if until_s is None else lead_s + until_s,
    )  # fmt: skip
    return made, tuple(reasons)


def _lead_s(media: MediaFacts) -> float:
    track = media.main_video
    if track is None or track.start_s is None or media.start_s is None:
        return 0.0
    return max(0.0, track.start_s - media.start_s)


def _from_zero(parts: Streams) -> str:
    """Return the filters that have pictures begin with the programme; what was shown at a time still is."""
    held = parts.lead_frames
    if not held:
        return "setpts=if(eq(N\\,0)\\,0\\,PTS)"
    lead = f"{parts.lead_s:.6f}"
    before = f"N*{lead}/{held}/TB"
    after = f"if(eq(N\\,{held})\\,{lead}/TB\\,PREV_OUTPTS+PTS-PREV_INPTS)"
    return f"setpts=PTS-STARTPTS,tpad=start={held}:start_mode=clone,setpts=if(lt(N\\,{held})\\,{before}\\,{after})"


def _sounds(track: AudioTrack) -> tuple[Sound, ...]:
    channels = min(track.channels or 2, 2)
    rates = AUDIO_BPS if channels == 2 else tuple(rate // 2 for rate in AUDIO_BPS)
    return tuple(Sound(track=track.index, bitrate_bps=rate, channels=channels) for rate in rates)


def ladder_attempt(attempt: Attempt, encodes: Sequence[Encode], parts: Streams) -> Attempt:
    """Return the one command that makes all rungs.

    ``attempt`` is how the top rung alone would be made; ``encodes`` are plans of the same with each rung's CRF.
    """
    args, count = attempt.args, len(parts.rungs)
    first_map = args.index("-map")
    filters = f"{args[args.index('-filter:v:0') + 1]}{_stated(encodes[0])},{_from_zero(parts)}"
    source = args[first_map + 1]
    splits = "".join(f"[s{i}]" for i in range(count))
    chains = [f"[{source}]{filters},split={count}{splits}"]
    top = (encodes[0].expect.width, encodes[0].expect.height)
    for i, rung in enumerate(parts.rungs):
        same = (rung.width, rung.height) == top
        chains.append(f"[s{i}]{'null' if same else f'scale=w={rung.width}:h={rung.height},setsar=1'}[v{i}]")
    if parts.sounds:
        # a graph for each rendition of the same sound lets FFmpeg 9 stand still, now and then, for good
        ends = "".join(f"[a{i}]" for i in range(len(parts.sounds)))
        chains.append(f"[0:{parts.sounds[0].track}]{SOUND_FROM_ZERO},asplit={len(parts.sounds)}{ends}")
    clock = args[args.index("-enc_time_base:v:0") + 1]
    outs: list[str] = []
    for i in range(count):
        outs += ["-map", f"[v{i}]"]
    for i in range(len(parts.sounds)):
        outs += ["-map", f"[a{i}]"]
    for i, (rung, decided) in enumerate(zip(parts.rungs, encodes, strict=True)):
        outs += [
            *_options(decided.attempts[0].args, i),
            f"-maxrate:v:{i}", str(rung.max_rate_bps), f"-bufsize:v:{i}", str(rung.buffer_bits),
            f"-force_key_frames:v:{i}", _keyframes(parts.segment_s),
            f"-fps_mode:v:{i}", "vfr", f"-enc_time_base:v:{i}", clock, *end_args(parts.still_until_s, i),
        ]  # fmt: skip
    for i, sound in enumerate(parts.sounds):
        outs += [f"-c:a:{i}", "aac", f"-b:a:{i}", str(sound.bitrate_bps), f"-ac:a:{i}", str(sound.channels)]
    # Shorter than the distance of keyframes, so that a segment ends with each of them and never without one; sound is
    # cut at its own packets, the first that begin after so long. The muxer takes sizes of one exact shape alone into a
    # set, which 1920x1080 and 852x480 are not: each stream has its own, and its MPD is not kept.
    lengths = [parts.segment_s * 0.75] * count + [parts.segment_s] * len(parts.sounds)
    sets = " ".join(f"id={i},seg_duration={length:g},streams={i}" for i, length in enumerate(lengths))
    return msgspec.structs.replace(
        attempt,
        why=f"{count} rung{'' if count == 1 else 's'} by {attempt.why}",
        falls_back_on=(),
        args=(
            *args[:first_map], "-filter_complex", ";".join(chains), *outs,
            "-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-sn", "-max_muxing_queue_size", "4096",
            "-f", "dash", "-use_template", "1", "-use_timeline", "1",
            "-adaptation_sets", sets, "-init_seg_name", "init-$RepresentationID$.mp4",
            "-media_seg_name", "seg-$RepresentationID$-$Number%05d$.m4s", OUTPUT,
        ),
    )  # fmt: skip


def _keyframes(segment_s: float) -> str:
    """Return when keyframes are forced: at the first picture, wherever it is, and when so long has gone by since."""
    return f"expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+{segment_s - 0.001:g}))"


def _options(args: Sequence[str], place: int) -> list[str]:
    """Return an encoder's options for the stream at ``place``, with keyframes where they are forced alone."""
    given = list(args[args.index("-c:v:0") : args.index("-fps_mode:v:0")])
    if "-x264-params:v:0" in given:
        at = given.index("-x264-params:v:0") + 1
        given[at] = f"{given[at]}:{GOP}"
    else:
        given += ["-x264-params:v:0", GOP]
    return [f"{token[:-1]}{place}" if token.startswith("-") and token.endswith(":v:0") else token for token in given]


def _stated(top: Encode) -> str:
    """Return a filter that names the colours, where the source does not and its rungs would be guessed unlike."""
    expect = top.expect
    if expect.colour_matrix is not None or players_guess(expect.width, expect.height) != "bt709":
        return ""
    return ",setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709"

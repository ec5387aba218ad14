"""``reelpress probe`` and ``reelpress plan``: look and explain, write nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from reelpress.api import policy_from
from reelpress.cli.compress import settings_and_request
from reelpress.cli.render import human_bytes, human_time, print_rows
from reelpress.engine import facts_and_plan
from reelpress.errors import ExitCode
from reelpress.events import Planned, Probed
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.facts.values import to_json
from reelpress.plan.model import Copy, Encode, Plan, Reject
from reelpress.probe.host import probe_host
from reelpress.probe.media import named, probe


def run_probe(file: Path, *, as_json: bool) -> int:
    """Print the facts of a file."""
    with named(file):
        facts = probe(file)
    if as_json:
        _write(Probed(job="", input=str(file), facts=facts))
    else:
        print_rows([("file", str(file)), *facts_rows(facts)], sys.stdout)
    return int(ExitCode.DONE)


def run_plan(
    file: Path,
    flags: Mapping[str, str | None],
    *,
    max_size: str | None,
    hardware: str | None,
    always_encode: bool,
    as_json: bool,
) -> int:
    """Print what compress would do; the exit code is the one a refusal would have."""
    settings, request = settings_and_request(flags, max_size=max_size, hardware=hardware, always_encode=always_encode)
    host = probe_host(ffmpeg=settings.ffmpeg, cache_dir=settings.cache_path)
    with named(file):
        facts, decided = facts_and_plan(file, host=host, request=request, policy=policy_from(settings))
    if as_json:
        _write(Planned(job="", input=str(file), plan=decided))
    else:
        print_rows([("file", str(file)), *_plan_rows(facts, decided)], sys.stdout)
    if not isinstance(decided, Reject):
        return int(ExitCode.DONE)
    codes = {"hardware_absent": ExitCode.HARDWARE_ABSENT, "usage": ExitCode.USAGE}
    return int(codes.get(decided.code, ExitCode.INPUT_UNUSABLE))


def _write(event: Probed | Planned) -> None:
    sys.stdout.write(to_json(event).decode() + "\n")
    sys.stdout.flush()


def facts_rows(facts: MediaFacts) -> list[tuple[str, str]]:
    """Return what is known of a file as rows of a label and a text."""
    length = human_time(facts.duration_s) if facts.duration_s is not None else "unknown duration"
    starts = f", starts at {facts.start_s:.3f} s" if facts.start_s else ""
    rows = [("container", f"{facts.container}, {human_bytes(facts.size_bytes)}, {length}{starts}")]
    for track in facts.video:
        rows += _video_rows(track)
    for sound in facts.audio:
        rate = f", {sound.bitrate_bps // 1000} kb/s" if sound.bitrate_bps else ""
        start = f", starts at {sound.start_s:.3f} s" if sound.start_s is not None else ""
        name = sound.codec or "unknown codec"
        channels = f"{sound.channels} ch" if sound.channels else "unknown channels"
        hertz = f"{sound.sample_rate_hz} Hz" if sound.sample_rate_hz else "unknown rate"
        rows.append((f"#{sound.index} audio", f"{name}, {channels}, {hertz}{rate}{start}"))
    rows += [
        (f"#{s.index} subtitle", f"{s.codec or 'unknown codec'}{'' if s.is_text else ' (bitmap)'}")
        for s in facts.subtitles
    ]
    rows += [(f"#{o.index} {o.kind.replace('_', ' ')}", o.codec or "unknown") for o in facts.other]
    rows += [("chapters", str(len(facts.chapters)))] if facts.chapters else []
    named = (("title", facts.title), ("created", facts.creation_time), ("location", facts.location))
    rows += [(label, text) for label, text in named if text]
    rows += [("unknown" if n == 0 else "", f"{k}: {v}") for n, (k, v) in enumerate(facts.unknown.items())]
    rows += [("damage" if n == 0 else "", text) for n, text in enumerate(facts.damage)]
    return rows


def _video_rows(track: VideoTrack) -> list[tuple[str, str]]:
    label = f"#{track.index} video"
    shown = f"{track.display_width}x{track.display_height}"
    stored = f" (stored {track.width}x{track.height})" if shown != f"{track.width}x{track.height}" else ""
    turn = f", turned {track.rotation_deg} degrees" if track.rotation_deg else ""
    flip = ", mirrored" if track.mirrored else ""
    rows = [(label, f"{track.codec} {track.profile or ''} {shown}{stored} {track.pix_fmt}{turn}{flip}")]
    fps = f"{float(track.fps_avg):.5g} fps" if track.fps_avg else "unknown frame rate"
    vfr = " variable" if track.is_vfr else ""
    frames = f", {track.frames} frames" if track.frames is not None else ""
    rate = f", {track.bitrate_bps // 1000} kb/s" if track.bitrate_bps else ""
    rows.append(("", f"{fps}{vfr}{frames}{rate}{', interlaced' if track.is_interlaced else ''}"))
    colour = track.colour
    if any((colour.primaries, colour.transfer, colour.matrix, colour.range)):
        names = "/".join(v or "?" for v in (colour.primaries, colour.transfer, colour.matrix, colour.range))
        vision = f", Dolby Vision profile {colour.dolby_vision.profile or '?'}" if colour.dolby_vision else ""
        rows.append(("", f"{names}{' HDR' if colour.is_hdr else ''}{vision}"))
    return rows


def _plan_rows(facts: MediaFacts, decided: Plan) -> list[tuple[str, str]]:
    track = facts.main_video
    rows = []
    if track is not None:
        rows.append(("is", f"{track.codec} {track.display_width}x{track.display_height} {track.pix_fmt}"))
    words = {"Encode": "encode", "Copy": "copy into MP4", "Skip": "keep as it is", "Reject": "refuse"}
    rows.append(("plan", words[type(decided).__name__]))
    rows += [("why" if n == 0 else "", reason.text) for n, reason in enumerate(decided.reasons)]
    if isinstance(decided, Reject) and decided.hint:
        rows.append(("hint", decided.hint))
    if isinstance(decided, Encode | Copy):
        rows += [(f"#{s.index} {s.kind}", f"{s.action}: {s.reason}") for s in decided.streams]
        rows += [(f"attempt {n}", f"{a.why}") for n, a in enumerate(decided.attempts, start=1)]
        first = decided.attempts[0] if decided.attempts else None
        if first is not None:
            import shlex

            rows.append(("command", shlex.join((first.ffmpeg, *first.args))))
    return rows

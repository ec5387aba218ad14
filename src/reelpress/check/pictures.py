"""Compares pictures of an output with its source, in software: the proof that a GPU delivered what it was given.

NVDEC and NVENC can lose a rotation, a crop or whole pictures and exit with 0 all the same. Frames of an output are
held against those the source has around the same time, as the plan's software filters would have made them; the best
match counts, so that a frame's worth of difference in time does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from reelpress.facts.formats import OUR_MP4, QUIET, container_args
from reelpress.facts.media import MediaFacts, VideoTrack
from reelpress.plan.model import Expectation
from reelpress.plan.stretch_place import stretch_place
from reelpress.receipt import Gate, Verdict
from reelpress.run.process import CancelToken, Limits, run

PLACES = (0.03, 0.35, 0.65, 0.95)  # shares of the programme
AROUND_S = 0.2  # more where pictures are further apart than this
_REPEATS = 1000  # an end to it: FFmpeg 9 compares a frame that repeats for ever with nothing for ever
# Small, since what an encoder does to detail is not the question. The worse of brightness and colours counts.
SMALL = "scale=160:90:flags=area,format=yuv420p,settb=1/25,setpts=N"
# What is still right, by how coarse an encode was asked for (see :func:`min_db`). Measured with x264 at four places
# of each of ten real clips (benchmarks/picture_check.py): right pictures have 40.5 dB and more at CRF 23, 28.8 at CRF
# 36 and 23.4 at CRF 51, where the limits are 30, 25.1 and 20. Memory of zeros and lost colours never pass, half a
# picture once (black, CRF 51); turned, shifted and garbled pictures only where the right one is black or plain. A
# picture of a second before passes where little moves: in a quarter of the places at CRF 23, in more than half at CRF
# 51.
LARGEST_DB, LEAST_DB = 30.0, 20.0
_COARSE_FROM, _DB_PER_SHARE = 0.5, 24.0
_SHOWN_AT = re.compile(r"^\[Parsed_showinfo_0 @ 0x[0-9a-f]+\] n: +0 pts: *-?[0-9]+ pts_time:(-?[0-9.]+)", re.MULTILINE)
_PLANES = re.compile(r"psnr_y:([0-9.]+|inf) psnr_u:([0-9.]+|inf) psnr_v:([0-9.]+|inf)")


def min_db(coarseness: float) -> float:
    """Return the PSNR in dB that a right picture has, for a CRF given as a share of its scale."""
    return max(LEAST_DB, LARGEST_DB - _DB_PER_SHARE * max(0.0, coarseness - _COARSE_FROM))


def compare_pictures(
    ffmpeg: str,
    source: Path,
    source_facts: MediaFacts,
    output: Path,
    output_facts: MediaFacts,
    expect: Expectation,
    *,
    coarseness: float,
    cancel: CancelToken | None,
    spend: Callable[[float], None],
) -> Gate:
    """Return the gate ``pictures``; ``unmeasured`` where FFmpeg could not compare.

    ``coarseness`` is the CRF that was asked for as a share of its scale: the coarser, the less is still right.
    """
    track, made = source_facts.main_video, output_facts.main_video
    duration_s = expect.duration_s
    least_db = min_db(coarseness)
    filters = expect.picture_filters
    if track is None or made is None or duration_s is None or filters is None:
        return pictures_gate((), places=len(PLACES), least_db=least_db, spend=spend)
    frame_s = duration_s / (made.frames or 1)
    around_s = max(AROUND_S, 1.5 * frame_s)
    shares = PLACES if duration_s > 1 else PLACES[1:2]
    # a picture has to begin after it
    times_s = (max(0.0, min(duration_s * share, duration_s - 1.5 * frame_s)) for share in shares)
    pair = (source, source_facts, track), (output, made)

    def matches() -> Iterator[tuple[float, float | None, float]]:
        for wished_s in times_s:
            at_s, looked_s = _next_picture(ffmpeg, output, made, wished_s, cancel) if made.is_vfr else (wished_s, 0.0)
            best, cpu_s = best_match(ffmpeg, *pair, filters, (at_s, around_s), cancel)
            yield at_s, best, looked_s + cpu_s

    return pictures_gate(matches(), places=len(shares), least_db=least_db, spend=spend)


def _next_picture(
    ffmpeg: str, output: Path, track: VideoTrack, at_s: float, cancel: CancelToken | None
) -> tuple[float, float]:
    """Return when the first picture from ``at_s`` on begins, and the CPU seconds; ``at_s`` itself where none does.

    Where pictures come as they please the next one may be far: the source has to be looked at where that is.
    """
    done = run(
        (
            ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", *OUR_MP4, "-copyts",
            *_seek(track, at_s), "-i", f"file:{output}", "-map", "0:v:0", "-vf", "showinfo", "-frames:v", "1",
            "-f", "null", "-",
        ),
        limits=Limits(wall_s=120), cancel=cancel,
    )  # fmt: skip
    # the last one: what a file says of itself is printed before
    found = _SHOWN_AT.findall(done.stderr_tail) if done.returncode == 0 else []
    return (max(at_s, float(found[-1]) - (track.start_s or 0.0)) if found else at_s), done.cpu_s


def pictures_gate(
    matches: Iterable[tuple[float, float | None, float]], *, places: int, least_db: float,
    spend: Callable[[float], None],
) -> Gate:  # fmt: skip
    """Return the gate ``pictures`` of the worst of several places; ``unmeasured`` where none could be compared.

    Each is the time in seconds, the best PSNR in dB there, and the CPU seconds that it took, which ``spend`` is told.
    """
    wanted = f"at least {least_db:.1f} dB at {places} place{'' if places == 1 else 's'}"
    worst: tuple[float, float] | None = None
    missed: list[str] = []
    for at_s, best, cpu_s in matches:
        spend(cpu_s)
        if best is None:
            missed.append(f"{at_s:.1f} s")
        else:
            worst = min(worst, (best, at_s)) if worst is not None else (best, at_s)
    why = f"Frames at {', '.join(missed)} could not be compared." if missed else ""
    if worst is None:
        text = why or "No places known."
        return Gate(name="pictures", verdict="unmeasured", expected=wanted, measured="unknown", text=text)
    measured = f"{worst[0]:.1f} dB at {worst[1]:.1f} s"
    verdict: Verdict = "passed" if worst[0] >= least_db else "failed"
    return Gate(
        name="pictures",
        verdict=verdict,
        expected=wanted,
        measured=measured,
        text=f"Compared in software. {why}".rstrip(),
    )


def best_match(
    ffmpeg: str, source: tuple[Path, MediaFacts, VideoTrack], output: tuple[Path, VideoTrack], filters: str,
    when: tuple[float, float], cancel: CancelToken | None,
) -> tuple[float | None, float]:  # fmt: skip
    """Return the best PSNR in dB of one output frame against the source's around it, and the CPU seconds it took.

    ``when`` is the time, and how far around it to look. It counts from the first picture of each: a file's time 0 may
    be that of sound, or of what does not decode.
    """
    at_s, around_s = when
    path, facts, track = source
    made, made_track = output
    place = stretch_place(facts, track, max(0.0, at_s - around_s), 2 * around_s)
    graph = (
        f"[0:{track.index}]{','.join(place.filters)},{filters},{SMALL}[wanted];"
        f"[1:v:0]trim=end_frame=1,loop=loop={_REPEATS}:size=1,{SMALL}[made]"
    )
    inputs = (
        "-protocol_whitelist", "file", *container_args(facts.container), *place.seek_args, "-i", f"file:{path}",
        *OUR_MP4, *_seek(made_track, at_s), "-i", f"file:{made}",
    )  # fmt: skip
    return best_psnr(ffmpeg, inputs, graph, wall_s=120, cancel=cancel)


def best_psnr(
    ffmpeg: str, inputs: Sequence[str], graph: str, *, wall_s: float, cancel: CancelToken | None
) -> tuple[float | None, float]:
    """Return the best PSNR in dB of the frames ``[made]`` of a graph against ``[wanted]``, and the CPU seconds.

    The PSNR of two frames is that of their worst plane, or a small part of the picture could hide lost colours.
    """
    done = run(
        (
            ffmpeg, *QUIET, *inputs,
            "-filter_complex", f"{graph};[wanted][made]psnr=shortest=1:stats_file=-[same]",
            "-map", "[same]", "-f", "null", "-",
        ),
        limits=Limits(wall_s=wall_s), cancel=cancel,
    )  # fmt: skip
    found = [min(map(float, planes)) for planes in _PLANES.findall(done.stdout.decode(errors="replace"))]
    return (max(found) if done.returncode == 0 and found else None), done.cpu_s


def _seek(track: VideoTrack, at_s: float) -> tuple[str, ...]:
    """Return the options that have an input begin this long after the track's first picture."""
    return ("-seek_timestamp", "1", "-ss", f"{(track.start_s or 0.0) + at_s:.3f}")

"""Checks a ladder as it lies on disk: playlists against segments, rungs against each other, and every rung decoded."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from reelpress.facts.formats import QUIET
from reelpress.facts.values import Value
from reelpress.plan.hls import Representation, media_name
from reelpress.plan.streaming import MASTER, MPD, Streams
from reelpress.receipt import Gate
from reelpress.run.process import CancelToken, Limits, run
from reelpress.run.progress import ProgressParser

NAMES = re.compile(r"manifest\.mpd|master\.m3u8|media-[0-9]+\.m3u8|init-[0-9]+\.mp4|seg-[0-9]+-[0-9]+\.m4s")
SOUND_TOLERANCE_S = 0.25


class MediaPlaylist(Value, frozen=True, kw_only=True):
    """A media playlist as it was read."""

    target_s: int
    initial: str
    names: tuple[str, ...]
    durations_s: tuple[float, ...]
    ends: bool


class Variant(Value, frozen=True, kw_only=True):
    """One variant of a master playlist."""

    uri: str
    bandwidth_bps: int
    average_bps: int
    codecs: str
    resolution: str
    audio: str | None


def is_ours(name: str) -> bool:
    """Tell whether a file of this name may be part of a ladder."""
    return NAMES.fullmatch(name) is not None


def read_media(text: str) -> MediaPlaylist:
    """Read a media playlist. Raises :class:`ValueError` where it is none, or lacks what RFC 8216 asks for."""
    lines = text.splitlines()
    if not lines or lines[0] != "#EXTM3U":
        raise ValueError("no playlist")
    told = dict(line[1:].split(":", 1) for line in lines if line.startswith("#EXT-X-") and ":" in line)
    initial = re.fullmatch(r'URI="([^"]+)"', told.get("EXT-X-MAP", ""))
    durations = [float(line[8:].rstrip(",")) for line in lines if line.startswith("#EXTINF:")]
    names = [line for line in lines if line and not line.startswith("#")]
    if initial is None or "EXT-X-TARGETDURATION" not in told or len(names) != len(durations):
        raise ValueError("a media playlist without its tags")
    return MediaPlaylist(
        target_s=int(told["EXT-X-TARGETDURATION"]), initial=initial[1], names=tuple(names),
        durations_s=tuple(durations), ends=lines[-1] == "#EXT-X-ENDLIST",
    )  # fmt: skip


def read_master(text: str) -> tuple[tuple[Variant, ...], dict[str, str]]:
    """Read a master playlist: its variants, and the playlist of each group of sounds. Raises :class:`ValueError`."""
    lines = text.splitlines()
    if not lines or lines[0] != "#EXTM3U" or "#EXT-X-INDEPENDENT-SEGMENTS" not in lines:
        raise ValueError("no master playlist of independent segments")
    groups: dict[str, str] = {}
    variants: list[Variant] = []
    for number, line in enumerate(lines):
        values = {k: v.strip('"') for k, v in re.findall(r'([A-Z-]+)=("[^"]*"|[^",]+)', line)}
        if line.startswith("#EXT-X-MEDIA:"):
            groups[values["GROUP-ID"]] = values["URI"]
        elif line.startswith("#EXT-X-STREAM-INF:"):
            variants.append(
                Variant(
                    uri=lines[number + 1], bandwidth_bps=int(values["BANDWIDTH"]),
                    average_bps=int(values["AVERAGE-BANDWIDTH"]), codecs=values["CODECS"],
                    resolution=values["RESOLUTION"], audio=values.get("AUDIO"),
                )
            )  # fmt: skip
    return tuple(variants), groups


def check_ladder(
    folder: Path,
    parts: Streams,
    tracks: Sequence[Representation],
    *,
    duration_s: float | None,
    frames: tuple[int, int] | None,
    sound_s: float | None = None,
    missing_s: tuple[float, float] = (0.0, 0.0),
) -> tuple[Gate, ...]:
    """Compare what lies in ``folder`` with what was planned, without decoding. Raises ``OSError``.

    ``tracks`` were read from the segments; ``frames`` is how many pictures the source gives at least and at most,
    ``duration_s`` and ``sound_s`` when its pictures and its sound end, from the start of the programme, where that is
    known, and ``missing_s`` by how much each may end earlier.
    """
    count = len(parts.rungs)
    videos, sounds = tracks[:count], tracks[count:]
    gates = [_files(folder, tracks), _aligned(videos), _rates(folder, parts, tracks)]
    shown = [sum(s.samples for s in v.segments) for v in videos]
    least, most = (None, None) if frames is None else (f + parts.lead_frames for f in frames)
    same = len(set(shown)) == 1 and (least is None or most is None or least <= shown[0] <= most)
    expected = f"{'as many' if least is None else least if least == most else f'{least} to {most}'} in each rung"
    gates.append(_gate("ladder_frames", same, expected, f"{sorted(set(shown))}", "Every rung has every picture."))
    lengths = [sum(t.durations_s) for t in sounds]
    of_video = sum(videos[0].durations_s)
    tolerance_s = max(0.1, 2 * of_video / max(1, shown[0]))
    whole = duration_s is None or -tolerance_s - missing_s[0] <= of_video - duration_s <= tolerance_s
    gates.append(
        _gate(
            "ladder_duration", whole, f"{duration_s or 0:.2f} s", f"{of_video:.2f} s", "Pictures end as in the source."
        )
    )
    if lengths:
        near = max(lengths) - min(lengths) <= SOUND_TOLERANCE_S
        off_s = 0.0 if sound_s is None else lengths[0] - sound_s
        near = near and -SOUND_TOLERANCE_S - missing_s[1] <= off_s <= SOUND_TOLERANCE_S
        told = ", ".join(f"{length:.2f} s" for length in lengths)
        wanted = "alike" if sound_s is None else f"{sound_s:.2f} s"
        gates.append(_gate("ladder_sound", near, wanted, told, "Both sounds end as in the source."))
    return tuple(gates)


def decode_ladder(
    ffmpeg: str, folder: Path, tracks: Sequence[Representation], *, cancel: CancelToken | None,
    spend: Callable[[float], None],
) -> Gate:  # fmt: skip
    """Play every playlist with the software decoder: all pictures, no complaint."""
    for track in tracks:
        parser, seen = ProgressParser(), [0]

        def on_line(line: str, parser: ProgressParser = parser, seen: list[int] = seen) -> None:
            progress = parser.feed(line)
            if progress is not None and progress.frames:
                seen.append(progress.frames)

        done = run(
            (
                ffmpeg, *QUIET, "-progress", "pipe:1",
                "-protocol_whitelist", "file", "-format_whitelist", "hls,mov,mp4", "-allowed_extensions", "ALL",
                "-i", f"file:{folder / media_name(track.number)}", "-map", "0", "-fps_mode", "passthrough",
                "-f", "null", "-",
            ),
            limits=Limits(wall_s=600 + 4 * sum(track.durations_s), stall_s=120), cancel=cancel, on_line=on_line,
        )  # fmt: skip
        spend(done.cpu_s)
        lines = [line for line in done.stderr_tail.splitlines() if line.strip() and not line.startswith("[null @")]
        expected = sum(s.samples for s in track.segments)
        short = track.codec.startswith("avc") and seen[-1] != expected
        if done.returncode != 0 or lines or short:
            said = lines[0] if lines else done.stop_reason or f"{seen[-1]} of {expected} pictures"
            return _gate(
                "ladder_decodes", False, "every playlist plays", f"{media_name(track.number)}: {said}", "It plays."
            )
    return _gate("ladder_decodes", True, "every playlist plays", f"{len(tracks)} play", "Every playlist plays.")


def _files(folder: Path, tracks: Sequence[Representation]) -> Gate:
    """Every file is in a playlist, and every name in a playlist is a file."""
    named = {MPD, MASTER}
    try:
        variants, groups = read_master((folder / MASTER).read_text())
        uris = [*(v.uri for v in variants), *groups.values()]
        late = []
        for uri in uris:
            playlist = read_media((folder / uri).read_text())
            named |= {uri, playlist.initial, *playlist.names}
            late += [uri for d in playlist.durations_s if int(d + 0.5) > playlist.target_s or not playlist.ends]
    except (ValueError, KeyError, OSError) as error:
        return _gate("ladder_files", False, "playlists that can be read", f"{error!r}", "All playlists read.")
    there = {path.name for path in folder.iterdir()}
    mpd = (folder / MPD).read_text()
    all_in_mpd = all(f'<Representation id="{t.number}"' in mpd and f'codecs="{t.codec}"' in mpd for t in tracks)
    wrong = sorted(there ^ named)
    right = not wrong and not late and all_in_mpd and len(uris) == len(tracks)
    measured = (
        f"{len(there)} files" if right else f"{[*wrong, *late][:5]} {'' if all_in_mpd else 'an MPD that differs'}"
    )
    return _gate(
        "ladder_files", right, f"{len(tracks)} playlists that name every file", measured.strip(),
        "Playlists name what is there, and nothing else.",
    )  # fmt: skip


def _aligned(videos: Sequence[Representation]) -> Gate:
    """All rungs are cut at the same pictures, each segment beginning with its only keyframe."""
    cuts = {tuple((s.start / v.timescale, s.duration / v.timescale) for s in v.segments) for v in videos}
    keys = [s for v in videos for s in v.segments if not s.starts_with_keyframe or s.keyframes != 1]
    right = len(cuts) == 1 and not keys
    measured = f"{len(cuts)} ways of cutting, {len(keys)} segments without one keyframe at their start"
    return _gate("ladder_aligned", right, "1 way, 0 such segments", measured, "All rungs change at the same pictures.")


def _rates(folder: Path, parts: Streams, tracks: Sequence[Representation]) -> Gate:
    """No segment takes more than its variant claims, nor all of them more than the average claimed."""
    try:
        variants, _ = read_master((folder / MASTER).read_text())
    except (ValueError, KeyError, OSError) as error:
        return _gate("ladder_rates", False, "rates that can be read", f"{error!r}", "Rates are claimed.")
    wrong = []
    for place, variant in enumerate(variants[: len(parts.rungs)]):
        number = parts.sound_of(place)
        with_it = (tracks[place], *(() if number is None else (tracks[number],)))
        codecs = ",".join(t.codec for t in with_it)
        too_little = variant.bandwidth_bps < sum(t.peak_bps for t in with_it)
        too_little = too_little or variant.average_bps < sum(t.average_bps for t in with_it)
        if too_little or variant.codecs != codecs:
            wrong.append(variant.uri)
    right = not wrong and len(variants) == len(parts.rungs)
    return _gate(
        "ladder_rates", right, "no segment above what is claimed", f"{len(wrong)} variants above: {wrong[:3]}",
        "Claimed rates and codecs are those of the segments.",
    )  # fmt: skip


def _gate(name: str, passed: bool, expected: str, measured: str, text: str) -> Gate:
    return Gate(name=name, verdict="passed" if passed else "failed", expected=expected, measured=measured, text=text)

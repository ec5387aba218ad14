"""``reelpress serve`` as a process, with the stand-in for the engine of clips; with an argument ``reelpress worker``.

Settings come from the environment.
"""

from __future__ import annotations

import faulthandler
import random
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from reelpress.jobs import clip_stages  # noqa: E402
from reelpress.service.server import serve, work  # noqa: E402
from reelpress.service_settings import load_service  # noqa: E402

from cutters import Cutter  # noqa: E402

faulthandler.enable()


def main() -> None:
    clip_stages.cut_clip = Cutter(
        fails=lambda request: "bad" in (request.name or "") and random.random() < 0.7, wait_s=0.05
    )  # fmt: skip
    settings = load_service(env_file=None)
    sys.exit(work(settings, health_port=None) if len(sys.argv) > 1 else serve(settings))


if __name__ == "__main__":
    main()

"""``python -m reelpress`` is the same as ``reelpress``: what takes longest to start is started first."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the program; the console script."""
    words = sys.argv[1:]
    if words[:1] == ["compress"] and len(words) > 1 and not {"-h", "--help"} & {*words}:
        from reelpress.cli.early import warm

        with warm():
            _run()
    else:
        _run()


def _run() -> None:
    from reelpress.cli.app import main as run

    run()


if __name__ == "__main__":
    main()

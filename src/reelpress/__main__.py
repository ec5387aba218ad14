"""``python -m reelpress`` is the same as ``reelpress``: what takes longest to start is started first."""

from __future__ import annotations

import gc
import sys

from reelpress.cli.streams import ready_streams


def main() -> None:
    """Run the program; the console script."""
    ready_streams()
    words = sys.argv[1:]
    if words[:1] == ["compress"] and len(words) > 1 and not {"-h", "--help"} & {*words}:
        from reelpress.probe.start import NURSERY, roots
        from reelpress.run.ahead import Ahead

        gc.disable()  # until all is imported: of that nothing is ever garbage
        # There are at least two looks, at the input and at the output, and importing what a look needs takes a tenth
        # of a second. Meanwhile this process imports the rest.
        try:
            ahead: Ahead | None = Ahead(NURSERY, roots())
        except OSError:  # it is started when it is needed, and what hinders it is told then
            ahead = None
        from reelpress.probe.media import for_many_files

        with for_many_files(ahead):
            _run()
    else:
        _run()


def _run() -> None:
    from reelpress.cli.app import main as run

    run()


if __name__ == "__main__":
    main()

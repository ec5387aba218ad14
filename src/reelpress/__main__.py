"""``python -m reelpress`` is the same as ``reelpress``."""

from reelpress.cli.app import main

main()

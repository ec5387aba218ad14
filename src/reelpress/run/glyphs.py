"""Letters that FFmpeg found in no font when it drew text. Pure."""

from __future__ import annotations

import re

from reelpress.run.log_lines import read_lines

# libass says so of every letter in every picture; at most 0x10FFFF
_NO_FONT = re.compile(
    r"fontselect: failed to find any fallback with glyph 0x(0?[0-9A-F]{1,5}|10[0-9A-F]{4}) for font: "
)


def not_drawn(stderr_tail: str) -> frozenset[str]:
    """Return the letters that were drawn as empty boxes, as far as the log still names them: of some, one at least."""
    found = (_NO_FONT.match(line.message) for line in read_lines(stderr_tail))
    return frozenset(chr(int(match[1], 16)) for match in found if match)

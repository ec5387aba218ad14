"""Which streams of a file a player would play."""

from __future__ import annotations

import factories


def test_the_main_sound_is_the_default_one_that_decodes_and_holds_packets() -> None:
    first, second = factories.audio(index=1, is_default=False), factories.audio(index=2)
    empty, broken = factories.audio(index=3, size_bytes=0), factories.audio(index=4, decodes=False)
    assert factories.media(first, second).main_audio == second
    assert factories.media(broken, empty, first).main_audio == first, "without a usable default the first counts"
    assert factories.media(broken, empty).main_audio is None
    assert factories.media(empty, scan_complete=False).main_audio == empty, "not all packets were looked for"

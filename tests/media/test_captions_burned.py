"""Captions are burned in by both FFmpegs, and looked at: where they stand, when they are on, what stands out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from reelpress.captions.ass import ass_document, filter_of, place
from reelpress.captions.editing import checked
from reelpress.captions.fonts import fonts_dir
from reelpress.facts.captions import CAPTION_STYLES, Captions, CaptionStyle, CaptionWord, Cue
from reelpress.facts.host import HostFacts

NASTY = (
    "So this is the part where everything changes, and nobody saw it coming.",
    r"{\pos(0,0)\an7\fs400}out {\clip(0,0,1,1)}of \N\n\h the {box\}",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "W" * 300,
    "far too much " * 38,
    "\n".join(f"line {n}" for n in range(60)),
    "Z" + "\u0301\u0302\u0306\u0308" * 40 + "algo \u202ereversed\u202c",
    "Съешь же ещё этих мягких французских булок",
    "Ậ Ệ Ổ Ự gjpqy ÅÄÖ |||| ____",
)  # fmt: skip

# These need other fonts of the machine; without them libass complains, and draws empty boxes.
FOREIGN = (
    "今天天气很好,我们一起去公园散步吧。然后吃饭。" * 3,
    "שלום עולם, זה כתוביות בעברית (test) 123",
    "مرحبا بالعالم، هذا نص عربي طويل قليلا",
)


def burn(
    host: HostFacts, folder: Path, document: str, *, size: tuple[int, int], rate: str, seconds: float,
    environment: dict[str, str] | None = None, allowed: tuple[str, ...] = (),
) -> np.ndarray:  # fmt: skip
    """Every frame of a black picture with captions, as RGB; FFmpeg must have nothing to say."""
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "captions.ass"
    written.write_text(document, encoding="utf-8")
    width, height = size
    command = [
        host.ffmpegs[0].path, "-nostdin", "-hide_banner", "-loglevel", "warning",
        "-f", "lavfi", "-i", f"color=black:size={width}x{height}:rate={rate}:duration={seconds}",
        "-vf", f"format=rgb24,{filter_of(written, fonts_dir())}", "-pix_fmt", "rgb24", "-f", "rawvideo", "-",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, timeout=120, check=False, env={**os.environ, **(environment or {})}
    )
    said = [line for line in done.stderr.decode().splitlines() if not line.endswith(allowed)]
    assert (done.returncode, said) == (0, [])
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


def one_after_another(texts: tuple[str, ...], style: CaptionStyle, each_s: float = 2.0) -> Captions:
    cues = tuple(Cue(start_s=n * each_s, end_s=(n + 1) * each_s, text=text[:500]) for n, text in enumerate(texts))
    return checked(Captions(cues=cues, style=style))


def extent(picture: np.ndarray) -> tuple[int, int, int, int]:
    """First and last column, first and last row in which something is bright."""
    bright = picture.max(axis=2) > 40
    columns, rows = np.flatnonzero(bright.any(axis=0)), np.flatnonzero(bright.any(axis=1))
    return int(columns[0]), int(columns[-1]), int(rows[0]), int(rows[-1])


def yellow(picture: np.ndarray) -> np.ndarray:
    """Columns in which something is yellow."""
    red, green, blue = (picture[:, :, n].astype(int) for n in range(3))
    return np.flatnonzero(((red > 180) & (green > 150) & (blue < 90)).any(axis=0))


@pytest.mark.media
@pytest.mark.parametrize(("size", "is_foreign"), [((540, 960), True), ((480, 480), False), ((640, 360), False)])
@pytest.mark.parametrize("style", CAPTION_STYLES)
def test_whatever_the_text_it_stays_inside_the_safe_box(
    host: HostFacts, tmp_path: Path, style: CaptionStyle, size: tuple[int, int], is_foreign: bool
) -> None:
    texts = (*NASTY, *FOREIGN) if is_foreign else NASTY
    captions = one_after_another(texts, style)
    width, height = size
    seconds = 2 * len(texts)
    document = ass_document(captions, start_s=0, end_s=seconds, width=width, height=height)
    allowed = (", 700, 0)",) if is_foreign else ()
    pictures = burn(host, tmp_path, document, size=size, rate="1", seconds=seconds, allowed=allowed)
    assert len(pictures) == seconds
    box = place(width, height)
    for number, picture in enumerate(pictures):
        left, right, top, bottom = extent(picture)
        text = texts[number // 2]
        # Were it cut off at the box's edge, it would touch it.
        assert (box.left < left, right < box.right - 1) == (True, True), text
        assert (box.top < top, bottom < box.bottom - 1) == (True, True), text
        assert abs((left + right) / 2 - width / 2) < 0.03 * width, text


@pytest.mark.media
def test_text_of_strangers_is_text(host: HostFacts, tmp_path: Path) -> None:
    texts = ("xx", r"{\alpha&HFF&}xx", r"x\Nx", r"x\h\nx", r"x\\N{\i1}x\}", "x{\\\u200bb1}x", "x{b1}x")
    document = ass_document(one_after_another(texts, "plain"), start_s=0, end_s=14, width=540, height=960)
    pictures = burn(host, tmp_path, document, size=(540, 960), rate="1/2", seconds=14)
    extents = [extent(picture) for picture in pictures]
    widths = [right - left for left, right, _, _ in extents]
    assert all(width > widths[0] * 1.3 for width in widths[1:]), "all of it is to be seen"
    assert all(bottom - top < 45 for _, _, top, bottom in extents), "on one line"


@pytest.mark.media
def test_captions_are_on_from_their_first_frame_to_their_last(host: HostFacts, tmp_path: Path) -> None:
    cues = (
        Cue(start_s=9.0, end_s=10.2, text="before"),
        Cue(start_s=10.4, end_s=10.8, text="inside"),
        Cue(start_s=11.0, end_s=99.0, text="after"),
    )
    document = ass_document(Captions(cues=cues), start_s=10.0, end_s=11.2, width=270, height=480)
    pictures = burn(host, tmp_path, document, size=(270, 480), rate="25", seconds=1.2)
    seen = [n for n, picture in enumerate(pictures) if picture.max() > 40]
    assert seen == [*range(5), *range(10, 20), *range(25, 30)]


@pytest.mark.media
def test_the_spoken_word_stands_out_and_nothing_moves(host: HostFacts, tmp_path: Path) -> None:
    words = (("left", 20.2, 20.4), ("middle", 20.4, 20.6), ("right", 21.2, 21.6))
    cue = Cue(
        start_s=20.0, end_s=22.0, text="left middle right",
        words=tuple(CaptionWord(start_s=start, end_s=end, text=text) for text, start, end in words),
    )  # fmt: skip
    document = ass_document(Captions(cues=(cue,), style="karaoke"), start_s=20.0, end_s=22.0, width=540, height=960)
    pictures = burn(host, tmp_path, document, size=(540, 960), rate="25", seconds=2)
    spots = [yellow(picture) for picture in pictures]
    assert [n for n, spot in enumerate(spots) if len(spot)] == [*range(5, 15), *range(30, 40)]
    assert {tuple(spot[[0, -1]]) for spot in spots[5:10]} != {tuple(spot[[0, -1]]) for spot in spots[10:15]}
    assert len({tuple(spot[[0, -1]]) for spot in spots[10:15]}) == 1
    assert spots[5].mean() < spots[10].mean(), "the words are on one line, or the next one is below"
    assert len({extent(picture) for picture in pictures}) == 1


@pytest.mark.media
def test_the_font_is_found_without_a_font_configuration_and_by_any_path(host: HostFacts, tmp_path: Path) -> None:
    captions = one_after_another(("The quick brown fox, été, Привет",), "bold")
    document = ass_document(captions, start_s=0, end_s=2, width=540, height=960)
    usual = burn(host, tmp_path, document, size=(540, 960), rate="1", seconds=2)
    odd = tmp_path / "it's [a] 100%, odd;folder: \\n"
    assert (burn(host, odd, document, size=(540, 960), rate="1", seconds=2) == usual).all()
    none = {"FONTCONFIG_FILE": str(tmp_path / "none"), "FONTCONFIG_PATH": str(tmp_path), "HOME": str(tmp_path)}
    allowed = (str(tmp_path / "none"), "(null)", "using fallback.")  # fontconfig's own complaint
    bare = burn(host, tmp_path, document, size=(540, 960), rate="1", seconds=2, environment=none, allowed=allowed)
    assert (bare == usual).all()

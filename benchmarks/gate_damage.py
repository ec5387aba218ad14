"""Damage, planted in encodes that are good otherwise: the gate has to reject every one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gate_recipes import CLOCK, COPY, QP0, Args, Recipe, colours
from gate_sources import Material

ENCODE = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "14")
# Where colours are less, exchanging two matrices changes them by less than half a level.
COLOURFUL = 7.0
AAC = ("-c:a", "aac", "-b:a", "192k")
PCM = ("-c:a", "pcm_s16le")


@dataclass(frozen=True)
class Damage:
    """One way of spoiling an encode."""

    name: str
    kind: str
    make: Recipe
    suffix: str = ".mp4"
    most: int = 5  # sources it is planted in
    needs: Callable[[Material], bool] | None = None  # what only some sources have, though they move little


def _any(m: Material) -> bool:
    return m.is_plain


def _heard(m: Material) -> bool:
    # the dog has a track of digital silence, in which nothing can be early, late, or missing
    return m.is_plain and m.audio is not None and m.loud > 0.2


def _square(m: Material) -> bool:
    return m.is_plain and m.video.sample_aspect_ratio == 1


def picture(
    chain: str | Callable[[Material], str], *more: str, only: Callable[[Material], bool] = _any, tags: bool = True,
    before: Args = (), codec: Args = ENCODE,
) -> Recipe:  # fmt: skip
    """Return a recipe that spoils the picture and leaves the sound as it is."""

    def recipe(m: Material) -> Args | None:
        if not only(m):
            return None
        filters = chain if isinstance(chain, str) else chain(m)
        sound = () if m.audio is None else AAC
        clock = () if "fps=" in filters or "-r" in more else CLOCK
        return *before, *m.source, "-filter:v", filters, *codec, *(colours(m) if tags else ()), *sound, *clock, *more

    return recipe


def sound(filters: str | Callable[[Material], str], *more: str, before: Args = ()) -> Recipe:
    """Return a recipe that spoils the sound and leaves the picture as it is, but for an encode at high quality."""

    def recipe(m: Material) -> Args | None:
        if not _heard(m):
            return None
        chain = filters if isinstance(filters, str) else filters(m)
        return *before, *m.source, *ENCODE, *colours(m), *CLOCK, "-filter:a", chain, *AAC, *more

    return recipe


def _sound_moved(seconds: float) -> Recipe:
    """Return a recipe that moves the sound, or the picture, to another time: by timestamps alone.

    Filters keep to the time; ``-itsoffset`` is rounded to what the container counts in, which in AVI is a whole frame:
    20 ms were nothing there.
    """

    def recipe(m: Material) -> Args | None:
        if not _heard(m):
            return None
        clock = f"settb=1/90000,setpts=PTS+{max(0.0, -seconds)}/TB"
        late = f"asetpts=PTS+{max(0.0, seconds)}/TB"
        return *m.source, "-filter:v", clock, "-filter:a", late, *ENCODE, *colours(m), *CLOCK, *AAC

    return recipe


def _sound_baked(seconds: float) -> Recipe:
    """Return a recipe that moves samples against the picture; the sound's first timestamp stays."""
    if seconds > 0:
        return sound(f"adelay=delays={seconds * 1000:.0f}:all=1", "-shortest")
    return sound(f"asetpts=PTS-STARTPTS,atrim=start={-seconds},asetpts=PTS-STARTPTS,apad=pad_dur={-seconds}")


def _frames(first: int, count: int) -> Callable[[Material], str]:
    """Return what writes the condition on frames from ``first`` after the moving one."""
    return lambda m: f"between(n,{m.moving_frame + first},{m.moving_frame + first + count - 1})"


def _at(effect: str, count: int) -> Callable[[Material], str]:
    return lambda m: f"{effect}:enable='{_frames(0, count)(m)}'"


def _without(first: int, count: int) -> Callable[[Material], str]:
    return lambda m: f"select='not({_frames(first, count)(m)})'"


def _frozen(seconds: float) -> Callable[[Material], str]:
    def chain(m: Material) -> str:
        count = max(2, round(seconds * m.rate))
        first = min(m.moving_frame, max(1, m.frames - count - 2))
        # the frame before stands in the place of those that follow
        last = min(first + count - 1, m.frames - 2)
        return f"split[a][b];[a][b]freezeframes=first={first}:last={last}:replace={first - 1}"

    return chain


def _closed_up(count: int) -> Callable[[Material], str]:
    return lambda m: f"select='not({_frames(0, count)(m)})',setpts=N/({m.rate}*TB)"


def _late(frames: int) -> Callable[[Material], str]:
    """Every picture ``frames`` later than it should be; the first stands for those that are missing."""
    return lambda m: f"tpad=start={frames}:start_mode=clone,trim=end_frame={m.frames}"


def _early(frames: int) -> Callable[[Material], str]:
    return lambda _: f"trim=start_frame={frames},setpts=PTS-STARTPTS,tpad=stop={frames}:stop_mode=clone"


def _sheared(m: Material) -> str:
    where = _frames(0, 6)(m)
    return (
        "format=yuv420p,geq=lum='if(gt(Y,H*0.6),lum(mod(X+W/7,W),Y),lum(X,Y))':cb='if(gt(Y,H*0.6),cb(mod(X+W/7,W),Y),cb(X,Y))'"
        f":cr='if(gt(Y,H*0.6),cr(mod(X+W/7,W),Y),cr(X,Y))':enable='{where}'"
    )


def _blocks(m: Material) -> str:
    inside = "between(X,W*0.3,W*0.6)*between(Y,H*0.3,H*0.6)"
    lum = f"if({inside},mod(floor(X/16)*53+floor(Y/16)*97,220)+16,lum(X,Y))"
    return f"format=yuv420p,geq=lum='{lum}':cb='cb(X,Y)':cr='cr(X,Y)':enable='{_frames(0, 4)(m)}'"


def _broken_stream(*before: str) -> Recipe:
    """Packets of the source with bytes changed: what a bad disk or memory leaves."""

    def recipe(m: Material) -> Args | None:
        if m.video.codec != "h264" or not m.is_plain:
            return None
        return *m.source, *COPY, "-bsf:v", ",".join((*before, "noise=amount='if(eq(mod(n,20),9),30,0)'"))

    return recipe


def _matrix(m: Material) -> Args | None:
    """Colours of BT.601 that are said to be BT.709's, or the other way round."""
    said = m.video.colour.matrix
    if not m.is_plain or said not in {"bt709", "smpte170m", "bt470bg"}:  # who says nothing cannot be belied
        return None
    is_709 = said == "bt709"
    wrong = ("smpte170m", "smpte170m", "smpte170m") if is_709 else ("bt709", "bt709", "bt709")
    matrix, primaries, transfer = wrong
    chain = f"setparams=colorspace={matrix}:color_primaries={primaries}:color_trc={transfer}"
    return picture(chain, "-colorspace", matrix, "-color_primaries", primaries, "-color_trc", transfer, tags=False)(m)


def _matrix_baked(m: Material) -> Args | None:
    if not m.is_plain or m.colourful < COLOURFUL:
        return None
    said = m.video.colour.matrix
    is_709 = said == "bt709" or (said is None and m.video.height > 576)
    pair = (
        "in_color_matrix=bt709:out_color_matrix=smpte170m"
        if is_709
        else "in_color_matrix=smpte170m:out_color_matrix=bt709"
    )
    tag = said or "unknown"
    return picture(f"scale={pair},setparams=colorspace={tag}")(m)


def _limited(m: Material) -> bool:
    return m.is_plain and not m.is_full


def _full(m: Material) -> bool:
    return m.is_plain and m.is_full


def _said_to_be_limited(m: Material) -> Args | None:
    """Full range whose tag alone is changed.

    FFmpeg converts what it encodes to what is to be said of it: levels of 34 to 215 became 44 to 201.
    """
    if not _full(m) or m.video.codec not in {"h264", "hevc"}:
        return None
    return *m.source, *COPY, "-bsf:v", f"{m.video.codec}_metadata=video_full_range_flag=0"


def _cut_end(seconds: float, *, sound_too: bool = True) -> Recipe:
    def recipe(m: Material) -> Args | None:
        if not m.is_plain or (not sound_too and m.audio is None):
            return None
        kept = max(0.4, float(m.video.duration_s or 4) - seconds)
        heard = () if m.audio is None else (*(("-filter:a", f"atrim=duration={kept:.3f}") if sound_too else ()), *AAC)
        return *m.source, "-filter:v", f"trim=duration={kept:.3f}", *ENCODE, *colours(m), *heard, *CLOCK

    return recipe


def _cut_start(seconds: float) -> Recipe:
    def recipe(m: Material) -> Args | None:
        if not m.is_plain:
            return None
        heard = () if m.audio is None else AAC
        return "-ss", f"{seconds}", *m.source, *ENCODE, *colours(m), *heard, *CLOCK

    return recipe


def _desync() -> tuple[Damage, ...]:
    made = []
    for ms in (20, 40, 100, 500, 2000):
        for sign, way in ((1, "late"), (-1, "early")):
            s = sign * ms / 1000
            made.append(Damage(f"sound {ms} ms {way}, in its samples", "desync", _sound_baked(s), ".mp4"))
            made.append(
                Damage(f"sound {ms} ms {way}, in timestamps", "desync", _sound_moved(s), ".mp4" if ms % 40 else ".mkv")
            )
    return tuple(made)


_LOST = "lutyuv=u=128:v=128"
DAMAGES = (
    Damage("1 frame dropped", "dropped", picture(_without(0, 1))),
    Damage("1 frame dropped, Matroska", "dropped", picture(_without(0, 1)), ".mkv"),
    Damage(
        "5 frames dropped, apart",
        "dropped",
        picture(
            lambda m: "select='not(" + "+".join(f"eq(n,{max(1, m.moving_frame - 12) + 6 * k})" for k in range(5)) + ")'"
        ),
    ),
    Damage("10 frames dropped in a row", "dropped", picture(_without(0, 10))),
    Damage("1 frame dropped, the rest moved up", "dropped", picture(_closed_up(1))),
    Damage("5 frames dropped, the rest moved up", "dropped", picture(_closed_up(5))),
    Damage(
        "every tenth dropped, the one before shown twice",
        "dropped",
        picture(lambda m: f"select='not(eq(mod(n,10),9))',fps={m.rate}"),
    ),
    Damage("frozen for 0.2 s", "frozen", picture(_frozen(0.2))),
    Damage("frozen for 0.5 s", "frozen", picture(_frozen(0.5))),
    Damage("frozen for 1 s", "frozen", picture(_frozen(1))),
    Damage("frozen for 2 s", "frozen", picture(_frozen(2))),
    Damage(
        "two frames changed places",
        "order",
        picture(lambda m: f"shuffleframes=0 2 1 3:enable='{_frames(-(m.moving_frame % 4), 4)(m)}'"),
    ),
    Damage("two frames of every four changed places", "order", picture("shuffleframes=0 2 1 3")),
    Damage("1 green frame", "green", picture(_at("lutyuv=y=0:u=0:v=0", 1))),
    Damage("5 green frames", "green", picture(_at("lutyuv=y=0:u=0:v=0", 5))),
    Damage("all green", "green", picture("lutyuv=y=0:u=0:v=0")),
    Damage("1 black frame", "green", picture(_at("lutyuv=y=16:u=128:v=128", 1))),
    Damage("3 grey frames", "green", picture(_at("lutyuv=y=128:u=128:v=128", 3))),
    Damage("colours lost", "colours", picture(_LOST)),
    Damage("colours lost for 10 frames", "colours", picture(_at(_LOST, 10))),
    Damage("colour planes exchanged", "colours", picture("swapuv")),
    Damage("colours 8 pixels off", "colours", picture("chromashift=cbh=8:crh=-8")),
    Damage("hue turned by 30 degrees", "colours", picture("hue=h=30")),
    Damage("a block garbled for 4 frames", "garbled", picture(_blocks)),
    Damage("lower part displaced for 6 frames", "garbled", picture(_sheared)),
    Damage("noise over 3 frames", "garbled", picture(_at("noise=alls=80", 3))),
    Damage("packets damaged", "garbled", _broken_stream(), ".mp4"),
    Damage("packets damaged, TS", "garbled", _broken_stream("h264_mp4toannexb"), ".ts"),
    *(
        Damage(
            f"picture {n} frames late", "shifted", picture(_late(n), only=lambda m: m.is_plain and m.audio is not None)
        )
        for n in (1, 2, 5)
    ),
    *(
        Damage(
            f"picture {n} frames early",
            "shifted",
            picture(_early(n), only=lambda m: m.is_plain and m.audio is not None),
        )
        for n in (1, 2, 5)
    ),
    *(Damage(f"picture {n} frames late, no sound", "shifted", picture(_late(n), "-an")) for n in (2, 5)),
    Damage(
        "limited, said to be full",
        "range",
        picture("setparams=range=pc", "-color_range", "pc", only=_limited, tags=False),
    ),
    Damage(
        "full, said to be limited",
        "range",
        _said_to_be_limited,
        needs=_full,
    ),
    Damage(
        "levels compressed twice",
        "range",
        picture(
            "scale=in_range=full:out_range=limited,setparams=range=tv", "-color_range", "tv", only=_limited, tags=False
        ),
    ),
    Damage(
        "levels expanded, tag not",
        "range",
        picture(
            "scale=in_range=limited:out_range=full,setparams=range=tv", "-color_range", "tv", only=_limited, tags=False
        ),
    ),
    Damage("SAR 4:3 in the tag", "aspect", picture("setsar=4/3", only=_square)),
    Damage("squeezed to 4:3", "aspect", picture("scale=2*round(ih*2/3):ih,setsar=1")),
    Damage(
        "SAR lost",
        "aspect",
        picture("setsar=1", only=lambda m: m.video.sample_aspect_ratio != 1),
        needs=lambda m: m.video.sample_aspect_ratio != 1,
    ),
    Damage("8 pixels cropped all round", "cropped", picture("crop=iw-16:ih-16")),
    Damage("8 pixels cropped, scaled back", "cropped", picture("crop=iw-16:ih-16:8:8,scale=iw+16:ih+16")),
    Damage(
        "black bars of a tenth", "cropped", picture("scale=iw:2*round(ih*0.4),pad=iw:2*round(ih/0.8/2):-1:-1,setsar=1")
    ),
    Damage("upside down", "rotation", picture("hflip,vflip")),
    Damage("mirrored", "rotation", picture("hflip")),
    Damage("on its side", "rotation", picture("transpose=clock")),
    Damage(
        "rotation lost",
        "rotation",
        lambda m: (
            # an angle of 0 put in the place of the file's; with -noautorotate FFmpeg hands the file's on
            ("-display_rotation", "0", *m.source, *ENCODE, *colours(m), *(AAC if m.audio else ()), *CLOCK)
            if m.video.rotation_deg
            else None
        ),
        needs=lambda m: bool(m.video.rotation_deg),
    ),
    Damage(
        "rotated by a flag that should not be there",
        "rotation",
        lambda m: ("-display_rotation", "180", *m.source, *COPY) if _any(m) and m.video.codec == "h264" else None,
    ),
    *_desync(),
    Damage(
        "sound 1.5 percent slower",
        "desync",
        sound(
            lambda m: (
                f"asetrate={int((m.audio.sample_rate_hz if m.audio else None) or 48000) * 0.985:.0f},aresample=48000"
            )
        ),
    ),
    Damage("last 0.5 s missing", "truncated", _cut_end(0.5)),
    Damage("last second of the picture missing", "truncated", _cut_end(1.0, sound_too=False)),
    Damage("first 0.5 s missing", "truncated", _cut_start(0.5)),
    Damage(
        "sound ends after half", "sound", sound(lambda m: f"atrim=duration={float(m.facts.duration_s or 4) / 2:.2f}")
    ),
    Damage("no sound", "sound", lambda m: (*m.source, *ENCODE, *colours(m), *CLOCK, "-an") if _heard(m) else None),
    Damage("silence", "sound", sound("volume=0")),
    Damage("sound missing for 0.4 s of every second", "sound", sound("volume=0:enable='between(mod(t,1),0.3,0.7)'")),
    Damage(
        "another sound",
        "sound",
        lambda m: (
            None
            if not _heard(m)
            else (
                *m.source[:2],
                "-f",
                "lavfi",
                "-i",
                "anoisesrc=color=brown:d=4:a=0.5,tremolo=f=3:d=0.9",
                "-map",
                f"0:{m.video.index}",
                "-map",
                "1:a",
                *ENCODE,
                *colours(m),
                *CLOCK,
                *AAC,
            )
        ),
    ),
    Damage("BT.601 and BT.709 exchanged in tags", "matrix", _matrix),
    Damage("BT.601 and BT.709 exchanged in pixels", "matrix", _matrix_baked),
    Damage(
        "SDR said to be HDR10",
        "hdr tags",
        picture(
            "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc",
            "-color_primaries",
            "bt2020",
            "-color_trc",
            "smpte2084",
            "-colorspace",
            "bt2020nc",
            tags=False,
        ),
    ),
    Damage(
        "HDR said to be SDR",
        "hdr tags",
        picture(
            "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709",
            "-color_primaries",
            "bt709",
            "-color_trc",
            "bt709",
            "-colorspace",
            "bt709",
            "-pix_fmt",
            "yuv420p10le",
            tags=False,
            only=lambda m: m.video.colour.is_hdr,
        ),
        needs=lambda m: m.video.colour.is_hdr,
    ),
    Damage("3 % slower, picture and sound", "speed", picture("setpts=1.03*PTS", "-af", "atempo=0.9709", only=_heard)),
    Damage("CRF 45", "poor", picture("null", codec=("-c:v", "libx264", "-preset", "ultrafast", "-crf", "45"))),
    Damage("a quarter of the pixels, enlarged", "poor", picture("scale=iw/4:ih/4,scale=iw*4:ih*4", codec=QP0)),
    Damage(
        "blurred for a second",
        "poor",
        picture(lambda m: f"gblur=sigma=6:enable='between(n,{m.moving_frame},{m.moving_frame + round(m.rate)})'"),
    ),
)

"""Every setting of the table: its names, its default, what it accepts, who wins, and what is refused with what hint."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from reelpress.errors import ExitCode, UsageError
from reelpress.plan.encoders import GPU_PRESETS, X264_PRESETS, cpu_row
from reelpress.probe.host import default_cache_dir
from reelpress.request import Request
from reelpress.service_settings import load_service
from reelpress.settings import Settings, load, parse, request_from, split_size
from reelpress.settings_table import SETTINGS, Setting

ROWS = {row.name: row for row in SETTINGS}
NAMES = [(row.name, env) for row in SETTINGS for env in row.env]


def read(environ: dict[str, str] | None = None, *, file: Path | None = None, **flags: str | None) -> Settings:
    """Settings of this environment alone."""
    return load(flags, environ=environ or {}, env_file=file)


def refusal(environ: dict[str, str] | None = None, **others: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read(environ, **others)
    assert caught.value.exit_code == ExitCode.USAGE
    return caught.value


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


# --- the table ---


def test_the_settings_are_exactly_the_rows_of_the_table() -> None:
    assert list(Settings.__struct_fields__) == [row.name for row in SETTINGS]


def test_no_two_rows_share_a_name_or_a_flag() -> None:
    assert len({env for _, env in NAMES}) == len(NAMES)
    flags = [row.flag for row in SETTINGS if row.flag]
    assert len(set(flags)) == len(flags)


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_every_row_reads_its_own_default_and_says_what_it_is_for(row: Setting) -> None:
    assert getattr(read(), row.name) == parse(row.name, row.default)
    assert row.env
    assert row.accepts
    assert row.help.endswith(".")


@pytest.mark.parametrize(
    "name",
    [
        "ENABLE_GPU_ACCELERATION", "GPU_ENABLED", "GPU_PRESET", "COMPRESSION_PRESET", "COMPRESSION_CRF",
        "COMPRESSION_MAX_WIDTH", "COMPRESSION_MAX_HEIGHT", "COMPRESSION_MAX_FPS", "COMPRESSION_AUDIO_BITRATE",
        "COMPRESSION_MAX_FILE_SIZE",
    ],
)  # fmt: skip
def test_every_name_of_the_first_plan_is_read(name: str) -> None:
    assert name in {env for _, env in NAMES}


def test_the_defaults_are_the_first_plans() -> None:
    found = read()
    assert (found.use_gpu, found.gpu_preset, found.max_width, found.max_height) == (True, "fast", 1280, 720)
    assert (found.max_fps, found.audio_bitrate_bps, found.max_input_bytes) == (Fraction(30), 128_000, 10**9)
    assert cpu_row("h264").crf_default == 23


def test_defaults_of_settings_and_requests_agree() -> None:
    assert request_from(read()) == Request()


# --- what is accepted ---

ACCEPTED: list[tuple[str, str, Any]] = [
    ("use_gpu", "true", True), ("use_gpu", "Yes", True), ("use_gpu", "1", True), ("use_gpu", "on", True),
    ("use_gpu", "FALSE", False), ("use_gpu", "no", False), ("use_gpu", "0", False), ("use_gpu", " off ", False),
    *(("gpu_preset", name, name) for name in GPU_PRESETS), ("gpu_preset", "P4", "p4"),
    ("codec", "hevc", "hevc"), ("codec", "AV1", "av1"), ("codec", "h264", "h264"),
    *(("preset", name, name) for name in X264_PRESETS), ("preset", "default", None), ("preset", "Slow", "slow"),
    ("crf", "default", None), ("crf", "1", 1.0), ("crf", "18.5", 18.5), ("crf", "51", 51.0),
    ("target_vmaf", "none", None), ("target_vmaf", "30", 30.0), ("target_vmaf", "93.5", 93.5),
    ("max_width", "16", 16), ("max_width", "16384", 16384), ("max_height", "16", 16), ("max_height", "2160", 2160),
    ("max_fps", "1", Fraction(1)), ("max_fps", "1000", Fraction(1000)), ("max_fps", "23.976", Fraction("23.976")),
    ("max_fps", "30000/1001", Fraction(30000, 1001)), ("max_fps", "30000:1001", Fraction(30000, 1001)),
    ("audio_bitrate_bps", "128k", 128_000), ("audio_bitrate_bps", "96000", 96_000),
    ("audio_bitrate_bps", "16k", 16_000), ("audio_bitrate_bps", "1M", 1_000_000),
    ("audio_bitrate_bps", "192 kbit/s", 192_000), ("audio_bitrate_bps", "0.5M", 500_000),
    ("audio_channels", "stereo", "stereo"), ("audio_channels", "keep", "keep"),
    ("hdr", "keep", "keep"), ("hdr", "tonemap", "tonemap"),
    ("resolution", "auto", "auto"), ("resolution", "Fixed", "fixed"),
    ("max_input_bytes", "1k", 1000), ("max_input_bytes", "1GB", 10**9), ("max_input_bytes", "1GiB", 2**30),
    ("max_input_bytes", "1.5g", 1_500_000_000), ("max_input_bytes", "100T", 10**14), ("max_input_bytes", "1000", 1000),
    ("min_vmaf", "93", 93.0), ("min_vmaf", "1", 1.0), ("min_vmaf", "100", 100.0), ("min_vmaf", "none", None),
    ("min_vmaf_worst", "80.5", 80.5), ("min_vmaf_worst", "none", None), ("max_size_ratio", "0.5", 0.5),
    ("max_size_ratio", "none", None), ("max_size_ratio", "0.001", 0.001), ("max_size_ratio", "100", 100.0),
    ("vmaf_windows", "whole", "whole"), ("vmaf_windows", "Sampled", "sampled"), ("vmaf_retries", "0", 0),
    ("vmaf_retries", "10", 10), ("on_miss", "keep", "keep"), ("on_miss", "Deliver", "deliver"),
    ("min_saving", "0", 0.0), ("min_saving", "0.95", 0.95),
    ("timeout_s", "auto", None), ("timeout_s", "1", 1.0), ("timeout_s", "604800", 604_800.0),
    ("decode_check", "whole", "whole"), ("decode_check", "SAMPLED", "sampled"),
    ("stall_timeout_s", "1", 1.0), ("stall_timeout_s", "86400", 86_400.0),
    ("memory_limit_bytes", "256M", 256_000_000), ("memory_limit_bytes", "4T", 4 * 10**12),
    ("max_pixels", "10000", 10_000), ("max_pixels", "268435456", 268_435_456),
    ("jobs", "auto", None), ("jobs", "1", 1), ("jobs", "256", 256), ("threads", "0", 0), ("threads", "256", 256),
    ("ffmpeg", "auto", None), ("ffmpeg", "/opt/ffmpeg", "/opt/ffmpeg"), ("cache_dir", "auto", None),
    ("cache_dir", "/var/cache/r", "/var/cache/r"), ("usd_per_cpu_hour", "0", 0.0), ("usd_per_cpu_hour", "1000", 1000.0),
    ("gpu_patience_s", "0", 0.0), ("gpu_patience_s", "3600", 3600.0), ("gpu_sessions", "auto", None),
    ("usd_per_gpu_hour", "auto", None), ("usd_per_gpu_hour", "0.67", 0.67), ("prices", "own:0.12/h", "own:0.12/h"),
    ("prices_file", "none", None), ("prices_file", "/srv/prices.toml", "/srv/prices.toml"),
    ("calibration", "defaults", "defaults"), ("calibration", "OFF", "off"),
    ("gpu_sessions", "64", 64), ("face_model", "none", "none"), ("face_model", "/opt/yunet.onnx", "/opt/yunet.onnx"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "value"), ACCEPTED)
def test_a_value_means_the_same_from_the_environment_as_from_a_flag(name: str, text: str, value: Any) -> None:
    from_environment = getattr(read({ROWS[name].env[-1]: text}), name)
    from_flag = getattr(read(**{name: text}), name)
    assert (from_environment, from_flag) == (value, value)
    assert type(from_environment) is type(value)


def test_every_row_has_an_accepted_value_in_this_test() -> None:
    assert {name for name, _, _ in ACCEPTED} == set(ROWS)


REFUSED: list[tuple[str, str]] = [
    ("use_gpu", "maybe"), ("use_gpu", "2"), ("gpu_preset", "p0"), ("gpu_preset", "p8"), ("gpu_preset", "veryfast"),
    ("codec", "vp9"), ("codec", "x264"), ("preset", "warp"), ("preset", "8"), ("crf", "-1"), ("crf", "52"),
    ("target_vmaf", "29.9"), ("target_vmaf", "99.1"), ("target_vmaf", "nan"), ("target_vmaf", "best"),
    ("crf", "64"), ("crf", "nan"), ("crf", "good"), ("max_width", "15"), ("max_width", "16385"), ("max_width", "12.5"),
    ("max_height", "0"), ("max_height", "-720"), ("max_fps", "0"), ("max_fps", "0.5"), ("max_fps", "1001"),
    ("max_fps", "1/0"), ("max_fps", "nan"), ("max_fps", "inf"), ("max_fps", "fast"), ("audio_bitrate_bps", "15k"),
    ("audio_bitrate_bps", "2M"), ("audio_bitrate_bps", "128x"), ("audio_bitrate_bps", "-128k"),
    ("audio_bitrate_bps", "1e5"), ("audio_channels", "mono"), ("hdr", "yes"), ("resolution", "720"),
    ("max_input_bytes", "999"),
    ("max_input_bytes", "101T"), ("max_input_bytes", "1 GB 2"), ("max_input_bytes", "1iB"), ("min_saving", "0.96"),
    ("min_vmaf", "0"), ("min_vmaf", "101"), ("min_vmaf", "good"), ("min_vmaf", "nan"), ("min_vmaf_worst", "-1"),
    ("max_size_ratio", "0"), ("max_size_ratio", "50%"), ("max_size_ratio", "101"), ("vmaf_windows", "5"),
    ("vmaf_retries", "11"), ("vmaf_retries", "1.5"), ("on_miss", "fail"),
    ("min_saving", "5%"), ("min_saving", "-0.1"), ("timeout_s", "0"), ("timeout_s", "604801"), ("timeout_s", "inf"),
    ("stall_timeout_s", "0"), ("stall_timeout_s", "auto"), ("memory_limit_bytes", "255M"), ("memory_limit_bytes", "5T"),
    ("max_pixels", "9999"), ("max_pixels", "268435457"), ("jobs", "0"), ("jobs", "257"), ("jobs", "two"),
    ("threads", "-1"), ("threads", "257"), ("usd_per_cpu_hour", "-1"), ("usd_per_cpu_hour", "1001"),
    ("usd_per_gpu_hour", "-1"), ("usd_per_gpu_hour", "free"),
    ("gpu_patience_s", "-1"), ("gpu_patience_s", "3601"), ("gpu_sessions", "0"), ("gpu_sessions", "65"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_a_value_that_is_not_accepted_is_refused_with_those_that_are(name: str, text: str) -> None:
    env = ROWS[name].env[-1]
    from_environment, from_flag = refusal({env: text}), refusal(**{name: text})
    for error in (from_environment, from_flag):
        assert "cannot be" in error.what
        assert "accepted" in (error.hint or "")
    if name not in ("preset", "crf"):  # these two may be judged with the codec, under the flag's name
        assert env in from_environment.what
        assert text in from_environment.what
        assert ROWS[name].accepts in (from_environment.hint or "")
        assert (ROWS[name].flag or ROWS[name].env[0]) in from_flag.what


def test_a_huge_exponent_is_refused_at_once() -> None:
    """To Fraction, "1e999999999" is a number of a billion digits, worth minutes and gigabytes."""
    code = "from reelpress.settings import load; load({'max_fps': '1e999999999'}, environ={}, env_file=None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=10, check=False)
    assert "UsageError: --max-fps cannot be '1e999999999'." in done.stderr


# --- presets and quality belong to a codec ---


@pytest.mark.parametrize("preset", sorted(set(GPU_PRESETS) - set(X264_PRESETS) - {"default"}))
def test_a_gpu_preset_is_no_preset_of_the_cpu(preset: str) -> None:
    error = refusal({"COMPRESSION_PRESET": preset})
    assert preset in error.what
    assert "veryfast" in (error.hint or "")


@pytest.mark.parametrize(
    ("codec", "preset", "known"),
    [("h264", "lean", True), ("hevc", "lean", False), ("hevc", "medium", True), ("av1", "13", True),
     ("av1", "14", False), ("av1", "fast", False), ("h264", "8", False)],
)  # fmt: skip
def test_a_preset_is_judged_by_its_codec(codec: str, preset: str, known: bool) -> None:
    environ = {"COMPRESSION_CODEC": codec, "COMPRESSION_PRESET": preset}
    if known:
        assert read(environ).preset == preset
    else:
        assert codec in (refusal(environ).hint or "")


@pytest.mark.parametrize(
    ("codec", "crf", "known"),
    [("h264", "51", True), ("h264", "51.5", False), ("hevc", "51", True), ("hevc", "52", False), ("av1", "63", True),
     ("av1", "34.5", False), ("h264", "34.5", True),
     ("h264", "0", False), ("h264", "0.9", False), ("h264", "1", True), ("hevc", "0", True), ("av1", "0", False)],
)  # fmt: skip
def test_quality_is_judged_by_the_codecs_own_scale(codec: str, crf: str, known: bool) -> None:
    # below 1 x264 has its mode without loss, which no profile of players has, and SVT-AV1 takes 0 for nothing said
    if known:
        assert read({"COMPRESSION_CRF": crf}, codec=codec).crf == float(crf)
    else:
        assert "accepted" in (refusal({"COMPRESSION_CRF": crf}, codec=codec).hint or "")


def test_work_of_one_codec_leaves_out_what_was_said_of_another() -> None:
    av1 = {"COMPRESSION_CODEC": "av1", "COMPRESSION_PRESET": "8", "COMPRESSION_CRF": "60"}

    def only(environ: dict[str, str], **flags: str) -> tuple[str, str | None, float | None]:
        found = load(flags, environ=environ, env_file=None, codec="h264")
        return found.codec, found.preset, found.crf

    assert only(av1) == ("h264", None, None)
    assert only(av1, preset="lean", crf="20") == ("h264", "lean", 20)
    h264 = {"COMPRESSION_PRESET": "slow", "COMPRESSION_CRF": "21"}
    assert only(h264) == ("h264", "slow", 21)
    with pytest.raises(UsageError, match="'8' for h264"):
        only(av1, preset="8")


# --- who wins ---


def test_flags_win_over_the_environment_over_the_file_over_defaults(env_file: Path) -> None:
    assert read(file=env_file).crf is None
    env_file.write_text("COMPRESSION_CRF=20\n")
    assert read(file=env_file).crf == 20
    environ = {"COMPRESSION_CRF": "21"}
    assert read(environ, file=env_file).crf == 21
    assert read(environ, file=env_file, crf="22").crf == 22
    assert read(environ, file=env_file, crf=None).crf == 21


def test_a_file_may_quote_comment_and_export(env_file: Path) -> None:
    env_file.write_text("# ours\nexport COMPRESSION_CRF='19'\nGPU_PRESET=p5 # slow\n\nPATH=/nowhere\n")
    found = read(file=env_file)
    assert (found.crf, found.gpu_preset) == (19, "p5")


def test_the_file_is_looked_for_where_we_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("COMPRESSION_MAX_WIDTH=640\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMPRESSION_MAX_WIDTH", raising=False)
    assert load().max_width == 640


def test_the_process_environment_is_read_when_no_other_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSION_MAX_WIDTH", "720")
    assert load(env_file=None).max_width == 720


def test_a_base_replaces_environment_and_file_but_not_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    base = read({"COMPRESSION_MAX_WIDTH": "640", "COMPRESSION_CRF": "30"})
    monkeypatch.setenv("COMPRESSION_MAX_WIDTH", "720")
    found = load({"crf": "18"}, base=base)
    assert (found.max_width, found.crf) == (640, 18)


def test_a_base_does_not_make_a_wrong_preset_right() -> None:
    with pytest.raises(UsageError, match="av1"):
        load({"codec": "av1"}, base=read({"COMPRESSION_PRESET": "faster"}))


@pytest.mark.parametrize(
    ("text", "folders"),
    [("/srv/in", ("/srv/in",)), ("/srv/in:", ("/srv/in",)), (":/a: :/b", ("/a", "/b")), (":", ()), ("none", ())],
)
def test_an_empty_name_among_folders_is_not_the_working_folder(text: str, folders: tuple[str, ...]) -> None:
    settings = load_service({}, environ={"REELPRESS_LOCAL_PATHS": text}, env_file=None)
    assert settings.local_paths == folders


@pytest.mark.parametrize(("name", "env"), NAMES)
def test_an_empty_value_is_no_value(name: str, env: str, env_file: Path) -> None:
    env_file.write_text(f"{env}=\n")
    assert getattr(read({env: ""}, file=env_file), name) == getattr(read(), name)


def test_an_empty_value_in_the_environment_leaves_the_file_its_say(env_file: Path) -> None:
    env_file.write_text("COMPRESSION_CRF=20\n")
    assert read({"COMPRESSION_CRF": ""}, file=env_file).crf == 20


# --- the GPU switch with two names ---


@pytest.mark.parametrize("env", ["ENABLE_GPU_ACCELERATION", "GPU_ENABLED"])
@pytest.mark.parametrize(("text", "hardware"), [("true", "auto"), ("false", "off")])
def test_either_name_switches_the_gpu(env: str, text: str, hardware: str) -> None:
    assert request_from(read({env: text})).hardware == hardware


def test_a_wish_for_hardware_wins_over_the_switch() -> None:
    assert request_from(read({"GPU_ENABLED": "false"}), hardware="require").hardware == "require"


@pytest.mark.parametrize(("one", "two"), [("true", "false"), ("0", "yes")])
def test_switches_that_contradict_each_other_are_refused(one: str, two: str) -> None:
    error = refusal({"ENABLE_GPU_ACCELERATION": one, "GPU_ENABLED": two})
    assert "ENABLE_GPU_ACCELERATION" in error.what
    assert "GPU_ENABLED" in error.what


def test_a_contradiction_between_environment_and_file_is_refused_too(env_file: Path) -> None:
    env_file.write_text("GPU_ENABLED=true\n")
    assert "contradict" in refusal({"ENABLE_GPU_ACCELERATION": "false"}, file=env_file).what


@pytest.mark.parametrize(("one", "two"), [("true", "1"), ("no", "FALSE"), ("true", "")])
def test_switches_that_agree_are_one(one: str, two: str) -> None:
    assert read({"ENABLE_GPU_ACCELERATION": one, "GPU_ENABLED": two}).use_gpu == (one == "true")


# --- names that are not ours, and names that almost are ---


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("COMPRESSION_CFR", "COMPRESSION_CRF"),
        ("COMPRESION_PRESET", "COMPRESSION_PRESET"),
        ("COMPRESSION_MAX_WIDHT", "COMPRESSION_MAX_WIDTH"),
        ("GPU_ENABLE", "GPU_ENABLED"),
        ("ENABLE_GPU_ACCELERATON", "ENABLE_GPU_ACCELERATION"),
        ("REELPRESS_FFMPG", "REELPRESS_FFMPEG"),
    ],
)
@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_name_that_is_almost_ours_is_refused_with_the_right_one(
    name: str, meant: str, place: str, env_file: Path
) -> None:
    env_file.write_text(f"{name}=1\n" if place == "file" else "")
    error = refusal({name: "1"} if place == "environment" else {}, file=env_file)
    assert name in error.what
    assert error.hint == f"did you mean {meant}?"


@pytest.mark.parametrize("name", ["REELPRESS_COLOUR", "COMPRESSION_BANANAS"])
def test_an_unknown_name_of_ours_in_the_file_is_refused_with_the_known_ones(name: str, env_file: Path) -> None:
    env_file.write_text(f"{name}=1\n")
    error = refusal(file=env_file)
    assert name in error.what
    assert "COMPRESSION_CRF" in (error.hint or "")


def test_an_unknown_name_with_our_own_prefix_is_refused_in_the_environment_too() -> None:
    assert "REELPRESS_COLOUR" in refusal({"REELPRESS_COLOUR": "1"}).what


@pytest.mark.parametrize(
    "name", ["PATH", "HOME", "GPU", "GPU_COUNT", "COMPRESSION_LEVEL", "CRF", "FFMPEG", "ENABLE_GPU", "REELPRESS_MEDIA"]
)
@pytest.mark.parametrize("value", ["", "7", "/usr/bin"])
def test_names_of_others_in_the_environment_change_nothing(name: str, value: str) -> None:
    assert read({name: value}) == read()


@pytest.mark.parametrize("name", [row.name for row in SETTINGS])
def test_the_names_of_our_fields_are_no_names_in_the_environment(name: str, env_file: Path) -> None:
    """``threads``, ``jobs`` or ``codec`` may mean anything to anybody."""
    value = next(text for n, text, meant in ACCEPTED if n == name and meant != parse(name, ROWS[name].default))
    env_file.write_text(f"{name}={value}\n")
    assert read({name: value}) == read()
    assert read(file=env_file) == read()


@pytest.mark.parametrize("make", ["missing", "folder", "empty"])
def test_a_file_that_holds_nothing_is_no_matter(make: str, env_file: Path) -> None:
    if make == "folder":
        env_file.mkdir()
    elif make == "empty":
        env_file.touch()
    assert read(file=env_file) == read()


def test_a_file_that_is_no_text_is_refused_by_name(env_file: Path) -> None:
    env_file.write_bytes(b"COMPRESSION_CRF=20\nTITLE=caf\xe9\n")
    assert ".env" in refusal(file=env_file).what


# --- --max-size ---


@pytest.mark.parametrize(
    ("text", "size"),
    [("1280x720", (1280, 720)), ("720X1280", (720, 1280)), (" 640 x 360 ", (640, 360)), ("640:360", (640, 360)),
     ((64, 32), (64, 32))],
)  # fmt: skip
def test_a_box_is_two_numbers(text: str | tuple[int, int], size: tuple[int, int]) -> None:
    assert split_size(text) == size


@pytest.mark.parametrize("text", ["1280", "1280x", "x720", "-1x720", "1280x720x3", "1e3x720", "wide", "", "123456x1"])
def test_anything_else_is_no_box(text: str) -> None:
    with pytest.raises(UsageError, match="--max-size cannot be") as caught:
        split_size(text)
    assert "1280x720" in (caught.value.hint or "")


def test_a_user_without_a_home_has_a_cache_folder_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_uid: int) -> None:
        raise KeyError

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert default_cache_dir() == tmp_path / "reelpress" / "cache"


@pytest.mark.parametrize("size", ["0x720", "1280x15", "16385x720", (1280, 0)])
def test_a_side_that_cannot_be_is_told_by_the_name_it_was_given_under(size: str | tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="--max-size cannot be") as refused:
        split_size(size)
    assert refused.value.hint == "accepted: 16 to 16384 pixels"

import json
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelpress.facts.failure import FailureKind
from reelpress.run.failures import classify, decode_damage

RECORDINGS = Path(__file__).parents[1] / "recorded" / "stderr"
VERSIONS = ("ffmpeg-5.1.9", "ffmpeg-9.0.2")
K = FailureKind


def recordings() -> list[pytest.ParameterSet]:
    return [
        pytest.param(json.loads(path.read_text()), id=f"{path.parent.name}-{path.stem}")
        for path in sorted(RECORDINGS.glob("*/*.json"))
    ]


def recorded(version: str, case: str) -> dict:
    return json.loads((RECORDINGS / version / f"{case}.json").read_text())


def test_both_versions_recorded_the_same_cases():
    first, second = ({path.name for path in (RECORDINGS / version).iterdir()} for version in VERSIONS)
    assert first == second
    assert len(first) > 60


@pytest.mark.parametrize("run", recordings())
def test_every_recorded_run_gets_its_class(run: dict):
    failure = classify(run["returncode"], run["stderr"], run["stopped"], output=run["argv"][-1])
    assert (failure.kind if failure else None) == run["want"]
    if failure is not None:
        assert failure.evidence
        assert len(failure.evidence) <= 300
        assert failure.hint
        assert not failure.evidence.startswith("[info]")


@pytest.mark.parametrize("run", recordings())
def test_evidence_is_quoted_from_stderr_where_stderr_says_anything(run: dict):
    failure = classify(run["returncode"], run["stderr"], run["stopped"], output=run["argv"][-1])
    if failure is not None and "[error]" in run["stderr"] and run["returncode"] > 0:
        assert failure.evidence.partition("] ")[2] in run["stderr"] or failure.evidence in run["stderr"]


@pytest.mark.parametrize("run", [run for run in recordings() if run.values[0]["returncode"] == 0])
def test_damage_is_seen_in_damaged_inputs_and_in_no_other(run: dict):
    damage = decode_damage(run["stderr"])
    assert bool(damage) == run["is_damaged"]
    assert len(damage) == len(set(damage)) <= 20


@pytest.mark.parametrize(
    "text",
    [
        "[h264 @ 0x0] [error] mmco: unref short failure",
        "[h264 @ 0x0] [error] co located POCs unavailable",
        "[h264 @ 0x0] [error] reference picture missing during reorder",
        "[h264 @ 0x0] [error] Missing reference picture, default is 65544",
        "[hevc @ 0x0] [error] Could not find ref with POC 53",
    ],
)
def test_a_missing_reference_is_damage_but_of_an_input_begun_in_the_middle(text: str):
    broken = "[h264 @ 0x0] [error] error while decoding MB 7 3, bytestream -5"
    both = f"{text}\n{broken}\n"
    assert len(decode_damage(both)) == 2
    assert decode_damage(both, is_sought=True) == ("[h264] error while decoding MB 7 3, bytestream -5",)


def test_the_recordings_name_no_place_of_the_machine_they_were_made_on():
    for path in RECORDINGS.glob("*/*.json"):
        text = path.read_text()
        assert "/tmp" not in text
        assert "/root" not in text
        assert "/work" not in text


@pytest.mark.parametrize("version", VERSIONS)
def test_the_cause_is_the_evidence_and_not_its_consequences(version: str):
    run = recorded(version, "encoder-odd-size")
    assert classify(run["returncode"], run["stderr"], None).evidence == "[libx264] width not divisible by 2 (161x121)"
    run = recorded(version, "filter-file-missing")
    assert classify(run["returncode"], run["stderr"], None).evidence.startswith("[Parsed_lut3d_0] /in/absent.cube")


def test_version_5_exits_with_0_on_a_full_disk_and_that_is_a_failure():
    run = recorded("ffmpeg-5.1.9", "output-disk-full")
    assert run["returncode"] == 0
    assert classify(0, run["stderr"], None).kind is K.OUTPUT_FULL


def test_version_5_says_the_same_of_input_and_output_and_the_name_decides():
    stderr = "[error] file:/x/o.mp4: No such file or directory\n"
    assert classify(1, stderr, None, output="file:/x/o.mp4").kind is K.OUTPUT_DENIED
    assert classify(1, stderr, None, output="file:/x/o").kind is K.INPUT_UNREADABLE
    assert classify(1, stderr, None).kind is K.INPUT_UNREADABLE


# Text from files: in the dump it is indented and has the level "info"; in errors it stands in the middle.
HOSTILE = [
    "No space left on device",
    "moov atom not found",
    "Unknown encoder 'x'",
    "[error] Cannot allocate memory",
    "[fatal] Unknown encoder 'x'",
    "x264 [error]: malloc of size 1 failed",
    "[h264_nvenc @ 0x55] [error] OpenEncodeSessionEx failed: out of memory (10)",
]


@pytest.mark.parametrize("title", HOSTILE)
def test_a_title_cannot_pass_for_an_error(title: str):
    dump = (
        "[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'x.mp4':\n"
        "[info]   Metadata:\n"
        f"[info]     title           : {title}\n"
        f"                    : {title}\n"
        f"[info]   Stream #0:0: Video: {title}\n"
    )
    assert classify(0, dump, None) is None
    assert decode_damage(dump) == ()
    assert classify(1, dump, None).kind is K.UNKNOWN
    assert classify(8, dump + "[fatal] Unknown decoder 'nonsense'\n", None).kind is K.NO_DECODER


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_cannot_pass_for_an_error(name: str):
    five = f"[error] file:/in/{name}: Invalid data found when processing input\n"
    nine = (
        "[in#0 @ 0x0] [error] Error opening input: Invalid data found when processing input\n"
        f"[error] Error opening input file file:/in/{name}.\n"
        "[fatal] Error opening input files: Invalid data found when processing input\n"
    )
    assert classify(1, five, None).kind is K.INPUT_UNREADABLE
    assert classify(183, nine, None).kind is K.INPUT_UNREADABLE


def test_words_that_only_sound_like_failure_are_not_one():
    healthy = "[libx264 @ 0x0] [warning] error rate 0.0: No space left on device\n[h264 @ 0x0] [warning] mmco: unref\n"
    assert classify(0, healthy, None) is None


@pytest.mark.parametrize(
    ("stopped", "kind"),
    [
        ("cancelled", K.CANCELLED),
        ("wall_clock", K.TIMED_OUT),
        ("stalled", K.STALLED),
        ("caller", K.STOPPED),
        ("cpu_limit", K.CPU_LIMIT),
    ],
)
def test_what_we_stopped_is_ours_whatever_stderr_says(stopped: str, kind: FailureKind):
    assert classify(-9, "[error] x: No space left on device\n", stopped).kind is kind


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (signal.SIGSEGV, K.CRASHED),
        (signal.SIGABRT, K.CRASHED),
        (signal.SIGILL, K.CRASHED),
        (signal.SIGBUS, K.CRASHED),
        (signal.SIGKILL, K.KILLED),
        (signal.SIGTERM, K.KILLED),
        (signal.SIGXCPU, K.CPU_LIMIT),
        (signal.SIGXFSZ, K.OUTPUT_LIMIT),
    ],
)
def test_signals(number: signal.Signals, kind: FailureKind):
    failure = classify(-number, "", None)
    assert failure.kind is kind
    assert number.name in failure.evidence


@pytest.mark.parametrize(
    ("code", "stderr"),
    [
        (229, ""),
        (1, "[error] av_interleaved_write_frame(): File too large\n"),
        (229, "[out#0/mp4 @ 0x1] [error] Error writing trailer: File too large\n"),
    ],
)
def test_a_size_that_the_file_system_does_not_take_is_no_reason_to_keep_the_input(code: int, stderr: str):
    """FAT32 ends at 4 GiB. Our own limit ends a program by a signal."""
    assert classify(code, stderr, None).kind is K.OUTPUT_DENIED


def test_a_crash_for_want_of_memory_is_want_of_memory():
    assert classify(-signal.SIGSEGV, "x264 [error]: malloc of size 21862400 failed\n", None).kind is K.OUT_OF_MEMORY


def test_a_signal_nobody_knows_is_a_crash():
    assert classify(-200, "", None).kind is K.CRASHED


def test_what_nobody_knows_is_unknown_and_quotes_the_last_error():
    stderr = "[error] something new\n[error] and its end\n[warning] bye\n"
    failure = classify(1, stderr, None)
    assert (failure.kind, failure.evidence) == (K.UNKNOWN, "and its end")


def test_long_evidence_is_cut():
    assert len(classify(1, "[error] " + "x" * 5000, None).evidence) == 300


def test_damage_is_told_once_per_kind_of_message():
    stderr = "".join(
        f"[h264 @ 0x55d] [error] error while decoding MB {n} 0, bytestream -{n}\n"
        "[mp4 @ 0x0] [error] Application provided invalid, non monotonically increasing dts to muxer\n"
        for n in range(50)
    )
    assert decode_damage(stderr + "    Last message repeated 7 times\n") == (
        "[h264] error while decoding MB 0 0, bytestream -0",
    )


LINES = st.sampled_from(
    [line for run in recordings() for line in run.values[0]["stderr"].splitlines()[:20]]
    + ["[error] ", "[ @ 0x0] [error] x", "[[error] x", "    Last message repeated 3 times"]
)


@given(
    st.integers(-300, 300),
    st.lists(st.one_of(LINES, st.text())).map("\n".join),
    st.sampled_from([None, "cancelled", "wall_clock", "stalled", "caller", "cpu_limit"]),
    st.one_of(st.none(), st.text()),
)
def test_nothing_makes_it_raise_and_only_exit_0_can_be_success(
    returncode: int, stderr: str, stopped: str | None, output: str | None
):
    failure = classify(returncode, stderr, stopped, output=output)
    assert (failure is None) <= (returncode == 0 and stopped is None)
    assert failure is None or (failure.hint and len(failure.evidence) <= 300)
    decode_damage(stderr)

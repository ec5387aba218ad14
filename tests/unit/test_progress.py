from hypothesis import given
from hypothesis import strategies as st

from reelpress.run.progress import Progress, ProgressParser

# Recorded from FFmpeg 5.1.9.
RUNNING = """\
frame=1
fps=0.00
stream_0_0_q=0.0
bitrate=N/A
total_size=48
out_time_us=0
out_time_ms=0
out_time=00:00:00.000000
dup_frames=0
drop_frames=0
speed=   0x
progress=continue
"""
ENDED = """\
frame=5
fps=2.50
stream_0_0_q=-1.0
bitrate= 328.0kbits/s
total_size=8203
out_time_us=200098
out_time_ms=200098
out_time=00:00:00.200098
dup_frames=1
drop_frames=2
speed=8.98x
progress=end
"""


def blocks(text: str) -> list[Progress]:
    parser = ProgressParser()
    return [block for line in text.splitlines() if (block := parser.feed(line)) is not None]


def test_each_block_is_one_value():
    assert blocks(RUNNING + ENDED) == [
        Progress(frames=1, fps=0.0, out_time_s=0.0, total_size_bytes=48, speed=0.0, dup_frames=0, drop_frames=0),
        Progress(
            frames=5, fps=2.5, out_time_s=0.200098, total_size_bytes=8203, speed=8.98, dup_frames=1, drop_frames=2,
            ended=True,
        ),
    ]  # fmt: skip


def test_what_ffmpeg_does_not_know_is_none_and_not_zero():
    [block] = blocks("frame=3\nfps=N/A\ntotal_size=N/A\nout_time_us=N/A\nout_time=N/A\nspeed=N/A\nprogress=continue\n")
    assert block == Progress(frames=3)


def test_out_time_ms_is_microseconds_too():
    assert blocks("out_time_ms=2000000\nprogress=continue")[0].out_time_s == 2.0


def test_out_time_us_goes_before_the_others():
    assert blocks("out_time=00:00:09.0\nout_time_ms=8\nout_time_us=1500000\nprogress=end")[0].out_time_s == 1.5


def test_the_clock_alone_will_do_and_may_be_negative():
    assert blocks("out_time=01:02:03.500000\nprogress=continue")[0].out_time_s == 3723.5
    assert blocks("out_time=-00:00:00.040000\nprogress=continue")[0].out_time_s == -0.04


def test_a_value_does_not_leak_into_the_next_block():
    assert blocks("frame=7\nprogress=continue\nfps=1.0\nprogress=continue")[1].frames is None


def test_unknown_keys_and_garbage_are_as_good_as_absent():
    assert blocks("nonsense\n=\n===\nframe=many\nspeed=fast\nfps=nan\nnew_key=1\nout_time=1:2\nprogress=end") == [
        Progress(ended=True)
    ]


@given(
    st.lists(
        st.one_of(
            st.text(),
            st.builds(
                lambda key, value: f"{key}={value}",
                st.sampled_from(["frame", "fps", "out_time_us", "out_time", "total_size", "speed", "progress"]),
                st.one_of(st.text(), st.integers().map(str), st.floats().map(str)),
            ),
        )
    )
)
def test_no_line_makes_it_raise(lines: list[str]):
    parser = ProgressParser()
    for line in lines:
        parser.feed(line)
    assert parser.feed("progress=end") is not None

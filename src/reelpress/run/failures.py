"""Why a run of FFmpeg failed: exit code and stderr in, a class with its evidence out. Pure.

FFmpeg must run with ``-loglevel level+warning`` or a wordier level: only lines that carry ``warning`` or worse count,
so nothing a file says about itself (its title, its name in the dump of the input) can pass for an error. Rows are
anchored at the start of a message or at its end, never found in the middle, where file names stand.

FFmpeg 9 tells classes by exit code and text, 5.1 by text alone, and 5.1 exits with 0 on a full disk.
"""

from __future__ import annotations

import re
import signal

from reelpress.facts.failure import Failure, FailureKind
from reelpress.run import gpu_failures
from reelpress.run.gpu_failures import gpu_failure, is_about_nvdec
from reelpress.run.log_lines import Line, first_fit, read_lines, row
from reelpress.run.process import Stopped

_EVIDENCE_CHARS = 300
_DAMAGE_LINES = 20

K = FailureKind
# what is told before a crash is its cause
_CRASH_CAUSES = gpu_failures.KINDS | {K.OUT_OF_MEMORY}

_HINTS = {
    K.INPUT_UNREADABLE: "the file is missing, incomplete, or not a media file; get it again from where it came",
    K.INPUT_REFUSED: "the file is a playlist or names other files or hosts, which is refused for safety",
    K.NO_DECODER: "this FFmpeg cannot decode the codec; try a fuller build",
    K.TOO_MANY_PIXELS: "the picture is larger than the limit; raise the limit if the file can be trusted",
    K.DECODE_ERRORS: "the file is damaged; a decoder that tolerates errors may save part of it",
    K.ENCODER_MISSING: "this FFmpeg was built without the encoder; use another build or another encoder",
    K.ENCODER_REFUSED: "the encoder does not take this size, pixel format, rate or profile",
    K.OPTION_REJECTED: "this FFmpeg does not know the option or its value",
    K.FILTER_FAILED: "a filter is absent from this FFmpeg or does not take these arguments",
    K.OUTPUT_FULL: "free space, or a quota, ran out where the output is written",
    K.OUTPUT_LIMIT: "the output grew beyond the size it was allowed",
    K.OUTPUT_DENIED: "it cannot be written there; check the folder, its permissions, and how large a file may be",
    K.OUT_OF_MEMORY: "allow more memory, or use fewer threads or a smaller picture",
    K.CHECK_NOT_MET: "the output is not what the input promised; see the checks",
    K.AUDIO_NOT_MET: "the output's sound is not what the input promised; see the checks",
    K.CRASHED: "FFmpeg crashed; try another build, and keep the file for a bug report",
    K.KILLED: "somebody else ended it; when that was the kernel, memory ran out",
    K.CPU_LIMIT: "it used up its CPU seconds",
    K.STALLED: "it made no headway; the input or the device behind it hangs",
    K.TIMED_OUT: "it took longer than allowed; raise the limit or choose a faster preset",
    K.CANCELLED: "somebody asked for it to stop",
    K.STOPPED: "it was stopped on purpose",
    K.DRIVER_TOO_OLD: "this FFmpeg needs a newer NVIDIA driver; update it, or use an FFmpeg built for an older one",
    K.GPU_LIBRARY_MISSING: "in a container, set NVIDIA_DRIVER_CAPABILITIES=compute,video,utility",
    K.GPU_DRIVER_BROKEN: "the NVIDIA driver does not start; restart the machine after a driver update",
    K.NO_GPU_ENCODER: "this GPU has no video encoder, or the container cannot reach it",
    K.GPU_FEATURE_MISSING: "this GPU's encoder lacks a feature; the encode is tried without it",
    K.GPU_UNSUPPORTED: "this GPU's encoder does not take this codec, size or pixel format",
    K.SESSION_LIMIT: "all encoder sessions are in use; run fewer jobs at once on this GPU",
    K.GPU_OUT_OF_MEMORY: "the GPU's memory is full; run fewer jobs at once on this GPU",
    K.DEVICE_LOST: "the GPU or its driver failed; look at dmesg for Xid lines, restart the machine if it stays",
    K.GPU_DECODE_FAILED: "the GPU's decoder failed; the video is decoded on the CPU instead",
    K.GPU_COPY_FAILED: "copying pictures to or from the GPU failed; its output is not to be trusted",
    K.UNKNOWN: "read the whole of stderr; if the cause is there, it deserves a row in the table",
}

_STOPPED: dict[Stopped, FailureKind] = {
    "cancelled": K.CANCELLED,
    "wall_clock": K.TIMED_OUT,
    "stalled": K.STALLED,
    "caller": K.STOPPED,
    "cpu_limit": K.CPU_LIMIT,
    "memory": K.OUT_OF_MEMORY,
}
_SIGNALS: dict[int, FailureKind] = {
    signal.SIGXFSZ: K.OUTPUT_LIMIT,
    signal.SIGXCPU: K.CPU_LIMIT,
    signal.SIGKILL: K.KILLED,
    signal.SIGTERM: K.KILLED,
    signal.SIGINT: K.KILLED,
    signal.SIGHUP: K.KILLED,
    signal.SIGQUIT: K.KILLED,
}
# 9.0 returns the low byte of an error; 255 and 123 are what every version returns after signals, without a word.
_EXIT_CODES = {
    69: K.DECODE_ERRORS,
    123: K.KILLED,
    228: K.OUTPUT_FULL,
    229: K.OUTPUT_DENIED,
    244: K.OUT_OF_MEMORY,
    255: K.KILLED,
}


_WRITING = (
    r"^(av_interleaved_write_frame\(\)"
    r"|Error (writing trailer|closing file|muxing|submitting a packet to the muxer)).*: "
)
# What the muxer says of its file comes before what a GPU says, and that before the rows whose words a driver may use.
_OUTPUT_ROWS = (
    row(K.OUTPUT_FULL, _WRITING + r"(No space left on device|Disk quota exceeded)$", at_zero=True),
    # not our own limit, of which a program dies without a word (SIGXFSZ), but what the file system takes
    row(K.OUTPUT_DENIED, _WRITING + r"File too large$", at_zero=True),
)
_ROWS = (
    row(K.OUTPUT_FULL, r"(^|: |\()(No space left on device|Disk quota exceeded)\)?$"),
    row(K.OUTPUT_DENIED, r"(^|: |\()File too large\)?$"),
    row(K.OUT_OF_MEMORY, r"(^|: |\()Cannot allocate memory\)?$"),
    row(K.OUT_OF_MEMORY, r"^malloc of size \d+ failed"),
    row(K.OUT_OF_MEMORY, r"^pthread_create\(\) failed: Resource temporarily unavailable$"),
    row(K.OUT_OF_MEMORY, r"^Error allocating the (de|en)coder context"),
    row(K.OUT_OF_MEMORY, r"^error while loading shared libraries: .*: (failed to map segment|cannot allocate memory)"),
    row(K.INPUT_REFUSED, r"^(Format|Protocol '[^']*') not on whitelist '"),
    row(K.INPUT_REFUSED, r"^Unsafe file name '"),
    row(K.INPUT_REFUSED, r"^Not detecting m3u8/hls with non standard extension"),
    row(K.INPUT_REFUSED, r"^(Filename extension of|URL) .*(blocked for security reasons|is not in allowed_\w+)"),
    row(K.TOO_MANY_PIXELS, r"^Picture size \d+x\d+ exceeds specified max pixel count"),
    row(K.ENCODER_MISSING, r"^Unknown encoder '"),
    row(K.ENCODER_MISSING, r"^(Automatic encoder selection failed|Encoder \(codec .*\) not found)"),
    row(K.NO_DECODER, r"^Unknown decoder '"),
    row(K.NO_DECODER, r"^(Decoding requested, but no decoder found|Decoder \(codec [^)]*\) not found)"),
    row(K.DECODE_ERRORS, r"^Decode error rate \S+ exceeds maximum"),
    row(K.DECODE_ERRORS, r"(^|: )corrupt input packet in stream \d+$"),
    row(K.DECODE_ERRORS, r"^Cannot determine format of input (stream )?\d+:\d+ after EOF"),
    row(K.DECODE_ERRORS, r"^Application provided duration: -?\d+ "),  # times of the input that no MP4 can hold
    row(K.DECODE_ERRORS, r"^Empty output (stream|on stream)"),
    row(K.INPUT_UNREADABLE, r"^(Stream map '.*' matches no streams|Output file.* does not contain any stream)"),
    row(K.FILTER_FAILED, r"", contexts=r"^Parsed_\w+_\d+"),
    row(K.FILTER_FAILED, r"", contexts=r"^AVFilterGraph"),
    row(K.FILTER_FAILED, r"^(Error applying option '.*' to filter|Error (re)?initializing filters|No such filter)"),
    row(K.FILTER_FAILED, r"^(Failed to inject frame into filter network|Error (configuring|parsing) .*filter)"),
    row(K.FILTER_FAILED, r"^(Impossible to convert between the formats|Cannot find a matching stream for unlabeled)"),
    row(K.OPTION_REJECTED, r"^(Unrecognized option '|Missing argument for option|Failed to set value '.*' for option)"),
    row(
        K.OPTION_REJECTED,
        r"^(Error setting option|Value \S+ for parameter '\w+' out of)",
        not_contexts="^a?buffer|^graph",
    ),
    row(K.OPTION_REJECTED, r"^Error setting preset/tune "),
    row(K.OPTION_REJECTED, r"^Requested output format '.*' is not (known|a suitable)"),
    row(K.OPTION_REJECTED, r"^(Invalid duration |Error applying encoder options|Error splitting the argument list)"),
    row(K.OPTION_REJECTED, r"^Codec AVOption .* is not an? (en|de)coding option"),
    row(K.ENCODER_REFUSED, r"^(width|height) not divisible by"),
    row(K.ENCODER_REFUSED, r"^Specified (sample|pixel|channel|color) .* not supported"),
    row(K.ENCODER_REFUSED, r"^(Image size is too small|Error setting profile|Cannot open lib\w+ encoder)"),
    row(K.ENCODER_REFUSED, r"", contexts=r"^(x264|x265|Svt)$"),
    row(K.ENCODER_REFUSED, r"^Error while opening encoder", contexts=r"^[vas]ost#"),
    row(K.ENCODER_REFUSED, r"^Error initializing output stream \d+:\d+ -- Error while opening encoder"),
    row(K.ENCODER_REFUSED, r"^(Error submitting video frame to the encoder|Video encoding failed)"),
    row(K.OPTION_REJECTED, r"^(Could not find tag for codec|Only audio, video, and subtitles are supported)"),
    row(K.OUTPUT_DENIED, _WRITING + r"(Input/output error|Stale file handle|Broken pipe)$", at_zero=True),
    row(K.OUTPUT_DENIED, r"^File '.*' already exists\. Exiting\.$", at_zero=True),
    row(K.OUTPUT_DENIED, r"^Error opening output ", contexts=r"^out#"),
    row(K.OUTPUT_DENIED, r": Read-only file system$"),
    row(K.OPTION_REJECTED, r"^Could not write header"),
    row(K.INPUT_UNREADABLE, r"^moov atom not found$"),
    row(K.INPUT_UNREADABLE, r"^Error (opening input|opening input files|during demuxing): "),
    row(
        K.INPUT_UNREADABLE,  # 5.1 says no more than the name and the reason
        r"^(?!Error ).*: (No such file or directory|Invalid data found when processing input|Permission denied"
        r"|Is a directory|Not a directory|Protocol not found|Input/output error|File name too long)$",
        contexts=r"^$",
    ),
)
# Decoders and demuxers as 5.1 names them; 9 says "dec:" and "in#" besides. Some of the names are encoders' too.
_INPUT_SIDE = re.compile(
    r"^(in#|[vas]ist#|NULL$|mov,mp4|matroska,webm$|mpegts$|mpegp?s?$|avi$|flv$|asf|ogg$|wav$|h26[134]$|hevc$|vvc$|av1$"
    r"|libdav1d$|vp[89]$|vc1$|wmv\d|mpeg\d?video$|mpeg4$|msmpeg4|mjpeg$|prores$|dnxhd$|dvvideo$|theora$|rv\d\d$"
    r"|aac|mp[123]|ac3$|eac3$|dca$|truehd$|opus$|vorbis$|flac$|alac$|pcm_|wma)"
)
_DAMAGE = re.compile(
    r"[Cc]orrupt|[Tt]runcated|[Dd]amaged|Invalid NAL unit|Error splitting the input|missing picture in access unit"
    r"|error while decoding MB|concealing \d+|non-existing [PS]PS|[Nn]o frame!|decode_slice_header error|partial file"
    r"|ended prematurely|ends prematurely|PES packet size mismatch|Continuity check failed|SPS decoding failure"
    r"|Error (while decoding|submitting packet to decoder)|Decoding error|Could not find ref|Missing reference"
)

# What decoders also say of a whole stream, where they begin between its keyframes.
_MISSED_REFERENCE = re.compile(
    r"co located POCs unavailable|mmco: unref short failure|reference picture missing during reorder"
    r"|Missing reference picture|Could not find ref with POC|Error constructing the frame RPS"
)


def classify(
    returncode: int, stderr_tail: str, stopped: Stopped | None, *, output: str | None = None
) -> Failure | None:
    """Return why a run failed, or ``None`` for one that did not.

    ``output`` is the output as FFmpeg was given it; 5.1 reports an input and an output that cannot be opened in the
    same words, and only the name tells which. A run that exits with 0 has failed all the same when it says that it
    could not write its output, or that a GPU dropped or spoiled pictures.
    """
    if stopped is not None:
        return _failure(_STOPPED[stopped], f"stopped: {stopped}")
    lines = list(read_lines(stderr_tail))
    found = _first(lines, at_zero=returncode == 0)
    if returncode == 0:
        return found
    if returncode < 0:
        kind = _SIGNALS.get(-returncode, K.CRASHED)
        told_why = kind is K.CRASHED and found is not None and found.kind in _CRASH_CAUSES
        return found if told_why else _failure(kind, f"ended by signal {_signal_name(-returncode)}")
    if output is not None and (found is None or found.kind is K.INPUT_UNREADABLE):
        for line in lines:
            if line.is_error and not line.contexts and line.message.startswith(f"{output}: "):
                return _failure(K.OUTPUT_DENIED, str(line))
    return found or _by_exit_code(returncode, lines, stderr_tail)


def _by_exit_code(returncode: int, lines: list[Line], stderr_tail: str) -> Failure:
    last_error = next((str(line) for line in reversed(lines) if line.is_error), "")
    if returncode in _EXIT_CODES:
        return _failure(_EXIT_CODES[returncode], last_error or f"exit code {returncode} and no error message")
    if damage := decode_damage(stderr_tail):
        return _failure(K.DECODE_ERRORS, damage[0])
    last_line = stderr_tail.strip().rpartition("\n")[2]
    return _failure(K.UNKNOWN, last_error or last_line or f"exit code {returncode} and no error message")


def decode_damage(stderr_tail: str, *, is_sought: bool = False) -> tuple[str, ...]:
    """Return what a run says about damage of its input, each kind of message once, at most 20.

    Meant for runs that exit with 0, as FFmpeg does on files that are cut short or have flipped bits. For one that
    ``is_sought``, begun in the middle of its input, pictures missing that others refer to are no sign of damage.
    """
    seen: dict[str, str] = {}
    for line in read_lines(stderr_tail):
        is_input_side = _INPUT_SIDE.search(line.contexts) is not None
        is_decoder_report = not line.contexts and _DAMAGE.search(line.message) is not None  # 5.1
        if is_about_nvdec(line) or (is_sought and _MISSED_REFERENCE.search(line.message)):
            continue
        if (is_input_side and (line.is_error or _DAMAGE.search(line.message))) or is_decoder_report:
            seen.setdefault(re.sub(r"-?\d+", "0", str(line)), str(line)[:_EVIDENCE_CHARS])
    return tuple(seen.values())[:_DAMAGE_LINES]


def _first(lines: list[Line], *, at_zero: bool) -> Failure | None:
    found = (
        first_fit(_OUTPUT_ROWS, lines, at_zero=at_zero)
        or gpu_failure(lines, at_zero=at_zero)
        or first_fit(_ROWS, lines, at_zero=at_zero)
    )
    return _failure(found[0], str(found[1])) if found else None


def _failure(kind: FailureKind, evidence: str) -> Failure:
    return Failure(kind=kind, evidence=evidence[:_EVIDENCE_CHARS], hint=_HINTS[kind])


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else str(number)

"""What FFmpeg says when NVENC, NVDEC or CUDA fail it, and which failure each text is. Pure.

The texts before the last colon are FFmpeg's, from 5.1 to 9; what follows is the driver's and may be anything. Every row
is tied to who speaks (the encoder, the device, a filter, a decoder), because ``h264_nvenc`` and ``cuda`` also stand in
healthy logs, in logs of other failures and in titles of files.

"No capable devices found" is what the encoder says of every refusal; the reason is a line before it, often a warning.
A decoder that NVDEC refuses is no failure: FFmpeg then decodes in software, see :func:`decoded_in_software`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reelpress.facts.failure import FailureKind
from reelpress.run.log_lines import Line, first_fit, read_lines, row

K = FailureKind

_ENCODER = r"^(h264|hevc|av1)_nvenc$"
_DECODER = r"^(h26[34]|hevc|av1|vp[89]|vc1|wmv3|mpeg[12]video|mpeg4|mjpeg)(_cuvid)?$"
_DEVICE = r"^(CUDA|AVHWDeviceContext|AVHWFramesContext)$"  # 9's name, then 5.1's
_FILTER = r"^(Parsed_\w+|hwupload|hwdownload)$"
_ENCODER_OR_DEVICE = f"{_ENCODER}|{_DEVICE}"
_ANYBODY = f"{_ENCODER}|{_DECODER}|{_DEVICE}|{_FILTER}"


def _call(name: str, error: str = "") -> str:
    """Return the pattern of a failed call; another thread's line may take the place of the error after "failed"."""
    return rf"^(\w+->)*{name}\(((?!\) failed).)*\) failed" + (rf" -> CUDA_ERROR_{error}\b" if error else "")


# NVDEC answers the first two when it refuses a stream, and FFmpeg decodes in software; at the third all is decoded.
_NOT_NVDEC_SETUP = r"(?!cuvid(GetDecoderCaps|CreateDecoder|DestroyDecoder))cu\w+"
_NOT_NVDEC = r"(?!cuvid)cu\w+"
_KERNELS_REFUSED = r"(UNSUPPORTED_PTX_VERSION|NO_BINARY_FOR_GPU|INVALID_PTX|INVALID_IMAGE|JIT_\w+|NOT_FOUND)"

# Ordered by what they say of the device, the most lasting first: once it fails midway, every later call fails as well.
_CAUSES = (
    row(K.DRIVER_TOO_OLD, r"^Driver does not support the required nvenc API version", contexts=_ENCODER),
    row(K.DRIVER_TOO_OLD, r"^Failed to create nvenc instance: invalid version \(15\)", contexts=_ENCODER),
    row(K.DRIVER_TOO_OLD, r"^Cannot load (cu|Nv)\w+$", contexts=_ENCODER_OR_DEVICE),  # a function the driver lacks
    row(K.GPU_LIBRARY_MISSING, r"^Cannot load lib[\w-]+\.so", contexts=_ENCODER_OR_DEVICE),
    row(K.GPU_OUT_OF_MEMORY, _call("cuInit", "OUT_OF_MEMORY"), contexts=_ENCODER_OR_DEVICE),
    row(K.GPU_DRIVER_BROKEN, _call("cu(Init|DeviceGet|DeviceGetCount)"), contexts=_ENCODER_OR_DEVICE),
    row(K.GPU_DRIVER_BROKEN, r"^No CUDA capable devices found", contexts=_ENCODER),
    row(K.GPU_DRIVER_BROKEN, r"^Failed to (create nvenc instance|query nvenc max version)", contexts=_ENCODER),
    # Newer drivers answer 21 where older ones answer 10; 10 is also said for want of memory, and waiting serves both.
    row(K.SESSION_LIMIT, r"^OpenEncodeSessionEx failed: [^:]*\((10|21|18)\)", contexts=_ENCODER),
    # Busy, not broken: another process has the device for itself (exclusive mode), or it is being reset.
    row(K.SESSION_LIMIT, _call(_NOT_NVDEC, "DEVICE_UNAVAILABLE"), contexts=_ANYBODY),
    row(K.NO_GPU_ENCODER, r"^OpenEncodeSessionEx failed: [^:]*\([12]\)", contexts=_ENCODER),
    row(K.DRIVER_TOO_OLD, r"^OpenEncodeSessionEx failed: [^:]*\(15\)", contexts=_ENCODER),
    row(
        K.GPU_UNSUPPORTED,
        r"^(InitializeEncoder failed|Cannot get the preset configuration): [^:]*\((2|8|9|12|22)\)",
        contexts=_ENCODER,
    ),
    row(K.GPU_UNSUPPORTED, r"^AV1 High Profile not supported|^Too many registered CUDA frames", contexts=_ENCODER),
    row(K.GPU_UNSUPPORTED, _call(r"cuModule\w+", _KERNELS_REFUSED), contexts=_ANYBODY),
    row(K.GPU_OUT_OF_MEMORY, _call(_NOT_NVDEC_SETUP, "OUT_OF_MEMORY"), contexts=_ANYBODY, at_zero=True),
    row(K.GPU_OUT_OF_MEMORY, r"^[A-Z][\w ]+(failed!?)?: out of memory \(10\)", contexts=_ENCODER),
    row(
        K.DEVICE_LOST,  # of EncodePicture's errors, 18 (busy) is asked again by FFmpeg and costs nothing
        r"^(OpenEncodeSessionEx failed|InitializeEncoder failed|Cannot get the preset configuration"
        r"|Create(Input|Bitstream)Buffer failed|Failed (un)?locking [\w ]*buffer|Failed unmapping input resource"
        r"|Failed unregistering unused input resource|Error (mapping|registering) an input resource"
        r"|EncodePicture failed!(?!: [^:]*\(18\)))",
        contexts=_ENCODER,
    ),
    row(
        K.DEVICE_LOST,
        _call(r"(?!cuMemcpy|cuMemset|cuStreamSynchronize)" + _NOT_NVDEC),
        contexts=_ANYBODY,
        at_zero=True,
    ),
    row(K.GPU_DECODE_FAILED, _call(r"(?=cuvid)" + _NOT_NVDEC_SETUP), contexts=f"{_DECODER}|{_DEVICE}", at_zero=True),
    row(K.GPU_DECODE_FAILED, r"^No decoder surfaces left", contexts=_DECODER, at_zero=True),
    row(K.GPU_COPY_FAILED, _call(_NOT_NVDEC), contexts=_ANYBODY, at_zero=True),
)
# Said when an encoder does not open, whatever the reason; without a reason there is nothing it could encode with.
_REFUSALS = (
    row(
        K.NO_GPU_ENCODER,
        r"^(No capable devices found|Provided device doesn't support required NVENC features)$",
        contexts=_ENCODER,
    ),
)
# Of one encoder that does not open these are the reason; another GPU's may stand before an encoder that does.
_REASONS = (
    row(
        K.GPU_UNSUPPORTED,
        r"^(Codec|10 bit encode|YUV4\d\dP|Lossless encoding|Interlaced encoding is|Multiview) not supported"
        r"|^(Width|Height) \d+ exceeds \d+",
        contexts=_ENCODER,
        in_warnings=True,
    ),
    row(
        K.GPU_FEATURE_MISSING,
        r"^Max B-frames \d+ exceed \d+"
        r"|^(Each|Middle|Hierarchical) B frame (as reference|reference mode) is not supported"
        r"|^(B frames as references|Multiple reference frames) are not supported"
        r"|^(RC lookahead|Lookahead level|Temporal AQ|Temporal filtering|Weighted Prediction|CABAC entropy coding"
        r"|Single slice intra refresh|Intra refresh|Constrained encoding|Unidirectional B-Frames) not supported",
        contexts=_ENCODER,
        in_warnings=True,
    ),
)

_SETUP_FAILED = re.compile(r"^Failed setup for format cuda: ")
_WHY_REFUSED = re.compile(
    r"^(Hardware is lacking required capabilities|Video (width|height) \d+ not within range"
    r"|Video macroblock count \d+ exceeds|Cannot load (lib|cu)|Failed loading nvcuvid"
    rf"|Unsupported (chroma format|bit depth|codec)|{_call('cuvid(GetDecoderCaps|CreateDecoder)')[1:]})"
)
_CUDA_CALL = re.compile(_call(r"cu\w+"))
_NVDEC_CONSEQUENCE = re.compile(
    r"^hardware accelerator failed to decode picture$|^No decoder surfaces left|: Generic error in an external library$"
)
_NO_WAY_TO_CUDA = re.compile(r"^Impossible to convert between the formats supported by the filter ")
_VERSIONS = re.compile(
    r"^(?:\[[^\[\]]+\] )*Driver does not support the required nvenc API version\. "
    r"Required: (\d+\.\d+) Found: (\d+\.\d+)$",
    re.MULTILINE,
)

KINDS = frozenset(each.kind for each in (*_CAUSES, *_REASONS))


def gpu_failure(lines: Sequence[Line], *, at_zero: bool) -> tuple[FailureKind, Line] | None:
    """Return the failure of the GPU these lines tell of, with the line; ``at_zero``: although FFmpeg exited with 0.

    A failed copy is one of them: FFmpeg ignores it and goes on with whatever was in memory.
    """
    if found := first_fit(_CAUSES, lines, at_zero=at_zero):
        return found
    if refusal := first_fit(_REFUSALS, lines, at_zero=at_zero):
        return first_fit(_REASONS, lines, at_zero=at_zero) or refusal
    if not at_zero and any(line.is_error and _NO_WAY_TO_CUDA.match(line.message) for line in lines):
        # the filters took only what NVDEC would have delivered; another chain of filters decodes in software
        why = _refused_by_nvdec(lines)
        return (K.GPU_DECODE_FAILED, why) if why else None
    return None


def decoded_in_software(stderr_tail: str) -> str | None:
    """Return why NVDEC refused the input, so that FFmpeg decoded in software; ``None`` when no refusal was logged.

    That is no failure. Not every refusal is logged: of formats that it knows NVDEC never takes, 5.1 does not even ask.
    """
    why = _refused_by_nvdec(list(read_lines(stderr_tail)))
    return None if why is None else str(why)


def nvenc_versions(text: str) -> tuple[str, str] | None:
    """Return the NVENC API versions (required by FFmpeg, found in the driver), as ``("13.1", "12.1")``.

    ``text`` is a log or the evidence of a :attr:`~reelpress.facts.failure.FailureKind.DRIVER_TOO_OLD`; ``None`` where
    it does not tell them.
    """
    found = _VERSIONS.search(text)
    return (found[1], found[2]) if found else None


def is_about_nvdec(line: Line) -> bool:
    """Tell whether a decoder speaks of NVDEC in this line, not of the input it decodes."""
    return any(
        pattern.search(line.message) for pattern in (_SETUP_FAILED, _WHY_REFUSED, _CUDA_CALL, _NVDEC_CONSEQUENCE)
    )


def _refused_by_nvdec(lines: Sequence[Line]) -> Line | None:
    decoder = re.compile(_DECODER)
    said = [line for line in lines if line.is_error and decoder.search(line.contexts)]
    at = next((n for n, line in enumerate(said) if _SETUP_FAILED.match(line.message)), None)
    if at is None:
        return None
    return next((line for line in said[:at] if _WHY_REFUSED.match(line.message)), said[at])

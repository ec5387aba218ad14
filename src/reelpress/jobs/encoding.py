"""How this worker encodes: its machine, and what it makes of the settings of a job."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reelpress.api import policy_from
from reelpress.clip_request import ClipRequest
from reelpress.errors import UsageError
from reelpress.facts.host import HostFacts
from reelpress.jobs.model import JobSpec
from reelpress.observe.prices import Tariff
from reelpress.policy import RunPolicy
from reelpress.probe.host import probe_host
from reelpress.request import Request
from reelpress.settings import Settings, check_hardware, load, request_from, split_size
from reelpress.settings_table import BY_NAME

# What a caller may set for a job, by the names of the settings table; the rest is the operator's.
JOB_SETTINGS = (
    "codec", "preset", "gpu_preset", "crf", "target_vmaf", "max_width", "max_height", "max_fps", "audio_bitrate_bps",
    "audio_channels", "hdr", "min_saving", "decode_check",
)  # fmt: skip


class Encoding:
    """Settings in force on this machine, and what was found out about it."""

    def __init__(self, settings: Settings, host: HostFacts, *, at_once: int = 1) -> None:
        self.settings, self.host, self.at_once = settings, host, at_once
        self._policy: RunPolicy | None = None

    @classmethod
    def here(cls, settings: Settings | None = None) -> Encoding:
        """Look at this machine; ``settings`` ``None`` reads them. Raises :class:`UsageError` for bad ones."""
        chosen = settings or load()
        return cls(chosen, probe_host(ffmpeg=chosen.ffmpeg, cache_dir=chosen.cache_path))

    @property
    def policy(self) -> RunPolicy:
        """How long and with what a run may go on. Raises :class:`UsageError` for prices that are none."""
        if self._policy is None:
            self._policy = msgspec.structs.replace(policy_from(self.settings), at_once=self.at_once)
        return self._policy

    @property
    def tariff(self) -> Tariff:
        """What a job is charged on this machine."""
        return self.policy.tariff(self.host)

    @property
    def face_model(self) -> Path | None:
        """The model that finds faces, where there is one. Raises :class:`UsageError` for one that is not there."""
        from reelpress.reframe.face_model import find_face_model

        return find_face_model(self.settings.face_model, self.settings.cache_path)

    def clip_request(self, wanted: ClipRequest) -> ClipRequest:
        """Return what a clip asks of the engine, over the operator's settings."""
        settings = self.settings
        return msgspec.structs.replace(
            wanted, hardware="auto" if settings.use_gpu else "off", max_pixels=settings.max_pixels,
            threads=settings.threads, calibration=settings.calibration,
        )  # fmt: skip

    def request_of(self, spec: JobSpec) -> Request:
        """Return what a job asks of the engine. Raises :class:`UsageError` for settings that cannot be meant."""
        return request_of(spec, self.settings)


def request_of(spec: JobSpec, base: Settings) -> Request:
    """Return what ``spec`` asks for, over the operator's settings. Raises :class:`UsageError`."""
    chosen = load(spec.settings, base=base)
    return request_from(chosen, hardware=spec.hardware, always_encode=spec.always_encode)


def accepted_settings(given: dict[str, str]) -> dict[str, str]:
    """Return settings of a job by their names in the table; ``max_size`` and ``audio_bitrate`` are taken as on the CLI.

    Raises :class:`UsageError` for names that are none, and for what only the operator sets.
    """
    out: dict[str, str] = {}
    for name, text in given.items():
        if name == "max_size":
            width, height = split_size(text)
            out |= {"max_width": str(width), "max_height": str(height)}
        elif name == "audio_bitrate":
            out["audio_bitrate_bps"] = text
        elif name in JOB_SETTINGS and name in BY_NAME:
            out[name] = text
        else:
            hint = f"accepted: {', '.join((*JOB_SETTINGS, 'max_size', 'audio_bitrate'))}"
            raise UsageError(f"{name!r} is not a setting of a job.", hint=hint)
    return out


def check_spec(spec: JobSpec, base: Settings) -> None:
    """Raise :class:`UsageError` for a job that could only fail."""
    check_hardware(spec.hardware)
    request_of(spec, base)

"""A clip of an export: the video is opened, the clip analysed, rendered and checked, and put into the store."""

from __future__ import annotations

from math import ceil

import msgspec

from reelpress.clip_engine import cut_clip
from reelpress.clip_request import ClipRequest
from reelpress.errors import UsageError
from reelpress.events import Analysed, AttemptFailed, AttemptStarted, Checked, Event, Progressed
from reelpress.facts.framing import Framing
from reelpress.facts.values import Value, from_json, to_json
from reelpress.jobs.claiming import Claim
from reelpress.jobs.clip_model import ClipDetails, ClipFile, ClipWanted, StoredObject
from reelpress.jobs.desk import JSON, MP4, Desk, OnShare
from reelpress.jobs.encoding import Encoding
from reelpress.jobs.exports import place_of
from reelpress.jobs.house import House
from reelpress.jobs.kinds import Delivered, Do
from reelpress.jobs.model import CLIP_STARTS, JobResult, Stage, Starts
from reelpress.jobs.stages import raise_for
from reelpress.jobs.subtitles import subtitle_files
from reelpress.jobs.video_reading import Ready, VideoReading
from reelpress.plan.platforms import platform_warnings
from reelpress.receipt import Receipt
from reelpress.run.process import CancelToken
from reelpress.storage.keys import safe_name
from reelpress.storage.scratch import Need

# The rate that plans of clips are capped at, with sound and some more: what a clip may take of the disk.
_MOST_BPS = 16_000_000
_LEAST_BYTES = 16 * 2**20


class Cut(Value, frozen=True, kw_only=True):
    """What the engine made: a file in the job's folder."""

    file: str
    size_bytes: int
    sha256: str
    receipt: str
    details: ClipDetails


class Kept(Value, frozen=True, kw_only=True):
    """What is in the store now. ``made`` tells of the clip that is there, should it have been made anew."""

    output: StoredObject
    receipt: StoredObject
    made: Cut


class ClipStages(Desk):
    """The stages of a claim on a clip."""

    def __init__(self, house: House, encoding: Encoding, claim: Claim, cancel: CancelToken, on_share: OnShare) -> None:
        super().__init__(house, encoding, claim, cancel, on_share, place=place_of(claim.job.parent or ""))
        self._details = ClipDetails()

    @property
    def wants(self) -> ClipWanted:
        """What clip to cut. Raises :class:`UsageError`."""
        if not isinstance(self.spec.wants, ClipWanted):
            raise UsageError("The job does not say what clip to cut.")
        return self.spec.wants

    @property
    def starts(self) -> Starts:
        """How far the job is when each stage begins."""
        return CLIP_STARTS

    @property
    def name(self) -> str:
        """What the clip's files are called, without an ending: numbered, so that no two of an export are alike."""
        return f"{self.wants.index + 1:02d}-{safe_name(self.wants.draft.name, fallback='clip')}"

    def run(self, do: Do) -> Delivered:
        """Do all stages."""
        with VideoReading(self) as video:
            do("fetch", video.make_ready, Ready)
            made = do("analyse", lambda: self.cut(video), Cut)
            kept = do("store", lambda: self.store(video, made), Kept)
            return Delivered(
                result=self._result(video, kept), receipt=kept.made.receipt, details=kept.made.details
            )  # fmt: skip

    def cut(self, video: VideoReading) -> Cut:
        """Have the engine do its work: analyse, plan, render and check, all explained in its receipt."""
        self.make_folder()
        target = self.folder / f"clip.{self.claim.fence}.mp4"
        request = self._request()
        need = Need(input_bytes=0, output_bytes=ceil(_MOST_BPS / 8 * max(request.duration_s, 0)) + _LEAST_BYTES)
        settings = self.encoding.settings
        source = video.source  # before room is asked for: bringing it needs room, too, and must not wait for this job's
        with self.house.scratch.reserve(need, job_folder=self.folder):
            receipt = cut_clip(
                source, video.details.facts, target, host=self.encoding.host, request=request,
                policy=self.encoding.policy, face_model=self.encoding.face_model, cache_dir=settings.cache_path,
                overwrite=True, on_event=self.listening(self._on_event), cancel=self.cancel, job_id=self.job.id,
            )  # fmt: skip
        self.raise_if_lost()
        receipt = self.explained(msgspec.structs.replace(receipt, input=video.details.source.name, output=None))
        raise_for(receipt)
        made = receipt.result
        if made is None or made.sha256 is None:
            raise UsageError("The engine delivered no clip.", evidence=receipt.status)
        return Cut(
            file=target.name, size_bytes=made.size_bytes, sha256=made.sha256, receipt=to_json(receipt).decode(),
            details=self._described(receipt),
        )  # fmt: skip

    def store(self, video: VideoReading, made: Cut) -> Kept:
        """Put the clip, its receipt and its captions into the store, proved by reading back."""
        key = f"{self.key_folder}/{self.name}.mp4"
        output = None
        if not (self.folder / made.file).is_file():  # it was made on another machine
            output = self.find_stored(key, made.size_bytes, made.sha256)
            if output is None:
                made = self.cut(video)
        if output is None:
            output = self.put(self.folder / made.file, key, MP4, sha256=made.sha256, stage="store")
        self.make_folder()
        receipt = self._put_text(made.receipt, f"{self.name}.receipt.json", JSON)
        for ending, (text, content_type) in subtitle_files(self.wants.draft).items():
            self._put_text(text, f"{self.name}.{ending}", content_type)
        return Kept(output=output, receipt=receipt, made=made)

    def _put_text(self, text: str, name: str, content_type: str) -> StoredObject:
        path = self.folder / f"{self.claim.fence}.{name}"
        path.write_text(text)
        return self.put(path, f"{self.key_folder}/{name}", content_type)

    def _request(self) -> ClipRequest:
        wants, draft = self.wants, self.wants.draft
        request = self.encoding.clip_request(
            ClipRequest(
                start_s=draft.start_s, end_s=draft.end_s, name=draft.name or None, width=wants.width,
                height=wants.height, layout=draft.layout, framing=draft.framing, captions=draft.captions,
            )
        )  # fmt: skip
        return msgspec.structs.replace(request, hardware=self.hardware(request.hardware))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Progressed):
            if event.percent is not None:
                stage: Stage = "analyse" if event.stage == "analyse" else "render"
                self.on_share(stage, event.percent / 100, event.eta_s, event.speed)
        elif isinstance(event, Analysed):
            self._note_framing(event.framing)
        elif isinstance(event, AttemptStarted):
            self.on_share("render", 0.0, None, None)
            self._note_encoder(event)
        elif isinstance(event, AttemptFailed):
            self._details = msgspec.structs.replace(self._details, fallback=f"{event.encoder}: {event.evidence}")
        elif isinstance(event, Checked):
            self.tell("check", 0.0)

    def _note_framing(self, framing: Framing) -> None:
        self._details = msgspec.structs.replace(self._details, framing=framing, warnings=framing.warnings)
        rules = [shot.rule for shot in framing.shots]
        layouts = [shot.layout for shot in framing.shots]
        self.note(
            self._details, "framed", {"rules": rules, "layouts": layouts, "warnings": list(framing.warnings)}
        )  # fmt: skip

    def _note_encoder(self, event: AttemptStarted) -> None:
        device = "nvidia" if event.gpu is not None else "cpu"
        self._details = msgspec.structs.replace(self._details, encoder=event.encoder, device=device)
        data = {"encoder": event.encoder, "device": device, "fallback": self._details.fallback}
        self.note(self._details, "encoder", data)

    def _described(self, receipt: Receipt) -> ClipDetails:
        record, made = receipt.clip, receipt.result
        file = None
        if record is not None and made is not None:
            file = ClipFile(
                file_name=f"{self.name}.mp4", size_bytes=made.size_bytes, sha256=made.sha256 or "",
                duration_s=made.duration_s, width=record.width, height=record.height,
                fps=float(record.fps), loudness_lufs=record.loudness_lufs,
                true_peak_dbtp=record.true_peak_dbtp,
            )  # fmt: skip
        warnings = (*receipt.warnings, *(record.warnings if record is not None else ()), *self._platform(file))
        return msgspec.structs.replace(
            self._details, encoder=receipt.encoder, device=receipt.device, file=file,
            warnings=tuple(dict.fromkeys(warnings)),
            framing=record.framing if record is not None else self._details.framing,
        )  # fmt: skip

    def _platform(self, file: ClipFile | None) -> tuple[str, ...]:
        wants = self.wants
        if wants.platform is None or file is None:
            return ()
        return platform_warnings(
            wants.platform, duration_s=file.duration_s or wants.draft.end_s - wants.draft.start_s, width=wants.width,
            height=wants.height, fps=file.fps, size_bytes=file.size_bytes,
        )  # fmt: skip

    def _result(self, video: VideoReading, kept: Kept) -> JobResult:
        receipt = from_json(kept.made.receipt, Receipt)
        source = video.details.source
        return JobResult(
            outcome="encoded", encoder=receipt.encoder, device=receipt.device,
            input_key=source.value if source.kind == "object" else None, input_bytes=source.size_bytes,
            output=kept.output, receipt=kept.receipt, saved_share=None, usd=receipt.usd, wall_s=receipt.wall_s,
            warnings=receipt.warnings,
        )  # fmt: skip

"""What is found out about a stretch of a video: where the vertical window goes, or what is said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import msgspec

from reelpress.captions.transcribed import from_transcript
from reelpress.errors import InputError, UsageError
from reelpress.facts.captions import Captions
from reelpress.facts.framing import Framing
from reelpress.facts.transcript import Segment, TranscriptDocument, Word
from reelpress.facts.values import from_json
from reelpress.jobs.clip_model import AnalysisDetails, AnalysisWanted
from reelpress.jobs.desk import Desk
from reelpress.jobs.kinds import Delivered, Do
from reelpress.jobs.model import ANALYSIS_STARTS, Starts
from reelpress.jobs.sound import extract_sound
from reelpress.jobs.video_reading import Ready, VideoReading
from reelpress.reframe.analysis import frame_clip
from reelpress.transcribe.options import TranscribeOptions
from reelpress.transcribe.transcribe import transcribe

# Of the stage, extracting the sound takes little.
_SOUND_SHARE = 0.1


class AnalysisStages(Desk):
    """The stages of a claim on an analysis."""

    @property
    def starts(self) -> Starts:
        """How far the job is when each stage begins."""
        return ANALYSIS_STARTS

    def run(self, do: Do) -> Delivered:
        """Do all stages."""
        with VideoReading(self) as video:
            do("fetch", video.make_ready, Ready)
            return Delivered(details=do("analyse", lambda: self.analyse(video), AnalysisDetails))

    def analyse(self, video: VideoReading) -> AnalysisDetails:
        """Find out what was asked."""
        wanted = self.spec.wants
        if not isinstance(wanted, AnalysisWanted):
            raise UsageError("The job does not say what to find out.")
        self.make_folder()
        if wanted.about == "framing":
            return AnalysisDetails(framing=self._framing(video, wanted))
        return AnalysisDetails(captions=self._captions(video, wanted))

    def _framing(self, video: VideoReading, wanted: AnalysisWanted) -> Framing:
        return frame_clip(
            video.source, video.details.facts, ffmpeg=self.encoding.host.ffmpegs[0].path, start_s=wanted.start_s,
            end_s=wanted.end_s, layout=wanted.layout, aspect=Fraction(wanted.width, wanted.height),
            face_model=self.encoding.face_model, cache_dir=self.encoding.settings.cache_path, cancel=self.cancel,
            spend=lambda _cpu_s: None, on_share=lambda share: self.tell("analyse", share),
        )  # fmt: skip

    def _captions(self, video: VideoReading, wanted: AnalysisWanted) -> Captions:
        model = self.house.settings.transcribe_model
        if model is None:
            raise UsageError("There is no model to transcribe with.", hint="Set REELPRESS_TRANSCRIBE_MODEL.")
        sound = extract_sound(
            video.source, video.details.facts, self.folder / "sound.wav", ffmpeg=self.encoding.host.ffmpegs[0].path,
            start_s=wanted.start_s, end_s=wanted.end_s, cancel=self.cancel,
        )  # fmt: skip
        self.tell("analyse", _SOUND_SHARE)
        if sound is None:
            raise InputError("The video has no sound.", reason="no_audio")
        made = transcribe(
            sound, self.folder, stem="captions", cancel=self.cancel,
            options=TranscribeOptions(model=model, language=wanted.language),
            on_progress=lambda share: self.tell("analyse", _SOUND_SHARE + share * (1 - _SOUND_SHARE)),
        )  # fmt: skip
        document = from_json(Path(made.json.path).read_bytes(), TranscriptDocument)
        return from_transcript(_on_programme(document, wanted.start_s))


def _on_programme(document: TranscriptDocument, start_s: float) -> TranscriptDocument:
    """Return a transcript of a stretch with the times of the programme."""

    def word(one: Word) -> Word:
        return msgspec.structs.replace(one, start_s=one.start_s + start_s, end_s=one.end_s + start_s)

    def segment(one: Segment) -> Segment:
        return msgspec.structs.replace(
            one, start_s=one.start_s + start_s, end_s=one.end_s + start_s, words=tuple(map(word, one.words))
        )

    return msgspec.structs.replace(document, segments=tuple(map(segment, document.segments)))

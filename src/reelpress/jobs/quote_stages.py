"""The stages of a quote: fetch the input, find out, and keep nothing but the answer."""

from __future__ import annotations

import time

import msgspec

from reelpress.errors import UsageError
from reelpress.jobs.database import persist
from reelpress.jobs.fetching import Fetched
from reelpress.jobs.input_desk import InputDesk
from reelpress.jobs.kinds import Delivered, Do
from reelpress.jobs.ledger import last_entry, lines
from reelpress.jobs.model import QUOTE_STARTS, QuoteWanted, Starts
from reelpress.jobs.quotes import QuoteDetails
from reelpress.quoting.prediction import ErrorTable, learned
from reelpress.quoting.quote import QuoteOptions, quote_file
from reelpress.storage.scratch import Need

# Of so long, and so many, the jobs tell how far off quotes are here.
_LEARN_S, _LEARN_LINES = 30 * 86_400.0, 5000
# What a quote writes: a whole short job, and three stretches of two seconds without loss.
_SCRATCH_BYTES = 300_000_000


class QuoteStages(InputDesk):
    """The stages of a claim on a quote."""

    @property
    def starts(self) -> Starts:
        """How far the job is when each stage begins."""
        return QUOTE_STARTS

    def run(self, do: Do) -> Delivered:
        """Do all stages."""
        fetched = do("fetch", self.fetch, Fetched)
        return Delivered(details=do("analyse", lambda: self.find_out(fetched), QuoteDetails))

    def find_out(self, fetched: Fetched) -> QuoteDetails:
        """Make the quote. Raises :class:`InputError` for what cannot be used, or is longer than is allowed."""
        wanted = self.spec.wants
        if not isinstance(wanted, QuoteWanted):
            raise UsageError("The job does not say what to quote.")
        source = self.source(fetched)
        self.look(source)
        scratch = self.folder / f"quote.{self.claim.fence}"
        scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        request = self.encoding.request_of(self.spec)
        request = msgspec.structs.replace(request, hardware=self.hardware(request.hardware))
        options = QuoteOptions(
            codecs=wanted.codecs, quick=wanted.quick, budget_s=wanted.budget_s, errors=self._errors(),
            looked_at=True,
        )  # fmt: skip
        need = Need(input_bytes=0, output_bytes=min(fetched.size_bytes, _SCRATCH_BYTES) + _SCRATCH_BYTES)
        with self.house.scratch.reserve(need, job_folder=scratch):
            made = quote_file(
                source, scratch, host=self.encoding.host, request=request,
                options=options, policy=self.encoding.policy, named=fetched.name, number=self.job.id,
                cancel=self.cancel,
            )  # fmt: skip
        return QuoteDetails(quote=made)

    def _errors(self) -> ErrorTable:
        def read() -> ErrorTable:
            with self.house.database.reading() as connection:
                newest = last_entry(connection)
                found = lines(connection, since=time.time() - _LEARN_S, after_seq=newest - _LEARN_LINES)
                return learned([entry for _, entry in found])

        return persist(read, give_up=self.is_cancelled)

"""What the stages of jobs share whose input is a file to be fetched whole, and worked on more than once."""

from __future__ import annotations

from pathlib import Path

from reelpress.errors import InputError
from reelpress.jobs.desk import Desk
from reelpress.jobs.fetching import Fetched, fetch_input


class InputDesk(Desk):
    """A claim's place of work with its input."""

    def fetch(self) -> Fetched:
        """Bring the input here. Its size is promised room before the first byte comes."""
        self.make_folder()
        return fetch_input(
            self.house, self.spec.input, self.folder, cancel=self.cancel,
            max_bytes=self.house.settings.max_upload_bytes, on_share=lambda share: self.tell("fetch", share),
        )  # fmt: skip

    def source(self, fetched: Fetched) -> Path:
        """Make the job's folder, and return the input as a file of this machine, fetched again where it is not here.

        Raises :class:`InputError` where it is another one by now.
        """
        self.make_folder()  # who goes on with a file that stays where it is has fetched nothing
        path = Path(fetched.path) if fetched.is_foreign else self.folder / fetched.path
        if path.is_file() and path.stat().st_size == fetched.size_bytes:
            return path
        again = self.fetch()
        if again.sha256 != fetched.sha256:
            raise InputError("The input changed since this job began.", evidence=f"{again.size_bytes} bytes now")
        return Path(again.path) if again.is_foreign else self.folder / again.path

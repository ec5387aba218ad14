"""What a job and a process of the service cost Postgres. What docs/sizing.md counts with.

    python benchmarks/database_cost.py [--jobs 40]

``reelpress serve`` runs with a Postgres of its own. Counted are transactions (most of them only ask whether there is
something to do), flushes of the log to the disk (which commits wait for), bytes of the log, and bytes that stay: of the
server at rest; of jobs of a second each, less the rest; and of the server while it encodes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from service import Server, make_clips, postgres
from x264_search import find_ffmpeg

REST_S, ENCODE_S = 10.0, 20.0


@dataclass(frozen=True)
class Count:
    """What Postgres counts, all databases of this server."""

    seconds: float
    transactions: float
    flushes: float
    log_bytes: float
    kept_bytes: float

    def __sub__(self, other: Count) -> Count:
        return Count(*(mine - theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __truediv__(self, by: float) -> Count:
        return Count(*(value / by for value in astuple(self)))

    def less(self, rest: Count) -> Count:
        """Return this without what ``rest`` takes in the same time."""
        share = self.seconds / rest.seconds
        return self - Count(0.0, *(value * share for value in astuple(rest)[1:]))

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s: {self.transactions:.1f} transactions, {self.flushes:.1f} flushes, "
            f"{self.log_bytes:,.0f} B of log, {self.kept_bytes:,.0f} B that stay"
        )


def count(connection: sa.Connection) -> Count:
    """Ask Postgres, 18 or newer. Its processes tell what they did once they have been idle for a moment."""
    time.sleep(1.5)
    row: Any = connection.execute(
        sa.text(
            "SELECT sum(xact_commit), (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'),"
            " pg_current_wal_lsn() - '0/0'::pg_lsn, sum(pg_database_size(datid))"
            " FROM pg_stat_database WHERE datid <> 0"
        )
    ).one()
    return Count(time.monotonic(), *map(float, row))


def over(connection: sa.Connection, seconds: float) -> Count:
    """Return what is counted in so many seconds."""
    before = count(connection)
    time.sleep(seconds)
    return count(connection) - before


def main() -> int:
    """Measure, and print."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--jobs", type=int, default=40)
    jobs = asked.parse_args().jobs
    with tempfile.TemporaryDirectory(prefix="reelpress-database-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "media").mkdir()
        small, long = make_clips(find_ffmpeg(None), folder / "media")
        with postgres(folder / "pg") as url:
            engine = sa.create_engine(
                url.replace("postgresql://", "postgresql+psycopg://", 1), isolation_level="AUTOCOMMIT"
            )
            server = Server(folder, folder / "media", url)
            with engine.connect() as connection:
                server.wait(server.submit(small))
                rest = over(connection, REST_S)
                print(f"a server with a worker, at rest, a second of {rest / rest.seconds}", flush=True)
                before = count(connection)
                for _ in range(jobs):
                    server.wait(server.submit(small))
                print(f"a job of {(count(connection) - before).less(rest) / jobs}", flush=True)
                server.wait(server.submit(long), stage="compress")
                busy = over(connection, ENCODE_S)
                print(f"while it encodes, a second of {busy / busy.seconds}", flush=True)
                clients = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                print(f"{connection.execute(sa.text(clients)).scalar_one() - 1} connections", flush=True)
            server.end()
            engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())

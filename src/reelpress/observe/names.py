"""Every metric, once: name, kind, unit, labels, meaning. Instruments and docs/metrics.md are made from here.

Names and labels are a contract with dashboards and alerts. A label takes the values that stand here and no others, so
the number of series is bounded whatever jobs, users and files there are; what it takes besides is counted as ``other``.
"""

from __future__ import annotations

from typing import Literal

from reelpress.facts.failure import FailureKind
from reelpress.facts.values import Value
from reelpress.plan.encoders import ENCODERS

OTHER = "other"


class Label(Value, frozen=True, kw_only=True):
    """One label. ``values`` are those it takes; where there are none, ``about`` says what bounds it."""

    name: str
    values: tuple[str, ...] = ()
    about: str = ""


class Metric(Value, frozen=True, kw_only=True):
    """One metric, by its name in Prometheus. ``unit`` is UCUM's: ``s``, ``By``, ``1``, or a word in braces.

    ``buckets`` are the upper bounds of a histogram, in its unit.
    """

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    unit: str
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def instrument(self) -> str:
        """The name in OpenTelemetry, where the ending of counters is not part of it."""
        return self.name.removesuffix("_total")


JOB_KINDS = ("compress", "video", "analysis", "clip", "export", "quote")
JOB_STATUSES = ("queued", "running", "done", "failed", "cancelled", "dead")
JOB_ENDS = ("done", "failed", "cancelled", "dead")
JOB_STAGES = ("fetch", "probe", "compress", "preview", "analyse", "render", "check", "store", "transcribe", "notify")
ENCODER_NAMES = (*(row.name for row in ENCODERS), "copy", "none")
QUANTILES = ("0.5", "0.95", "0.99")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

KIND = Label(name="kind", values=JOB_KINDS, about="what a job does")
ENCODER = Label(
    name="encoder",
    values=ENCODER_NAMES,
    about="what delivered, or failed last; `copy` is a remux, `none` is where none ran",
)
SIZE_CLASS = Label(
    name="size_class", values=("small", "medium", "large", "huge"),
    about="the input: under 100 MB, under 300, under 500, more",
)  # fmt: skip
STAGE = Label(name="stage", values=JOB_STAGES, about="a stage of a job")
FAILURE = Label(name="failure", values=tuple(FailureKind), about="a class of [errors.md](errors.md)")
GPU = Label(
    name="gpu", values=tuple(str(index) for index in range(64)), about="NVML's index, in PCI order: `0` to `63`"
)
FOLDER = Label(name="folder", values=("data", "scratch"), about="where the service keeps files, and where jobs work")
ROUTE = Label(name="route", about="the form of a path, as `/v1/jobs/{job_id}`; `none` where there is no such route")

# With the plans' 30, 45, 60 and 90 s.
_JOB_BUCKETS = (1.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0)
_STAGE_BUCKETS = (0.1, 1.0, 5.0, 15.0, 30.0, 45.0, 60.0, 90.0, 180.0, 600.0, 3600.0)
_WAIT_BUCKETS = (0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
_ANSWER_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
_SPEED_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
# Around the plans' 0.0034 USD for a video on a GPU.
_USD_BUCKETS = (0.0001, 0.0003, 0.001, 0.002, 0.003, 0.004, 0.006, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)
_VMAF_BUCKETS = (50.0, 70.0, 80.0, 85.0, 90.0, 92.0, 94.0, 95.0, 96.0, 97.0, 98.0, 99.0)


def _gauge(name: str, unit: str, text: str, *labels: Label) -> Metric:
    return Metric(name=name, kind="gauge", unit=unit, help=text, labels=labels)


def _counter(name: str, unit: str, text: str, *labels: Label) -> Metric:
    return Metric(name=name, kind="counter", unit=unit, help=text, labels=labels)


def _histogram(name: str, unit: str, text: str, buckets: tuple[float, ...], *labels: Label) -> Metric:
    return Metric(name=name, kind="histogram", unit=unit, help=text, labels=labels, buckets=buckets)


# What the database says, the same from every process: take the largest, do not add.
DATABASE_METRICS = (
    _gauge(
        "reelpress_jobs", "{job}", "Jobs in the database.", KIND,
        Label(name="status", values=JOB_STATUSES, about="how a job stands"),
    ),
    _gauge("reelpress_queue_depth", "{job}", "Queued jobs that a worker may take.", KIND),
    _gauge("reelpress_queue_age_seconds", "s", "How long the oldest queued job waits."),
    _gauge(
        "reelpress_workers", "{worker}", "Workers that live.",
        Label(name="kind", values=("worker", "push"), about="`push` takes jobs only by name"),
    ),
    _gauge("reelpress_webhooks_pending", "{event}", "Events that are not delivered yet."),
    _gauge("reelpress_budget_usd", "{USD}", "The budget of the window that runs; none where none is set."),
    _gauge("reelpress_budget_spent_usd", "{USD}", "What was spent in the window that runs."),
    _gauge(
        "reelpress_budget_state", "{state}",
        "0 within the budget, 1 from 50 % on, 2 from 80 %, 3 from 100 %: spent, 4 from 120 %.",
    ),
    _gauge(
        "reelpress_performance_ratio", "1", "Seconds for a second of programme, now against the baseline; 2 is half as "
        "fast.", ENCODER, SIZE_CLASS, Label(name="quantile", values=QUANTILES, about="of jobs of the window"),
    ),
)  # fmt: skip

# What this process, or the machine it is on, sees.
PROCESS_METRICS = (
    _gauge(
        "reelpress_build_info",
        "{build}",
        "Always 1; the version is the label.",
        Label(name="version", about="one at a time"),
    ),
    _gauge("reelpress_event_watchers", "{stream}", "Open streams of events."),
    _gauge("reelpress_disk_free_bytes", "By", "Room that is left where the folder is.", FOLDER),
    _gauge("reelpress_disk_size_bytes", "By", "Size of the file system where the folder is.", FOLDER),
    _gauge("reelpress_gpu_slots", "{slot}", "Encodes that may run on the GPU at once.", GPU),
    _gauge("reelpress_gpu_slots_in_use", "{slot}", "Encodes that run on it, of all processes of this user.", GPU),
    _gauge(
        "reelpress_gpu_breaker_open", "{state}", "1 while jobs are kept off the GPU because it failed, else 0.", GPU
    ),
    _gauge("reelpress_gpu_encoder_utilization_ratio", "1", "Use of the encoder, 0 to 1, as NVML says.", GPU),
    _gauge("reelpress_gpu_decoder_utilization_ratio", "1", "Use of the decoder, 0 to 1.", GPU),
    _gauge("reelpress_gpu_utilization_ratio", "1", "Use of its other parts: scaling, filters, 0 to 1.", GPU),
    _gauge("reelpress_gpu_memory_used_bytes", "By", "Memory in use, by all programs.", GPU),
    _gauge("reelpress_gpu_memory_bytes", "By", "Memory it has.", GPU),
    _gauge("reelpress_gpu_encoder_sessions", "{session}", "Open encoder sessions, of all programs.", GPU),
)

# What this process finished: add them up.
JOB_METRICS = (
    _counter(
        "reelpress_job_results_total", "{job}", "Jobs that ended.", KIND,
        Label(name="status", values=JOB_ENDS, about="how it ended"), ENCODER,
    ),
    _histogram(
        "reelpress_job_seconds", "s", "From the start of work to the end of a job that is done, fetching and storing "
        "included.", _JOB_BUCKETS, KIND, ENCODER, SIZE_CLASS,
    ),
    _histogram(
        "reelpress_stage_seconds", "s", "Wall time of a stage of a job that ended.", _STAGE_BUCKETS, KIND, STAGE,
        ENCODER,
    ),
    _histogram("reelpress_queue_wait_seconds", "s", "From submission to the start of work.", _WAIT_BUCKETS, KIND),
    _histogram(
        "reelpress_realtime_ratio", "1", "Seconds of programme for a second of encoding, where no attempt failed.",
        _SPEED_BUCKETS, ENCODER,
    ),
    _counter(
        "reelpress_attempts_total", "{attempt}", "Runs of an encoder.", ENCODER,
        Label(name="outcome", values=("passed", "failed"), about="whether its output was delivered"),
    ),
    _counter("reelpress_fallbacks_total", "{attempt}", "Failed attempts that another followed.", ENCODER, FAILURE),
    _counter(
        "reelpress_gpu_missed_total", "{job}", "Jobs that wanted a GPU where there is one, and were made without.",
        Label(name="reason", values=(*FailureKind, "no_slot", "breaker_open", "no_encoder", "budget_spent"),
              about="a class of [errors.md](errors.md), or `no_slot`, `breaker_open`, `no_encoder`, `budget_spent`"),
    ),
    _counter("reelpress_input_bytes_total", "By", "Size of the inputs of jobs that are done.", ENCODER),
    _counter("reelpress_output_bytes_total", "By", "Size of their outputs.", ENCODER),
    _counter("reelpress_saved_bytes_total", "By", "What their outputs are smaller by.", ENCODER),
    _counter("reelpress_programme_seconds_total", "s", "Length of what was made.", ENCODER),
    _counter(
        "reelpress_cost_usd_total", "{USD}", "Estimated cost of jobs that ended.", ENCODER,
        Label(name="part", values=("cpu", "memory", "gpu", "storage", "egress"), about="of what"),
    ),
    _histogram("reelpress_job_cost_usd", "{USD}", "Estimated cost of one job.", _USD_BUCKETS, ENCODER),
    _histogram("reelpress_vmaf", "{score}", "Visual score of outputs, where it was measured.", _VMAF_BUCKETS, ENCODER),
    _counter(
        "reelpress_performance_regressions_total", "{event}", "Times that jobs were found slower than the baseline "
        "allows.", ENCODER, SIZE_CLASS,
    ),
    _counter("reelpress_workers_lost_total", "{worker}", "Workers that were found dead."),
)  # fmt: skip

HTTP_METRICS = (
    _counter(
        "reelpress_http_requests_total", "{request}", "Requests answered.",
        Label(name="method", values=_METHODS, about="of the request"), ROUTE,
        Label(name="status", about="a status code of HTTP"),
    ),
    _histogram("reelpress_http_first_byte_seconds", "s", "Time until an answer began.", _ANSWER_BUCKETS, ROUTE),
)  # fmt: skip

METRICS = (*DATABASE_METRICS, *PROCESS_METRICS, *JOB_METRICS, *HTTP_METRICS)
BY_NAME = {metric.name: metric for metric in METRICS}

"""The settings of the service, once, in the form of :mod:`reelpress.settings_table`."""

from __future__ import annotations

from collections.abc import Callable

from reelpress.settings_table import Setting, choice, number, optional, quantity, switch

_OWN_FOLDERS = frozenset({"outputs", "videos", "exports"})


def _several(*names: str) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of some of these names with ``,`` between, or of ``none``."""

    def parse(text: str) -> tuple[str, ...]:
        chosen = tuple(dict.fromkeys(part.strip() for part in text.lower().split(",")))
        if chosen == ("none",):
            return ()
        if set(chosen) - set(names):
            raise ValueError("not one of them")
        return chosen

    return parse


def events_folder(text: str) -> str:
    """Return a folder of a user's objects. Raises :class:`ValueError` for the service's own."""
    folder = text.strip("/")
    if not folder or folder.split("/")[0] in _OWN_FOLDERS or ".." in folder.split("/"):
        raise ValueError("not a folder for inputs")
    return folder


def endings(text: str) -> tuple[str, ...]:
    """Return endings of names, in lower case. Raises :class:`ValueError` for what does not begin with a dot."""
    found = tuple(part.strip().lower() for part in text.split(","))
    if not all(part.startswith(".") and len(part) > 1 for part in found):
        raise ValueError("not an ending")
    return found


def folders(text: str) -> tuple[str, ...]:
    """Return folders with ``:`` between; what is empty among them is none, and never the working folder."""
    return () if text.lower() == "none" else tuple(part for each in text.split(":") if (part := each.strip()))


SERVICE_SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="data_dir", env=("REELPRESS_DATA_DIR",), default="reelpress-data", accepts="a folder", flag="--data-dir",
        parse=str, help="Where the service keeps what it was given no other place for: database, objects, scratch.",
    ),
    Setting(
        name="database_url", env=("REELPRESS_DATABASE_URL",), default="auto", flag="--database-url",
        accepts="postgresql://USER@HOST/DATABASE, auto", parse=optional(str),
        help="Postgres, for workers on several machines; auto is SQLite in the data folder.",
    ),
    Setting(
        name="storage_url", env=("REELPRESS_STORAGE_URL",), default="auto", flag="--storage-url",
        accepts="s3://, gs://, az:// or file:// addresses, auto", parse=optional(str),
        help="Where inputs and outputs are; auto is a folder in the data folder. See docs/storage.md.",
    ),
    Setting(
        name="scratch_dir", env=("REELPRESS_SCRATCH_DIR",), default="auto", accepts="a folder, auto",
        parse=optional(str), help="Where jobs keep files while they work; auto is in the data folder.",
    ),
    Setting(
        name="host", env=("REELPRESS_HOST",), default="127.0.0.1", accepts="an address", flag="--host", parse=str,
        help="Address to listen on. Beyond this machine every request needs an API key.",
    ),
    Setting(
        name="port", env=("REELPRESS_PORT", "PORT"), default="8001", accepts="0 to 65535", flag="--port",
        parse=number(0, 65_535, int), help="Port to listen on; 0 takes a free one.",
    ),
    Setting(
        name="worker_jobs", env=("REELPRESS_WORKER_JOBS",), default="auto", accepts="0 to 256, auto",
        flag="--worker-jobs", parse=optional(number(0, 256, int)),
        help="Jobs at once in one worker; auto is half the cores, at least 2 of 2, 0 makes a server that only answers.",
    ),
    Setting(
        name="global_jobs", env=("REELPRESS_GLOBAL_JOBS",), default="auto", accepts="1 to 100000, auto",
        parse=optional(number(1, 100_000, int)), help="Jobs at once over all workers; auto is no limit.",
    ),
    Setting(
        name="push_jobs", env=("REELPRESS_PUSH_JOBS",), default="auto", accepts="0 to 256, auto",
        flag="--push-jobs", parse=optional(number(0, 256, int)),
        help="Jobs at once by /process-video; auto is as worker_jobs, at least 1.",
    ),
    Setting(
        name="grace_s", env=("REELPRESS_GRACE",), default="8", accepts="0 to 3600 seconds", flag="--grace",
        parse=number(0, 3600, float),
        help="How long a worker told to end goes on with its jobs before it hands them back; Cloud Run gives 10 s.",
    ),
    Setting(
        name="heartbeat_s", env=("REELPRESS_HEARTBEAT",), default="2", accepts="0.1 to 60 seconds",
        parse=number(0.1, 60, float), help="How often a worker says that it lives.",
    ),
    Setting(
        name="dead_after_s", env=("REELPRESS_DEAD_AFTER",), default="9", accepts="0.5 to 600 seconds",
        parse=number(0.5, 600, float), help="A worker silent for this long has died, and its jobs go to others.",
    ),
    Setting(
        name="max_attempts", env=("REELPRESS_MAX_ATTEMPTS",), default="3", accepts="1 to 100",
        parse=number(1, 100, int), help="A job under which this many workers died is parked as dead.",
    ),
    Setting(
        name="max_upload_bytes", env=("REELPRESS_MAX_UPLOAD",), default="20G", accepts="1k to 100T",
        parse=quantity(1_000, 10**14), help="Larger inputs are refused.",
    ),
    Setting(
        name="max_duration_s", env=("REELPRESS_MAX_DURATION",), default="43200", accepts="1 to 1000000 seconds",
        parse=number(1, 1_000_000, float), help="Longer programmes are refused.",
    ),
    Setting(
        name="max_queued", env=("REELPRESS_MAX_QUEUED",), default="20000", accepts="1 to 10000000",
        parse=number(1, 10_000_000, int), help="Unfinished jobs one user may have.",
    ),
    Setting(
        name="rate_per_minute", env=("REELPRESS_RATE",), default="1200", accepts="1 to 1000000",
        parse=number(1, 1_000_000, int), help="Requests that change something, per user and minute and process.",
    ),
    Setting(
        name="local_paths", env=("REELPRESS_LOCAL_PATHS",), default="none", accepts="folders with ':' between, none",
        parse=folders,
        help="Folders of this machine from which jobs may name inputs by path.",
    ),
    Setting(
        name="allow_private_urls", env=("REELPRESS_ALLOW_PRIVATE_URLS",), default="false", accepts="true or false",
        parse=switch, help="Let inputs and webhooks be at addresses that are not public, in closed networks.",
    ),
    Setting(
        name="push_audience", env=("REELPRESS_PUSH_AUDIENCE",), default="none", accepts="an address, none",
        parse=optional(str), help="Audience that Cloud Tasks' OIDC tokens must name; none accepts no such tokens.",
    ),
    Setting(
        name="push_service_account", env=("REELPRESS_PUSH_SERVICE_ACCOUNT",), default="none",
        accepts="an e-mail address, none", parse=optional(str), help="Service account those tokens must name.",
    ),
    Setting(
        name="push_issuer", env=("REELPRESS_PUSH_ISSUER",), default="https://accounts.google.com",
        accepts="an address", parse=str, help="Who must have issued those tokens.",
    ),
    Setting(
        name="push_jwks_url", env=("REELPRESS_PUSH_JWKS_URL",), default="https://www.googleapis.com/oauth2/v3/certs",
        accepts="an address", parse=str, help="Where the issuer's keys are.",
    ),
    Setting(
        name="push_deadline_s", env=("REELPRESS_PUSH_DEADLINE",), default="1800", accepts="15 to 1800 seconds",
        parse=number(15, 1800, float), help="Dispatch deadline of the queue; longer work goes to the workers.",
    ),
    Setting(
        name="push_max_attempts", env=("REELPRESS_PUSH_MAX_ATTEMPTS",), default="none", accepts="1 to 1000, none",
        parse=optional(number(1, 1000, int)),
        help="Deliveries that the queue makes of a task; a job that fails in passing at the last is parked as dead.",
    ),
    Setting(
        name="iam_checked", env=("REELPRESS_IAM_CHECKED",), default="false", accepts="true or false", parse=switch,
        help="On Cloud Run without unauthenticated access: Google has checked the caller's token, and may have taken "
        "its signature off; what it says is checked all the same.",
    ),
    Setting(
        name="firebase_project", env=("REELPRESS_FIREBASE_PROJECT",), default="none", accepts="a project id, none",
        parse=optional(str), help="Firebase project whose users' ID tokens are accepted. See docs/firebase.md.",
    ),
    Setting(
        name="firebase_jwks_url", env=("REELPRESS_FIREBASE_JWKS_URL",), accepts="an address", parse=str,
        default="https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",
        help="Where the keys are that sign those tokens.",
    ),
    Setting(
        name="firebase_user_claim", env=("REELPRESS_FIREBASE_USER_CLAIM",), default="none", accepts="a claim, none",
        parse=optional(str), help="Custom claim that must be true; none lets in whoever can sign in to the project.",
    ),
    Setting(
        name="firebase_admin_claim", env=("REELPRESS_FIREBASE_ADMIN_CLAIM",), default="none", accepts="a claim, none",
        parse=optional(str), help="Custom claim that, when true, makes an administrator; none makes nobody one.",
    ),
    Setting(
        name="events_audience", env=("REELPRESS_EVENTS_AUDIENCE",), default="none", accepts="an address, none",
        parse=optional(str), help="Audience that tokens of Eventarc or Pub/Sub must name at /events/storage.",
    ),
    Setting(
        name="events_service_account", env=("REELPRESS_EVENTS_SERVICE_ACCOUNT",), default="none",
        accepts="an e-mail address, none", parse=optional(str), help="Service account those tokens must name.",
    ),
    Setting(
        name="events_folder", env=("REELPRESS_EVENTS_FOLDER",), default="uploads", accepts="a folder",
        parse=events_folder, help="Folder of each user's objects in which a new video becomes a job.",
    ),
    Setting(
        name="events_endings", env=("REELPRESS_EVENTS_ENDINGS",), default=".mp4,.mov,.m4v,.mkv,.webm,.avi,.ts,.3gp",
        accepts="endings with ',' between", parse=endings, help="Endings of names that are taken for videos there.",
    ),
    Setting(
        name="webhook_url", env=("REELPRESS_WEBHOOK_URL",), default="none", accepts="an address, none",
        parse=optional(str), help="Told of every finished job that names no webhook of its own.",
    ),
    Setting(
        name="transcribe_model", env=("REELPRESS_TRANSCRIBE_MODEL",), default="none",
        accepts="a folder, the name of a downloaded model, none", parse=optional(str),
        help="Speech model; none leaves the transcription out. See docs/transcribe.md.",
    ),
    Setting(
        name="keep_days", env=("REELPRESS_KEEP_DAYS",), default="30", accepts="0.01 to 36500 days",
        parse=number(0.01, 36_500, float), help="How long finished jobs, and videos to cut after their last use, stay.",
    ),
    Setting(
        name="storage_prices", env=("REELPRESS_STORAGE_PRICES",), default="auto",
        accepts="auto, none, the name of a price list", parse=str,
        help="What keeping outputs costs; auto follows the store's address. See docs/costs.md.",
    ),
    Setting(
        name="budget_usd", env=("REELPRESS_BUDGET",), default="none", accepts="0.0001 to 10000000 USD, none",
        parse=optional(number(0.0001, 1e7, float)),
        help="What jobs may cost in a day or month; told at 50, 80, 100 and 120 %. See docs/costs.md.",
    ),
    Setting(
        name="budget_window", env=("REELPRESS_BUDGET_WINDOW",), default="month", accepts="day, month",
        parse=choice("day", "month"), help="What the budget is for; days and months are those of UTC.",
    ),
    Setting(
        name="budget_action", env=("REELPRESS_BUDGET_ACTION",), default="alert", accepts="alert, cpu, pause",
        parse=choice("alert", "cpu", "pause"),
        help="At 100 % of the budget: only tell, use no GPU for further jobs, or leave them queued.",
    ),
    Setting(
        name="budget_overrun_action", env=("REELPRESS_BUDGET_OVERRUN_ACTION",), default="auto",
        accepts="auto, alert, cpu, pause", parse=choice("auto", "alert", "cpu", "pause"),
        help="The same at 120 %; auto goes on with what holds at 100 %.",
    ),
    Setting(
        name="regression_factor", env=("REELPRESS_REGRESSION_FACTOR",), default="2", accepts="1.05 to 100",
        flag="--factor", parse=number(1.05, 100, float),
        help="Jobs that take this many times as long as the baseline are told of.",
    ),
    Setting(
        name="regression_samples", env=("REELPRESS_REGRESSION_SAMPLES",), default="20", accepts="2 to 100000",
        flag="--min-samples", parse=number(2, 100_000, int),
        help="Jobs of one encoder and size that must have ended before they are judged.",
    ),
    Setting(
        name="regression_window_h", env=("REELPRESS_REGRESSION_WINDOW",), default="24", accepts="1 to 8760 hours",
        parse=number(1, 8760, float), help="Jobs of how long ago are compared with the baseline.",
    ),
    Setting(
        name="log_format", env=("REELPRESS_LOG_FORMAT",), default="auto", accepts="auto, json, text",
        parse=choice("auto", "json", "text"), help="Log lines; auto is text on a terminal and JSON elsewhere.",
    ),
    Setting(
        name="metrics", env=("REELPRESS_METRICS",), default="auto",
        accepts="prometheus, otlp, gcp with ',' between; auto, none",
        parse=_several("auto", "prometheus", "otlp", "gcp"),
        help="Where figures go; auto is prometheus, and otlp where OTEL_EXPORTER_OTLP_ENDPOINT is set. "
        "See docs/metrics.md.",
    ),
    Setting(
        name="traces", env=("REELPRESS_TRACES",), default="auto", accepts="auto, otlp, none",
        parse=choice("auto", "otlp", "none"), help="Where traces go; auto is otlp where that variable is set.",
    ),
)  # fmt: skip

SERVICE_NAMES = frozenset(name for row in SERVICE_SETTINGS for name in row.env)

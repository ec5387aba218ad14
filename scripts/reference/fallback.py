"""The tables of docs/fallback.md: what each class of failure leads to, from the tables that jobs themselves go by."""

from __future__ import annotations

from reelpress.facts.failure import Action, FailureKind, gpu_action
from reelpress.plan.ladder import BUILD_FAILURES
from reelpress.run import circuit, execute, gpu_failures
from reelpress.settings_table import SETTINGS

_THIS_JOB = {
    Action.NEXT: "the next rung of the ladder, on the same GPU if there is one",
    Action.WAIT: "another GPU at once; else waits and tries the same again, then the next rung",
    Action.THIS_JOB: "the next rung of the ladder",
    Action.SUSPECT: "another GPU, then the rungs without one",
    Action.GPU_OFF: "another GPU or another FFmpeg, then the CPU",
    Action.STOP: "ends",
}
_LATER_JOBS = {
    Action.NEXT: "nothing",
    Action.WAIT: "share fewer slots of this GPU for a while",
    Action.THIS_JOB: "nothing",
    Action.SUSPECT: "the GPU is tried at once; left alone if that fails, or if a second job's failure follows",
    Action.GPU_OFF: "this FFmpeg and this GPU are not put together while they stay as they are",
    Action.STOP: "nothing",
}
_SOUND = (FailureKind.CHECK_NOT_MET, FailureKind.AUDIO_NOT_MET)


def classes_table() -> list[str]:
    """Return what each class of failure means for a job and for those after it, on a GPU and on the CPU."""
    lines = ["| class | on a GPU: this job | on a GPU: later jobs | on the CPU |", "|---|---|---|---|"]
    for kind in FailureKind:
        action = gpu_action(kind)
        lines.append(f"| `{kind}` | {_THIS_JOB[action]} | {_LATER_JOBS[action]} | {_on_cpu(kind)} |")
    return lines


def _on_cpu(kind: FailureKind) -> str:
    if kind in BUILD_FAILURES:
        return "another FFmpeg, if there is one"
    if kind in gpu_failures.KINDS:
        return "does not happen"
    return "once more with all sound encoded, where sound was copied" if kind in _SOUND else "ends"


def numbers_table() -> list[str]:
    """Return the figures that bound falling back, as the code has them."""
    patience = next(setting for setting in SETTINGS if setting.name == "gpu_patience_s")
    rows = (
        ("patience with a GPU that has no room", f"{patience.default} s in all, by `{patience.env[0]}`"),
        ("a GPU attempt without a sign of headway is ended after", f"{execute._GPU_STALL_S:g} s"),
        ("all attempts of a job together may take", f"{execute._BUDGET_FACTOR:g} times its time limit"),
        ("a job leaves all GPUs after failures that put one under suspicion", f"{execute._SUSPECTS_PER_JOB}"),
        ("a GPU is left alone after suspicions by different jobs", f"{circuit.SUSPECTS} in {circuit.WINDOW_S:g} s"),
        (
            "it is tried again after",
            f"{circuit.FIRST_REST_S:g} s, then twice as long each time, {circuit.LONGEST_REST_S:g} s at most",
        ),
    )
    return ["| what | how much |", "|---|---|", *(f"| {what} | {how_much} |" for what, how_much in rows)]

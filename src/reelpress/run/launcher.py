"""The last step before a program starts: tie it to its parent's life, set its limits, become it.

Run by :mod:`reelpress.run.process` as ``python -I -S launcher.py FD PPID AS CPU FSIZE PROGRAM ARGV...``,
never imported. It stands alone and imports little because every process the project starts waits for it.

Where PROGRAM is this very Python with ``-I -S -c``, the code runs here: one start of Python less.

Through FD it reports ``x`` when all is set up and, when the program cannot be executed, ``:`` and the errno
after it; FD closes by itself at a successful exec. So the parent can tell our failures from the program's.
"""

import ctypes
import os
import resource
import sys
from _signal import (  # type: ignore[import-not-found]  # `signal` itself imports enum: 3 ms more
    SIG_DFL,
    SIG_SETMASK,
    SIGKILL,
    SIGPIPE,
    SIGXFSZ,
    pthread_sigmask,
    signal,
)

_PR_SET_PDEATHSIG = 1
_CPU_GRACE_S = 1  # SIGXCPU first, which a program may catch; SIGKILL this much later


def _limit(kind: int, soft: str, extra: int = 0) -> None:
    if soft == "-":
        return
    _, ceiling = resource.getrlimit(kind)
    wanted, hard = int(soft), int(soft) + extra
    if ceiling != resource.RLIM_INFINITY:
        wanted, hard = min(wanted, ceiling), min(hard, ceiling)
    resource.setrlimit(kind, (wanted, hard))


def _main() -> None:
    status_fd, parent_pid = int(sys.argv[1]), int(sys.argv[2])
    memory, cpu, file_size, program = sys.argv[3:7]
    os.set_inheritable(status_fd, False)
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"launcher: prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent_pid:  # it died before prctl could see it
        os.kill(os.getpid(), SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_CPU, cpu, _CPU_GRACE_S)
    _limit(resource.RLIMIT_FSIZE, file_size)
    pthread_sigmask(SIG_SETMASK, [])
    _limit(resource.RLIMIT_AS, memory)
    os.write(status_fd, b"x")
    if program == sys.executable and sys.argv[8:11] == ["-I", "-S", "-c"]:  # a start of Python that can be spared
        os.close(status_fd)
        code, sys.argv = sys.argv[11], ["-c", *sys.argv[12:]]
        exec(code, {"__name__": "__main__"})  # noqa: S102 - as -c would
        return
    for number in (SIGPIPE, SIGXFSZ):  # Python ignores these two, and what is ignored stays so across exec
        signal(number, SIG_DFL)
    try:
        os.execv(program, sys.argv[7:])  # noqa: S606 - this is what it is for
    except OSError as error:
        os.write(status_fd, b":%d" % (error.errno or 0))
        os._exit(127)


_main()

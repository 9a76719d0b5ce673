# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""What each signal does to a daemon: the one table (docs/monitoring.md, Signals).

By default nearly every signal ends a process at once, with what it has not stored. What asks for
an end drains; what only means something to programs that have asked for it is ignored. Signals of
defects (SIGSEGV, SIGABRT and the like), of job control and SIGKILL keep their meaning.
"""

import signal

RELOAD = signal.SIGHUP
DUMP = signal.SIGUSR1
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGPWR, signal.SIGXCPU)
"""Those that store what is left, unmount and exit: of users, of the power, of a limit of CPU."""
HEARD = (*ENDING, RELOAD, DUMP)
"""Those that the mount acts upon."""
IGNORED = (
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGSTKFLT,
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)
"""Timers that nobody has set, notices that nobody has asked for, and private ones of others."""


def ignore_what_means_nothing() -> None:
    """Ignore IGNORED, from the start of a daemon on."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


def end_undisturbed() -> None:
    """Keep the signals that the mount hears of from ending the process by themselves.

    A receiver of signals that is opened after this puts back what it found: so the last uploads
    are not cut short by the SIGTERM that systemd sends after an unmount.
    """
    for number in HEARD:
        signal.signal(number, signal.SIG_IGN)

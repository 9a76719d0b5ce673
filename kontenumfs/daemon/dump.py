# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The state of a daemon and its tasks, logged on SIGUSR1."""

import json
import logging
from collections.abc import Iterator
from traceback import walk_stack
from types import FrameType
from typing import Any

import trio

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)  # whatever the mount's own level, for somebody asked

DEEPEST = 9
"""Frames of a task, the innermost ones."""


def log_state(status: dict[str, Any]) -> None:
    """Log the state, and where every task is."""
    log.info("state: %s", json.dumps(status))
    root = trio.lowlevel.current_root_task()
    for depth, task in _tasks(root, 0) if root is not None else ():
        log.info("task: %s%s at %s", "  " * depth, task.name, " < ".join(_frames(task)))


def _tasks(task: trio.lowlevel.Task, depth: int) -> Iterator[tuple[int, trio.lowlevel.Task]]:
    yield depth, task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _tasks(child, depth + 1)


def _frames(task: trio.lowlevel.Task) -> list[str]:
    """List where a task waits, the innermost frame first."""
    if task is trio.lowlevel.current_task():
        return _own_frames()
    frames = []
    at: Any = task.coro
    while at is not None:
        frame = getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None)
        if frame is not None:
            frames.append(_place(frame))
        at = getattr(at, "cr_await", None) or getattr(at, "gi_yieldfrom", None)
    return frames[::-1][:DEEPEST]


def _own_frames() -> list[str]:
    """List the frames of the task that asks."""
    frames = [_place(frame) for frame, _ in walk_stack(None)]
    return [place for place in frames if not place.startswith("dump.py:")][:DEEPEST]


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename.rpartition('/')[2]}:{frame.f_lineno} {code.co_name}"

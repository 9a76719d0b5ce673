# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""A defect in a background task ends what it was doing, and nothing else."""

import logging

import pytest
import trio
from trio.testing import MockClock

from kontenumfs.daemon.logs import LastError
from kontenumfs.daemon.supervision import Supervisor
from kontenumfs.protocol.errors import InternalError, KontenumError, UserError, reported
from kontenumfs.protocol.incidents import Incident, report


class Failing:
    """A task that has a defect the first few times."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.began: list[float] = []

    async def run(self) -> None:
        """Fail, or go on for ever."""
        self.began.append(trio.current_time())
        await trio.sleep(1)
        if self.errors:
            raise self.errors.pop(0)
        await trio.sleep_forever()


async def test_a_task_is_begun_again_a_little_later_each_time(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Each defect is one incident, whatever it was raised in; the others go on."""
    group = ExceptionGroup("two", [ZeroDivisionError(), KeyError("x")])
    task, other = Failing(ValueError("1"), group, ValueError("3")), Failing()
    errors = LastError()
    with errors.listening():
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(nursery, uniform=lambda low, high: high)
            supervisor.keep(task.run, "timers")
            supervisor.keep(other.run, "other")
            await trio.sleep(60)
            nursery.cancel_scope.cancel()
    waits = [later - before - 1 for before, later in zip(task.began, task.began[1:], strict=False)]
    assert waits == [pytest.approx(0.1), pytest.approx(0.2), pytest.approx(0.4)]
    assert len(other.began) == 1
    assert errors.count == 3
    assert "timers" in errors.last
    caplog.clear()


async def test_an_upload_that_has_a_defect_ends_alone(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What writing/ starts in the nursery of the mount does not end the mount."""
    done: list[int] = []

    async def upload(number: int) -> None:
        await trio.sleep(number)
        if number == 1:
            raise AssertionError("a defect")
        done.append(number)

    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery)
        for number in range(3):
            supervisor.start_soon(upload, number)
    assert done == [0, 2]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    caplog.clear()


async def test_a_mistake_found_at_the_start_ends_the_mount(autojump_clock: MockClock) -> None:
    """The one line for the user is no defect of the task that may tell it."""
    task = Failing(UserError("the mount cannot be seen"))
    with pytest.raises(BaseExceptionGroup) as told:
        async with trio.open_nursery() as nursery:
            Supervisor(nursery).keep(task.run, "check", may_end=True)
    assert told.group_contains(UserError)


async def test_no_other_task_ends_the_mount_by_a_mistake(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A setting that turns out to be wrong later is as good as a defect."""
    task = Failing(UserError("a rule cannot be read"))
    async with trio.open_nursery() as nursery:
        Supervisor(nursery).keep(task.run, "key files")
        Supervisor(nursery).start_soon(Failing(UserError("nor this one")).run)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert len(task.began) == 2
    assert len(caplog.records) == 2
    caplog.clear()


async def test_a_defect_during_a_cancellation_does_not_replace_it(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of the mount stays one in good order, and the defect is an incident."""

    async def fails_on_its_way_out() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("on the way out")

    async def nested() -> None:
        async with trio.open_nursery() as inner:
            inner.start_soon(fails_on_its_way_out)
            inner.start_soon(trio.sleep_forever)

    async with trio.open_nursery() as nursery:
        Supervisor(nursery).keep(nested, "nested")
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    [record] = caplog.records
    assert record.getMessage() == "background task nested"
    caplog.clear()


async def test_an_exit_passes(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """KeyboardInterrupt and SystemExit are no defects, alone or among others."""
    for error in (KeyboardInterrupt(), BaseExceptionGroup("both", [SystemExit(3), ValueError()])):
        with pytest.raises(BaseExceptionGroup) as told:
            async with trio.open_nursery() as nursery:
                Supervisor(nursery).keep(Failing(error).run, "interrupted")
        assert told.group_contains((KeyboardInterrupt, SystemExit))
        assert not told.group_contains(ValueError)
    caplog.clear()


async def test_a_cancelled_task_is_no_defect(autojump_clock: MockClock) -> None:
    """The end of the mount is not counted."""
    errors = LastError()
    with errors.listening():
        async with trio.open_nursery() as nursery:

            async def nested() -> None:
                async with trio.open_nursery() as inner:
                    inner.start_soon(trio.sleep_forever)

            Supervisor(nursery).keep(nested, "nested")
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
    assert errors.count == 0


def test_one_failure_is_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    """Though it is told where the upload failed, by close(), and by whoever asks next."""
    errors = LastError()
    error = KontenumError("the store is away")
    with errors.listening():
        report(Incident("upload", "upload failed", error, "some/key"))
        report(Incident("request", "flush", error))
        report(Incident("request", "fsync", error))
        defect = reported(ZeroDivisionError(), "an upload")
        report(Incident("upload", "upload failed", defect, "other"))
    assert isinstance(defect, InternalError)
    assert errors.count == 2
    caplog.clear()

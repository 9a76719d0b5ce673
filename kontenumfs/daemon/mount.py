# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
"""The life of a mount: checks, the kernel's connection, signals, and the end without loss."""

import logging
import os
import platform
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyfuse3
import trio

from kontenumfs.daemon.assembly import Parts, assemble
from kontenumfs.daemon.commands import Commands
from kontenumfs.daemon.control import Control
from kontenumfs.daemon.dump import log_state
from kontenumfs.daemon.ending import Ending
from kontenumfs.daemon.kernel import FSTYPE, abort, end_connection, holders, refusals, uppermost
from kontenumfs.daemon.listing import Listing
from kontenumfs.daemon.live import LiveSettings
from kontenumfs.daemon.logs import LastError
from kontenumfs.daemon.metrics import Metrics
from kontenumfs.daemon.notify import Notifier
from kontenumfs.daemon.preflight import Exit, check_store
from kontenumfs.daemon.report import Report
from kontenumfs.daemon.scraping import Scraping
from kontenumfs.daemon.service import Service, end_undisturbed
from kontenumfs.daemon.source import Source
from kontenumfs.daemon.supervision import Supervisor
from kontenumfs.daemon.whereabouts import CALM_SECONDS, LOOK_SECONDS, until_gone
from kontenumfs.fuse import copy_range, writes
from kontenumfs.protocol.errors import KontenumError, UserError, reported
from kontenumfs.store.api import Store
from kontenumfs.store.tasks import Spawner
from kontenumfs.tree.kernel import Kernel
from kontenumfs.writing.files import OpenFiles
from kontenumfs.writing.journal import Journal
from kontenumfs.writing.staging import Staging

log = logging.getLogger(__name__)

PREFLIGHT_SECONDS = 20.0
SELF_CHECK_SECONDS = 10.0
HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
LET_GO_SECONDS = 5.0
"""How long the kernel may take for a notice when the session ends."""
ROUNDS = 2
"""Deadlines that the self-check may wait: so many rounds of stuck requests may be before it."""
LEFT_IN_PLACE = "the mount is left in its place for the next start to take over"
REQUESTS_AT_ONCE = 4096
"""Kernel requests under way at once, so that what memory can answer does not wait for the store.

One that waits costs some 20 KiB: writes, which bring more, are counted apart (fuse.writes).
"""
REQUESTS_AND_WRITES = 48
"""The same without the extension: a write holds two buffers of 1 MiB beside the budget, pyfuse3's
and its own. Stalled requests of more keys than this hold up the rest."""
COPIES_AT_ONCE = 32
"""copy_file_range handlers under way at once."""


class Mount:
    """One bucket at one mountpoint, from the first check to the last byte stored.

    Args:
        live: the settings; rules and keys among them may change while the mount runs.
        store: the bucket; closed at the end.
        metrics: what it counts.
        ready: called once when the mount answers a real stat.
        handed: the descriptor of a mount that was made for us, or None to make it.
    """

    def __init__(
        self,
        source: Source,
        mountpoint: Path,
        live: LiveSettings,
        store: Store,
        metrics: Metrics,
        ready: Callable[[], None],
        *,
        handed: int | None = None,
    ) -> None:
        self._source = source
        self._mountpoint = mountpoint
        self._live = live
        self._options = live.settings.options
        self._store = store
        self._metrics = metrics
        self._errors = LastError()
        self._ready = ready
        self._handed = handed
        self._notifier = Notifier(os.environ)
        self._staging = Staging.of(source.prefix, platform.node(), str(mountpoint))
        self._unmounted = trio.Event()
        self._failed: list[str] = []
        self._defect: KontenumError | None = None
        self.lost: list[str] = []
        """Keys that could not be stored, with the reason, when `run` has ended."""

    async def run(self) -> None:
        """Mount, serve until unmounted or told to stop, and store what is left.

        Raises UserError when a check fails; nothing is mounted then.
        """
        preflight = max(PREFLIGHT_SECONDS, self._options.deadline)
        self._notifier.send(EXTEND_TIMEOUT_USEC=int((preflight + SELF_CHECK_SECONDS) * 1e6))
        try:
            await self._check_store(preflight)
            self._live.report_clock()
            with self._errors.listening():
                async with trio.open_nursery() as nursery:
                    supervisor = Supervisor(nursery)
                    if self._options.metrics is not None:
                        scraping = Scraping(self._options.metrics, self._metrics.registry)
                        supervisor.keep(scraping.serve, "metrics")
                    await self._serve(supervisor)
                    nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            told = _user_error(group)
            if told is None:
                raise
            raise told from None
        finally:
            with trio.CancelScope(shield=True):
                await self._store.aclose()

    async def _check_store(self, seconds: float) -> None:
        """Ask the store once; raises UserError for what is wrong, and for no answer in time."""
        try:
            with trio.fail_after(seconds):
                await check_store(self._store, self._source.prefix, self._options.endpoint)
        except trio.TooSlowError:
            raise UserError(
                f"{self._options.endpoint} has not answered within {seconds:g} s: see deadline=",
                Exit.DEADLINE,
            ) from None

    async def _serve(self, supervisor: Supervisor) -> None:
        parts = assemble(
            supervisor,
            self._store,
            self._live,
            prefix=self._source.prefix,
            staging=self._staging,
        )
        report = Report(
            self._source, self._mountpoint, self._live, parts, self._metrics, self._errors
        )
        self._metrics.watch(report.state)
        service = Service(
            self._notifier,
            f"{self._source} at {self._mountpoint}",
            self._mountpoint,
            report.pending,
            patience=ROUNDS * self._options.deadline + SELF_CHECK_SECONDS,
            errors=self._errors,
        )
        ending = Ending(report.pending)
        listing = Listing(self._store, self._source.prefix)
        told = {"end": ending.follow, "ls": listing.command, "status": report.command}
        control = Control(self._mountpoint, parts.commands.table() | told)
        device = str(self._mountpoint) if self._handed is None else f"/dev/fd/{self._handed}"
        with refusals(self._mountpoint):
            pyfuse3.init(parts.operations, device, self._fuse_options())
        try:
            at_once = self._install(parts, supervisor)
            parts.start(supervisor)
            supervisor.keep(partial(self._clear_up, parts.journal), "what was left behind")
            supervisor.keep(partial(self._obey_signals, parts, service, report), "signals")
            supervisor.keep(control.serve, "control socket")
            supervisor.keep(self._live.watch_keys, "key files")
            supervisor.keep(service.run, "service manager")
            supervisor.keep(partial(self._follow, parts.files, service, report), "whereabouts")
            supervisor.keep(partial(self._announce, service), "self-check")
            await self._answer_kernel(at_once)
            self._unmounted.set()
            # From here on systemd's or a user's signal must not cut the last uploads short.
            await self._drain(parts.files, service)
            service.ended(self.lost)
            await ending.announce(self.lost)
            if self._defect is not None:
                raise UserError(f"{self._mountpoint}: {self._defect}: {LEFT_IN_PLACE}", Exit.DEFECT)
        finally:
            self._unmounted.set()
            await self._close(parts.tree.kernel)
            parts.journal.close()
            self._staging.close()

    def _install(self, parts: Parts, spawner: Spawner) -> int:
        """Take what pyfuse3 does not do, or not well; returns how many requests it may have."""
        operations = parts.operations
        copy_range.install(operations.copy_range, spawner, at_once=COPIES_AT_ONCE)
        taken = writes.install(operations.write, spawner, room=self._options.memory)
        return REQUESTS_AT_ONCE if taken else REQUESTS_AND_WRITES

    async def _answer_kernel(self, at_once: int) -> None:
        """Serve until the mount is gone; a defect there is noted, and what is left is stored."""
        try:
            await pyfuse3.main(max_tasks=at_once)
        except Exception as error:
            self._defect = reported(error, "the kernel's requests")

    async def _close(self, kernel: Kernel) -> None:
        """End the session, when nobody tells the kernel anything any more.

        After a defect the mount stays in its place, dead: whoever writes there is told ENOTCONN,
        and nobody writes to the directory below it. The next start takes it over.
        """
        with trio.move_on_after(LET_GO_SECONDS, shield=True) as scope:
            await kernel.end()
        if scope.cancelled_caught:
            # It waits for a directory that a request holds, and nobody answers requests any more.
            abort(self._mountpoint)
            with trio.move_on_after(LET_GO_SECONDS, shield=True):
                await kernel.end()
        pyfuse3.close(unmount=self._defect is None)

    async def _clear_up(self, journal: Journal) -> None:
        """Tell what was under way when the last daemon ended, and drop what it has left."""
        await journal.settle(self._store, ours=self._staging.is_heir)
        await self._staging.clear(self._store)

    def _fuse_options(self) -> set[str]:
        words = set(pyfuse3.default_options)
        words.add(f"fsname={self._source.fsname}")
        words.add(f"subtype={FSTYPE.removeprefix('fuse.')}")
        for name in ("ro", "allow_other", "nosuid", "nodev"):
            if getattr(self._options, name):
                words.add(name)
        return words

    async def _announce(self, service: Service) -> None:
        """Prove the mount by a stat through the kernel, and say so."""
        try:
            with trio.fail_after(SELF_CHECK_SECONDS):
                await trio.to_thread.run_sync(os.stat, self._mountpoint, abandon_on_cancel=True)
        except trio.TooSlowError:
            why = f"the mount does not answer within {SELF_CHECK_SECONDS:g} s: see its log"
            raise UserError(f"{self._mountpoint}: {why}", Exit.FAILED) from None
        except OSError as error:
            why = f"the mount cannot be seen: {error.strerror}"
            raise UserError(f"{self._mountpoint}: {why}", Exit.MOUNTPOINT) from None
        log.info("mounted %s at %s", self._source, self._mountpoint)
        self._ready()
        service.ready()

    async def _follow(self, files: OpenFiles, service: Service, report: Report) -> None:
        """End when the mount has gone from our namespace, though another may still have it.

        Programs here that have files open may go on until they close them.
        """
        found = uppermost(self._mountpoint)
        if found is None or found.fstype != FSTYPE:
            return  # hidden from us, in a sandbox
        service.device = found.device
        await until_gone(found.device)
        await trio.sleep(CALM_SECONDS)
        if self._unmounted.is_set():
            return
        service.gone()
        while not (others := holders(found.device)) and report.pending()["open_files"]:
            await trio.sleep(LOOK_SECONDS)
        if self._unmounted.is_set():
            return
        who = ", ".join(others) or "unknown"
        log.warning("unmounted here; other mount namespaces still have it (%s): it ends", who)
        await self._drain(files, service)
        if not self._unmounted.is_set():
            end_connection(found.device)
            pyfuse3.terminate()

    async def _obey_signals(self, parts: Parts, service: Service, report: Report) -> None:
        end_undisturbed()
        files = parts.files
        with trio.open_signal_receiver(*HEARD) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    await self._reload(service, parts.commands)
                    continue
                if number == signal.SIGUSR1:
                    log_state(report.status())
                    continue
                log.info("%s: storing what is left", signal.Signals(number).name)
                if not self._unmounted.is_set():
                    await self._drain(files, service)
                # While requests are answered, none holds a directory for long.
                with trio.move_on_after(LET_GO_SECONDS):
                    await parts.tree.kernel.end()
                # After the end of the session libfuse crashes; who unmounted it drains it too.
                if not self._unmounted.is_set():
                    pyfuse3.terminate()

    async def _reload(self, service: Service, commands: Commands) -> None:
        """Read keys and settings anew, and believe no name that was learnt before."""
        with service.reloading():
            self._live.reload()
        # The kernel takes its time to forget; nobody who reloads settings need wait for that.
        with trio.move_on_after(SELF_CHECK_SECONDS):
            await commands.forget_names()

    async def _drain(self, files: OpenFiles, service: Service) -> None:
        """Store what is left within the deadline, and remember what could not be."""
        with trio.CancelScope(
            shield=True, deadline=trio.current_time() + self._options.deadline
        ) as scope:
            async with service.stopping():
                await files.drain(self._failed)
        # A failed file may be forgotten before it is drained a second time.
        before, self.lost = self.lost, list(dict.fromkeys(self._failed))
        if scope.cancelled_caught:
            self.lost += files.unsent()
        for line in self.lost:
            if line not in before:
                log.error("not stored: %s", line)


def _user_error(group: BaseException) -> BaseException | None:
    """The one line for the user, however deep in the nursery it was raised."""
    found: BaseException | None = group
    if isinstance(found, BaseExceptionGroup):
        found = found.subgroup(UserError)
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found

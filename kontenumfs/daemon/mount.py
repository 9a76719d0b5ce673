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

from kontenumfs.admin.mounts import FSTYPE, abort, ask_mount, end_connection, holders, uppermost
from kontenumfs.admin.notify import Notifier
from kontenumfs.admin.preflight import check_store
from kontenumfs.config.live import LiveSettings
from kontenumfs.config.options import OPTIONS
from kontenumfs.config.source import Source
from kontenumfs.daemon.assembly import Parts, assemble
from kontenumfs.daemon.commands import Commands
from kontenumfs.daemon.control import Control
from kontenumfs.daemon.draining import Draining
from kontenumfs.daemon.dump import log_state
from kontenumfs.daemon.key_watch import watch_keys
from kontenumfs.daemon.listing import Listing
from kontenumfs.daemon.logs import LastError
from kontenumfs.daemon.metrics import Metrics
from kontenumfs.daemon.mount_watch import CALM_SECONDS, LOOK_SECONDS, until_gone
from kontenumfs.daemon.refusals import refusals
from kontenumfs.daemon.report import Report
from kontenumfs.daemon.scraping import Scraping
from kontenumfs.daemon.service import Service
from kontenumfs.daemon.shutdown import Shutdown
from kontenumfs.daemon.signals import DUMP, HEARD, RELOAD, end_undisturbed
from kontenumfs.daemon.spool import SpoolCommands
from kontenumfs.daemon.supervision import Supervisor, guarded
from kontenumfs.fuse import copy_range, writes
from kontenumfs.protocol.errors import KontenumError, UserError, reported
from kontenumfs.protocol.exits import Exit
from kontenumfs.protocol.incidents import Incident, report
from kontenumfs.store.api import Store
from kontenumfs.store.spool.spool import Spool
from kontenumfs.store.tasks import Spawner
from kontenumfs.tree.tree import Tree
from kontenumfs.writing.filesystem import Filesystem
from kontenumfs.writing.staging import Staging

log = logging.getLogger(__name__)

VERDICT_SECONDS = 1.0
SELF_CHECK_SECONDS = 10.0
"""The time for the kernel and this process, beside the deadlines of requests before."""
UNMOUNTING_SECONDS = 1.0
"""The end of the kernel's connection may be seen so long before that of the mount."""
LET_GO_SECONDS = 5.0
"""The time for the kernel to take a notice when the session ends."""
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
        ready: called once when the mount has answered through the kernel.
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
        self._patience = ROUNDS * self._options.deadline + SELF_CHECK_SECONDS
        """Seconds in which the mount must answer, however busy it is."""
        self._handed = handed
        self._notifier = Notifier(os.environ)
        self._staging = Staging.of(source.prefix, platform.node(), str(mountpoint))
        self._unmounted = trio.Event()
        self._device: int | None = None
        self._ending = False
        self._defect: KontenumError | None = None
        """The reason that nobody answers the kernel any more, where nobody wanted that."""
        self.lost: list[str] = []
        """Keys that could not be stored, with the reason, when `run` has ended."""
        self.left = ""
        """What is in the spool for the next mount, in a line; empty where nothing is."""

    async def run(self) -> None:
        """Mount, serve until unmounted or told to stop, and store what is left.

        Raises UserError when a check fails; nothing is mounted then.
        """
        starting = self._options.deadline + VERDICT_SECONDS + self._patience
        self._notifier.send(EXTEND_TIMEOUT_USEC=int(starting * 1e6))
        try:
            # A single request that fails at its deadline has more to tell, and goes first.
            await self._check_store(self._options.deadline + VERDICT_SECONDS)
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
            wrong = _user_error(group)
            if wrong is None:
                raise
            raise wrong from None
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
        """Serve the mount, put together for as long as it lasts."""
        try:
            async with assemble(
                supervisor,
                self._store,
                self._live,
                source=self._source,
                mountpoint=self._mountpoint,
                staging=self._staging,
            ) as parts:
                await self._serve_parts(supervisor, parts)
        finally:
            self._staging.close()

    async def _serve_parts(self, supervisor: Supervisor, parts: Parts) -> None:
        report = Report(
            self._source, self._mountpoint, self._live, parts, self._metrics, self._errors
        )
        self._metrics.watch(report.state)
        service = self._service(report)
        files, spool = parts.filesystem.files, parts.filesystem.spool
        draining = Draining(files, service, self._options.deadline, self.lost, spool)
        shutdown = Shutdown(report.pending)
        control = self._control(parts, report, shutdown)
        device = str(self._mountpoint) if self._handed is None else f"/dev/fd/{self._handed}"
        with refusals(self._mountpoint):
            pyfuse3.init(parts.operations, device, self._fuse_options())
        self._device = service.device = self._find_device()
        try:
            at_once = self._install(parts, supervisor)
            parts.start(supervisor)
            supervisor.keep(control.serve, "control socket")
            self._start(supervisor, parts, service, report, draining)
            await self._answer_kernel(at_once)
            self._unmounted.set()
            # From here on systemd's or a user's signal must not cut the last uploads short.
            await draining.run()
            self.left = _told(draining.left, spool)
            service.ended(self.lost, self.left)
            await shutdown.announce(self.lost, self.left)
            if self._defect is not None:
                raise UserError(f"{self._mountpoint}: {self._defect}: {LEFT_IN_PLACE}", Exit.DEFECT)
        finally:
            self._unmounted.set()
            await self._close(parts.tree)

    def _service(self, report: Report) -> Service:
        return Service(
            self._notifier,
            f"{self._source} at {self._mountpoint}",
            self._mountpoint,
            report.pending,
            patience=self._patience,
            errors=self._errors,
        )

    def _control(self, parts: Parts, report: Report, shutdown: Shutdown) -> Control:
        """Make the control socket with all its commands."""
        listing = Listing(self._store, self._source.prefix)
        commands = parts.commands.table() | {
            "end": shutdown.follow,
            "ls": listing.command,
            "spool": SpoolCommands(parts.filesystem.spool, parts.tree).command,
            "status": report.command,
        }
        return Control(self._mountpoint, commands)

    def _install(self, parts: Parts, spawner: Spawner) -> int:
        """Answer the requests that pyfuse3 cannot; returns how many others it may have at once."""
        operations = parts.operations
        copy_range.install(operations.copy_range, spawner, at_once=COPIES_AT_ONCE)
        taken = writes.install(operations.write, spawner, room=self._options.memory)
        return REQUESTS_AT_ONCE if taken else REQUESTS_AND_WRITES

    def _start(
        self,
        supervisor: Supervisor,
        parts: Parts,
        service: Service,
        report: Report,
        draining: Draining,
    ) -> None:
        """Begin what the mount does beside answering the kernel."""
        obey = partial(self._obey_signals, parts, service, report, draining)
        supervisor.keep(obey, "signals")
        supervisor.keep(partial(self._clear_up, parts.filesystem), "what was left behind")
        supervisor.keep(partial(watch_keys, self._live.keys), "key files")
        supervisor.keep(service.run, "service manager")
        supervisor.keep(partial(self._follow, draining, service, report), "mount table")
        supervisor.keep(partial(self._announce, service), "self-check", may_end=True)

    def _find_device(self) -> int | None:
        """Find st_dev of the mount; None where it is hidden from us, in a sandbox."""
        found = uppermost(self._mountpoint)
        return found.device if found is not None and found.fstype == FSTYPE else None

    async def _answer_kernel(self, at_once: int) -> None:
        """Serve until the mount is gone; a defect there is noted, and what is left is stored."""
        try:
            await pyfuse3.main(max_tasks=at_once)
        except Exception as error:
            self._defect = reported(error, "the kernel's requests")
            if self._device is not None:
                end_connection(self._device)  # nobody waits for answers that do not come
            return
        if self._ending or self._device is None:
            return
        with trio.move_on_after(UNMOUNTING_SECONDS):
            await until_gone(self._device)
            return
        # By fusectl, or by an umount -f that found it busy: whoever mounted it still wants it.
        self._defect = UserError("somebody has ended the kernel's connection", Exit.DEFECT)
        report(Incident("mount", str(self._mountpoint), self._defect))

    def _terminate(self) -> None:
        """Have the kernel's requests answered no more, and the mount taken away."""
        # After the end of the session libfuse crashes; who unmounted it drains it too.
        if not self._unmounted.is_set():
            self._ending = True
            pyfuse3.terminate()

    async def _close(self, tree: Tree) -> None:
        """End the session, when nobody tells the kernel anything any more.

        After a defect the mount stays in its place, dead: whoever writes there is told ENOTCONN,
        and nobody writes to the directory below it. The next start takes it over.
        """
        with trio.move_on_after(LET_GO_SECONDS, shield=True) as scope:
            await tree.close()
        if scope.cancelled_caught:
            # It waits for a directory that a request holds, and nobody answers requests any more.
            if self._device is not None:
                end_connection(self._device)
            if self._defect is None:
                abort(self._mountpoint)
            with trio.move_on_after(LET_GO_SECONDS, shield=True):
                await tree.close()
        pyfuse3.close(unmount=self._defect is None)

    async def _clear_up(self, filesystem: Filesystem) -> None:
        """Tell what was under way when the last daemon ended, and drop what it has left."""
        await filesystem.journal.settle(filesystem.helpers, ours=self._staging.is_heir)
        await self._staging.clear(filesystem.helpers)

    def _fuse_options(self) -> set[str]:
        words = set(pyfuse3.default_options)
        words.add(f"fsname={self._source.fsname}")
        words.add(f"subtype={FSTYPE.removeprefix('fuse.')}")
        switches = (name for name, option in OPTIONS.items() if option.kernel)
        return words | {name for name in switches if getattr(self._options, name)}

    async def _announce(self, service: Service) -> None:
        """Prove the mount through the kernel by what memory alone answers, and say so.

        Not by stat(2): that asks the store for the mounted prefix's marker, and may fail with it.
        """
        try:
            with trio.fail_after(self._patience):
                await trio.to_thread.run_sync(
                    ask_mount, self._mountpoint, self._device, abandon_on_cancel=True
                )
        except trio.TooSlowError:
            why = f"the mount does not answer within {self._patience:g} s: see its log"
            raise UserError(f"{self._mountpoint}: {why}", Exit.FAILED) from None
        except OSError as error:
            why = f"the mount cannot be seen: {error.strerror}"
            raise UserError(f"{self._mountpoint}: {why}", Exit.MOUNTPOINT) from None
        log.info("mounted %s at %s", self._source, self._mountpoint)
        self._ready()
        service.ready()

    async def _follow(self, draining: Draining, service: Service, report: Report) -> None:
        """End when the mount has gone from our namespace, though another may still have it.

        Programs here that have files open may go on until they close them.
        """
        if self._device is None:
            return
        await until_gone(self._device)
        await trio.sleep(CALM_SECONDS)
        if self._unmounted.is_set():
            return
        service.gone()
        while not (others := holders(self._device)) and report.pending()["open_files"]:
            await trio.sleep(LOOK_SECONDS)
        if self._unmounted.is_set():
            return
        who = ", ".join(others) or "unknown"
        log.warning("unmounted here; other mount namespaces still have it (%s): it ends", who)
        await draining.run()
        if not self._unmounted.is_set():
            end_connection(self._device)
            self._terminate()

    async def _obey_signals(
        self, parts: Parts, service: Service, report: Report, draining: Draining
    ) -> None:
        end_undisturbed()
        with trio.open_signal_receiver(*HEARD) as signals:
            async for number in signals:
                obey = partial(self._obey, number, parts, service, report, draining)
                # Here, for signals that come while this task waits to be begun again are lost.
                await guarded(obey, signal.Signals(number).name)

    async def _obey(
        self, number: int, parts: Parts, service: Service, report: Report, draining: Draining
    ) -> None:
        if number == RELOAD:
            await self._reload(service, parts.commands)
            return
        if number == DUMP:
            log_state(report.status())
            return
        log.info("%s: storing what is left", signal.Signals(number).name)
        try:
            if not self._unmounted.is_set():
                await draining.run()
            # While requests are answered, none holds a directory for long.
            with trio.move_on_after(LET_GO_SECONDS):
                await parts.tree.close()
        finally:
            self._terminate()

    async def _reload(self, service: Service, commands: Commands) -> None:
        """Read keys and settings anew, and believe no name that was learnt before."""
        with service.reloading():
            self._live.reload()
        # The kernel takes its time to forget; nobody who reloads settings need wait for that.
        with trio.move_on_after(SELF_CHECK_SECONDS):
            await commands.forget_names()


def _told(left: int, spool: Spool | None) -> str:
    """Say in a line what stays in the spool; empty where nothing does."""
    if spool is None or not left:
        return ""
    waiting = f"{left} requests with {spool.queue.bytes} bytes"
    return f"{waiting} wait in {spool.journal.directory} for the next mount: nothing is lost"


def _user_error(group: BaseException) -> BaseException | None:
    """Find the one line for the user, however deep in the nursery it was raised."""
    found: BaseException | None = group
    if isinstance(found, BaseExceptionGroup):
        found = found.subgroup(UserError)
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found

"""Runs an app as a process: waits for the broker, handles signals, stops within a limit, returns an exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading

import structlog

from watson.agents.topics import verify_topics
from watson.agents.transport.app import TransportApp
from watson.errors import BrokerUnavailable, UserError
from watson.settings import Settings

__all__ = ["EXIT_CRASHED", "EXIT_OK", "EXIT_UNAVAILABLE", "run"]

log = structlog.get_logger(__name__)

EXIT_OK = 0
EXIT_UNAVAILABLE = BrokerUnavailable.exit_code
EXIT_CRASHED = 70  # EX_SOFTWARE of sysexits.h

_LOOK_SECONDS = 0.2
_CHATTY = (
    "faust",
    "mode",
    "aiokafka",
    # Faust's subclasses log under the module that defines them
    *(f"watson.agents.transport.{name}" for name in ("app", "consumer", "consumer_thread", "producer", "recovery")),
    *(f"watson.agents.transport.{name}" for name in ("stores", "stream", "tables", "watchdog")),
)


def run(app: TransportApp, settings: Settings) -> int:
    """Work until SIGTERM, SIGINT or a crash; returns the exit code.

    0 after a signal; 69 when no broker answered for `Settings.broker_wait`; 70 after a crash, which is logged; the
    watchdog ends the process with 75. A stop that takes longer than `Settings.stop_timeout`, or a second signal, ends
    the process at once: what was not finished is delivered again.

    Raises:
        UserError: topics are missing or have another number of partitions; the state directory is in use.
    """
    if settings.log_level != "DEBUG":
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
    try:
        code = asyncio.run(_Life(app, settings).live())
    except BrokerUnavailable as exc:
        log.error(str(exc))  # noqa: TRY400 - one clear line, no traceback
        code = EXIT_UNAVAILABLE
    except UserError:
        raise
    except Exception:
        log.exception("crashed", role=app.role)
        code = EXIT_CRASHED
    log.info("ended", role=app.role, exit_code=code)
    return code


def _others_run() -> bool:
    """Whether threads are left that the interpreter would wait for."""
    return any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate())


class _Life:
    """From the first signal handler to the last future."""

    def __init__(self, app: TransportApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._told = asyncio.Event()

    async def live(self) -> int:
        """All of it; returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)
        log.info("starting", role=self._app.role, brokers=self._settings.brokers)
        if not await self._topics_are_there():
            return EXIT_OK
        app = self._app
        app.finalize()
        app.in_worker = True
        app.worker_init()
        app.worker_init_post_autodiscover()
        starting = asyncio.ensure_future(app.start())
        code = EXIT_CRASHED
        try:
            code = await self._until_the_end(starting)
        finally:
            limit = self._limit_the_stop(code)
            starting.cancel()
            await asyncio.wait({starting})
            await app.stop()
            if not _others_run():
                limit.cancel()
        return code

    async def _topics_are_there(self) -> bool:
        """False when told to stop meanwhile."""
        verifying = asyncio.ensure_future(verify_topics(self._settings))
        told = asyncio.ensure_future(self._told.wait())
        await asyncio.wait({verifying, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if self._told.is_set():
            verifying.cancel()
            return False
        verifying.result()
        return True

    async def _until_the_end(self, starting: asyncio.Future[None]) -> int:
        """Looks instead of waiting: a crash may be noted by the consumer's thread, which wakes nobody here."""
        app = self._app
        while not self._told.is_set():
            if starting.done():
                starting.result()
            if app.should_stop:
                reason = app.crash_reason
                if isinstance(reason, UserError):
                    raise reason
                log.critical("crashed", role=app.role, reason=repr(reason))
                return EXIT_CRASHED
            await asyncio.sleep(_LOOK_SECONDS)
        return EXIT_OK

    def _on_signal(self, number: signal.Signals) -> None:
        if self._told.is_set():
            log.warning("second signal: ending at once")
            os._exit(128 + number)
        log.info("stopping", signal=signal.Signals(number).name)
        self._told.set()

    def _limit_the_stop(self, code: int) -> threading.Timer:
        """A thread, for what hangs may be the event loop, an executor's thread or the interpreter's own exit."""

        def end() -> None:
            log.warning("not stopped in time: ending", seconds=self._settings.stop_timeout, exit_code=code)
            os._exit(code)

        timer = threading.Timer(self._settings.stop_timeout, end)
        timer.daemon = True
        timer.start()
        return timer

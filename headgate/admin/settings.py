"""What was changed at run time, as one process knows it: read from the store, put in place of the file's values.

Refreshed twice a second, so that a change made anywhere is in force everywhere within 2 seconds. A store that is away
leaves in force what was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from headgate.change_types import AuditEntry, Change, Setting
from headgate.config.effective import Effective, effective
from headgate.config.schema import Config
from headgate.errors import DatabaseUnavailable
from headgate.ports import Changes

REFRESH_SECONDS = 0.5

log = logging.getLogger(__name__)


class Settings:
    """The configuration in force. `store` has what was changed; `apply`, if given, is told of each new one.

    `workers`: how many processes serve together.
    """

    def __init__(
        self, store: Changes, config: Config, apply: Callable[[Effective], None] | None = None, workers: int = 1
    ) -> None:
        self.store = store
        self.file = config
        self.in_force = Effective(config)
        self._apply = apply
        self._workers = workers
        self._changes: list[Change] = []
        self._version: int | None = None
        self._last_error = ""
        self._refreshing = asyncio.Lock()
        self._told: set[Setting] = set()

    @property
    def changes(self) -> Sequence[Change]:
        """What was changed, the last change last."""
        return tuple(self._changes)

    def configure(self, config: Config) -> Effective:
        """Take another file's values, below the same changes. Applying what comes of it is the caller's."""
        self.file = config
        return self._combine()

    async def refresh(self) -> None:
        """Look whether something changed, and put it in force. Raises DatabaseUnavailable."""
        async with self._refreshing:
            version = await self.store.version()
            if version == self._version:
                return
            before, self._changes = self._changes, await self.store.all()
            self._version = version
            in_force = self._combine()
            if self._apply is None:
                return
            self._apply(in_force)
            if self._changes != before:
                log.info("limits and budgets as changed at run time are in force: %d settings", len(self._changes))

    async def keep_fresh(self) -> None:
        """Refresh for ever; a store that is away is said once and asked again."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
                self._last_error = ""
            except DatabaseUnavailable as error:
                if not self._last_error:
                    log.warning("changes of limits and budgets are not seen: %s", error.message)
                self._last_error = error.message

    def tried(self, change: Change) -> Effective:
        """What would be in force with one more change."""
        return effective(self.file, [*self._without(change.setting), change], self._workers)

    async def put(self, change: Change, entry: AuditEntry) -> None:
        """Keep a change and put it in force here. Raises Conflict, DatabaseUnavailable."""
        await self.store.put(change, entry, self._seen())
        await self.refresh()

    async def remove(self, setting: Setting, entry: AuditEntry) -> None:
        """Give a setting back to the file. Raises NotFound, Conflict, DatabaseUnavailable."""
        await self.store.remove(setting, entry, self._seen())
        await self.refresh()

    def _seen(self) -> int:
        assert self._version is not None, "refreshed before anything is changed"
        return self._version

    def _without(self, setting: Setting) -> list[Change]:
        return [change for change in self._changes if change.setting != setting]

    def _combine(self) -> Effective:
        self.in_force = effective(self.file, self._changes, self._workers)
        ignored = {one.change.setting: one.reason for one in self.in_force.ignored}
        for setting in ignored.keys() - self._told if self._apply is not None else ():
            log.warning("the change of '%s' at run time has no effect: %s", setting.written, ignored[setting])
        self._told = set(ignored)
        return self.in_force

"""The settings of a subfolder: its own importer.yaml over the inbox's over the main one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from importer.errors import SettingsError
from importer.nightly.inbox import SETTINGS
from importer.planning.identity import key_file
from importer.settings import IN_AN_INBOX, Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_OF_ONE_MACHINE: Final = frozenset({"ledger", "templates"})
"""What an inbox elsewhere cannot know; its claims are in one ledger, whatever the subfolder."""


@dataclass(frozen=True)
class Places:
    """Where settings come from.

    Attributes:
        root: the inbox.
        config: the main settings file, or None for importer.yaml of the current folder.
        flags: what the command line says; over everything.
        elsewhere: the inbox is a remote one, and its settings are not read where they lie.
    """

    root: Path
    config: Path | None = None
    flags: Mapping[str, object] = field(default_factory=dict)
    elsewhere: bool = False

    def main(self) -> Settings:
        """The main settings, whatever the inbox says; raises SettingsError."""
        return load_settings(self.config, self.flags)

    def ledger(self) -> str:
        """URL of the main ledger, which an inbox elsewhere cannot name; raises SettingsError."""
        return (self.main() if self.elsewhere else self.settings()).ledger

    def settings(self, folder: str = "") -> Settings:
        """The settings for files of a subfolder; of the inbox itself by default.

        Raises:
            SettingsError: something in one of the files is unknown or wrong, or a file of ours
                would lie in the inbox.
        """
        main = self.main()
        wanted = dict.fromkeys((self.root / SETTINGS, self.root / folder / SETTINGS))
        over = [file for file in wanted if file.is_file() and not _same(file, main.file)]
        main_only = IN_AN_INBOX | (_OF_ONE_MACHINE if self.elsewhere else frozenset())
        found = load_settings(self.config, self.flags, over, main_only) if over else main
        self._refuse_own(found)
        return found

    def _refuse_own(self, settings: Settings) -> None:
        """Raises where the ledger or its like lies in the inbox, and would be taken for a list."""
        own = {
            "ledger": settings.ledger_file,
            "hmac_key_file": key_file(settings),
            "log_file": settings.log_file,
            "metrics_file": settings.metrics_file,
        }
        for key, file in own.items():
            if file is not None and file.resolve().is_relative_to(self.root.resolve()):
                raise SettingsError(
                    f"{key}: {file} lies in the inbox, where a night would take it for a list.",
                    "Keep it in another folder.",
                )


def _same(file: Path, other: Path | None) -> bool:
    return other is not None and file.resolve() == other.resolve()

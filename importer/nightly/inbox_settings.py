"""The settings of an inbox and its subfolders.

The main importer.yaml may set anything for a subfolder, under `folders:`. A settings file inside
the inbox comes from the people who upload lists, and may set only a few things.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from importer.errors import SettingsError
from importer.nightly.inbox import SETTINGS
from importer.planning.identity import key_file
from importer.settings import InboxFile, Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class InboxSettings:
    """Reads the settings for an inbox each time they are needed: files may change during a night.

    Attributes:
        root: the inbox, or the staging folder of a remote one.
        config: the main settings file, or None for importer.yaml of the current folder.
        flags: of the command line; they take precedence.
        remote: whether the inbox is on another machine. If so, all its claims are in one ledger.
    """

    root: Path
    config: Path | None = None
    flags: Mapping[str, object] = field(default_factory=dict)
    remote: bool = False

    def main(self) -> Settings:
        """Return the main settings, without those of the inbox; raise SettingsError."""
        return load_settings(self.config, self.flags)

    def ledger(self) -> str:
        """Return the main ledger's URL, which no file in an inbox can set; raise SettingsError."""
        main = self.main()
        self._refuse_own_files(main)
        return main.ledger

    def load(self, folder: str = "") -> Settings:
        """Return the settings for files of a subfolder; of the inbox itself by default.

        Raises:
            SettingsError: something in one of the files is unknown or wrong, an inbox's file sets
                what only the main one may, or a file of ours would be in the inbox.
        """
        main = self.main()
        wanted = dict.fromkeys((self.root / SETTINGS, self.root / folder / SETTINGS))
        files = [
            InboxFile(file, main.severity)
            for file in wanted
            if os.path.lexists(file) and not _is_same(file, main.file)
        ]
        for each in files:
            _refuse_irregular(each.path)
        found = main
        if files or folder in main.folders:
            found = load_settings(self.config, self.flags, files, folder)
        if self.remote and found.ledger != main.ledger:
            raise SettingsError(
                f"folders.{folder}.ledger: a remote inbox has one ledger for all its folders.",
                "Remove it, or make that folder an inbox of its own.",
            )
        self._refuse_own_files(found)
        return found

    def _refuse_own_files(self, settings: Settings) -> None:
        """Raise if a file of ours, such as the ledger, is in the inbox and would be imported."""
        own = {
            "ledger": settings.ledger_file,
            "hmac_key_file": key_file(settings),
            "log_file": settings.log_file,
            "metrics_file": settings.metrics_file,
        }
        for key, file in own.items():
            if file is not None and file.resolve().is_relative_to(self.root.resolve()):
                raise SettingsError(
                    f"{key}: {file} is in the inbox, and a night would take it for a list.",
                    "Keep it in another folder.",
                )


def _refuse_irregular(file: Path) -> None:
    """Raise unless it is a regular file of the inbox: a link may lead anywhere."""
    if file.is_symlink() or not file.is_file():
        raise SettingsError(
            f"{file}: settings in an inbox must be a plain file, not a link or a folder.",
            "Replace it with the file itself.",
        )


def _is_same(file: Path, other: Path | None) -> bool:
    return other is not None and file.resolve() == other.resolve()

"""Commands that a report gives to a person, ready to be pasted into a shell."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.report.wording import plain
from importer.settings.flags import FLAGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.settings import Settings

_MOST: Final = 300
_PASSWORD: Final = re.compile(r"(?<=:)[^:/@]+(?=@)")


@dataclass(frozen=True, slots=True)
class Said:
    """What a command line said of the settings, so that the next one can say it again.

    Attributes:
        config: the settings file, where a command would not find it by itself.
        flags: under the settings' names; passwords are no longer in them.
    """

    config: str = ""
    flags: Mapping[str, str | bool] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Said:
        """What the one said that these settings were loaded for."""
        file, here = settings.file, Path.cwd()
        config = ""
        if file is not None and file != here / "importer.yaml":
            config = str(file.relative_to(here) if file.is_relative_to(here) else file)
        flags = {
            name: value if isinstance(value, bool) else _PASSWORD.sub("***", str(value))
            for name, value in settings.flags.items()
        }
        return cls(config, flags)

    def again(self, command: str) -> str:
        """The same for another command, as far as it takes it; a blank before each word."""
        words = ["--config", self.config] if self.config else []
        for name in FLAGS[command]:
            value = self.flags.get(name)
            if value:
                words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        return "".join(f" {shlex.quote(plain(word, _MOST))}" for word in words)


def release_command(inbox: str | None, place: str) -> str:
    """What lets go of a held file.

    It can be pasted where it is known where the file lies and its name can be shown as it is;
    else INBOX stands for the inbox, or a gap for what no terminal should get.

    Args:
        inbox: folder or address; None where nobody wrote it down.
        place: of the file, relative to the inbox.
    """
    path = f"{inbox or 'INBOX'}/{place}"
    if inbox and plain(path, len(path)) == path:
        return f"importer release {shlex.quote(path)}"
    return f"importer release {plain(path, _MOST)}"

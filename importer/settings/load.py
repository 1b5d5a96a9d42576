"""Reads the settings: flags over environment over importer.yaml over defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.documents import read_yaml
from importer.errors import SettingsError
from importer.settings.environment import variables
from importer.settings.layers import (
    flag,
    from_file,
    from_text,
    misspelled_variables,
    placed,
    variable,
)
from importer.settings.model import Place, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILE_NAME: Final = "importer.yaml"

IN_AN_INBOX: Final = frozenset(
    (
        *("base_url", "hmac_key_file", "desk", "log_file", "metrics_file"),
        *("notify", "mail_to", "mail_from", "smtp", "smtp_security", "smtp_user"),
    )
)
"""What no file in an inbox may set: where secrets and messages go, and what is the night's own."""


def load_settings(
    config: Path | None,
    flags: Mapping[str, object],
    over: Sequence[Path] = (),
    main_only: frozenset[str] = IN_AN_INBOX,
) -> Settings:
    """Read the settings.

    A relative path is taken from the folder of importer.yaml when it stands there or is a default,
    and from the current folder when environment or command line give it.

    Args:
        config: the settings file; None takes `importer.yaml` of the current folder where there
            is one.
        flags: what the command line says, under the settings' names; None counts as not said.
        over: further files, each over the ones before it; what they do not say stays.
        main_only: settings that these further files may not set.

    Raises:
        SettingsError: something is unknown or wrong; its text has a line for each.
    """
    here = Path.cwd()
    file = config if config is not None else Path(FILE_NAME)
    document = read_yaml(file, SettingsError) if config is not None or file.is_file() else None
    given = {name: value for name, value in flags.items() if value is not None}
    place = Place(here, None, given)
    if document is not None:
        place = Place((here / file).parent, here / file, given)
    files = [from_file(document, Settings)]
    files += [from_file(read_yaml(each, SettingsError), Settings, main_only) for each in over]
    said = (
        from_text(variables(Settings.model_fields), Settings, variable, _COMPOUND),
        from_text(flags, Settings, flag, _COMPOUND),
    )
    layers = (*files, *said)
    bases = (place.folder, *((here / each).parent for each in over), here, here)
    wrong = [
        *(mistake for layer in files for mistake in layer.wrong),
        *misspelled_variables(Settings.model_fields),
        *(mistake for layer in said for mistake in layer.wrong),
    ]
    if wrong:
        raise SettingsError("\n".join(wrong))
    values = placed(
        {
            "ledger": "sqlite:///importer.db",
            "templates": Path("templates"),
            "desk": Path("desk"),
        },
        place.folder,
    )
    for layer, base in zip(layers, bases, strict=True):
        for one, other in (("campaign", "external_campaign"), ("external_campaign", "campaign")):
            if one in layer.values:
                values.pop(other, None)
        values.update(placed(layer.values, base))
    return Settings.model_validate(values, context=place)


_COMPOUND: Final = frozenset(
    {"columns", "severity", "id_paths", "duplicate_statuses", "duplicate_texts", "mail_to"}
)

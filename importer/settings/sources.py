"""The sources of settings, for pydantic-settings; the strongest source comes first.

Each source keeps its original values, so that a mistake can be reported where it was made:
`file:row:column: key`, the environment variable, or the flag.
"""

from __future__ import annotations

import io
import os
import stat
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import TYPE_CHECKING, Any, Final, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from importer.errors import SettingsError
from importer.settings.page_settings import is_address
from importer.settings.secrets import PREFIX, unknown_variables
from importer.settings.settings import Origin, Settings
from importer.settings.values import is_loopback
from importer.settings.yaml_files import (
    Mistake,
    closest_name,
    format_path,
    list_mistakes,
    parse,
    read_yaml,
    unknown_key,
)
from schemas.codes import WORDS, Code, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic.fields import FieldInfo

    from importer.settings.yaml_files import Document, Path_


FILE_NAME: Final = "importer.yaml"

ALLOWED_IN_INBOX: Final = frozenset(
    (
        *("campaign", "external_campaign", "meeting", "participants"),
        *("columns", "sheet", "encoding", "fallback_encoding", "default_country", "severity"),
    )
)
"""The settings that a file in an inbox may change: how its lists are read, and where they go.

Anybody who can upload a list can upload such a file. It therefore cannot change who may be
contacted again, how fast, through which ledger or server, or with which texts.
"""

_NO_SECRETS: Final = (
    "secrets do not belong in a settings file; "
    "set POPP_API_KEY, POPP_ORGANIZATION_ID or IMPORTER_HMAC_KEY in the environment"
)
_SECRETS: Final = frozenset(
    {
        "api_key",
        "popp_api_key",
        "x_api_key",
        "organization_id",
        "organisation_id",
        "popp_organization_id",
        "x_organization_id",
        "hmac_key",
        "importer_hmac_key",
    }
)
_NOT_IN_INBOX: Final = (
    "cannot be set in an inbox; set it in the main importer.yaml, for one folder under `folders:`"
)
_MUST_BE_MAPPING: Final = "must be a mapping (`key: value`)"
_CAMPAIGNS: Final = frozenset({"campaign", "external_campaign"})
_PATHS: Final = frozenset(
    name
    for name, field in Settings.model_fields.items()
    if Path in (field.annotation, *get_args(field.annotation))
)
_DEFAULT_PLACES: Final = {
    "ledger": "sqlite:///importer.db",
    "templates": "templates",
    "desk": "desk",
    "uploads": "uploads",
}
"""Defaults that are paths, relative to the folder of importer.yaml."""
_STRICTNESS: Final = (Severity.INFO, Severity.WARNING, Severity.ERROR)


@dataclass(frozen=True, slots=True)
class InboxFile:
    """A settings file in an inbox.

    Attributes:
        path: the file.
        severities: the severities of the main settings; the file can only make them stricter.
    """

    path: Path
    severities: Mapping[Code, Severity] = field(default_factory=dict)


class _Source(PydanticBaseSettingsSource):
    """One source of settings.

    Attributes:
        base: folder for its relative paths.
        given: setting -> value as written there.
    """

    def __init__(self, base: Path, given: Mapping[str, Any]) -> None:
        super().__init__(LoadedSettings)
        self.base, self.given = base, given

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of one setting, as pydantic-settings expects it."""
        del field
        return self.given.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the settings of this source; a campaign only if no stronger source has one."""
        taken = _CAMPAIGNS if _CAMPAIGNS & self.current_state.keys() else frozenset()
        return {
            key: _placed(key, value, self.base)
            for key, value in self.given.items()
            if key not in taken
        }

    def contains(self, path: Path_) -> bool:
        """Whether this source has a value at a path."""
        value: Any = self.given
        for step in path:
            if isinstance(value, dict):
                if step not in value:
                    return False
                value = value[step]
        return True

    @abstractmethod
    def describe(self, mistakes: Sequence[Mistake]) -> list[str]:
        """Return a line with the place of each mistake; the source's own mistakes included."""


class YamlSource(_Source):
    """A settings file, or one folder's part of it.

    Args:
        document: the file.
        base: folder for its relative paths.
        above: path of the part; empty for the whole file.
        inbox: set for a file in an inbox.
    """

    def __init__(
        self,
        document: Document,
        base: Path,
        above: Path_ = (),
        inbox: InboxFile | None = None,
    ) -> None:
        self._document, self._above = document, above
        self._mistakes: list[Mistake] = []
        value: Any = document.value if document.value is not None else {}
        for step in above:
            value = (value.get(step) or {}) if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            self._mistakes.append(Mistake((), _MUST_BE_MAPPING))
            value = {}
        given = {}
        for key, item in value.items():
            mistakes = [] if item is None else list(_refused(key, item, inbox))
            self._mistakes += mistakes
            if item is not None and not mistakes:
                given[key] = item
        super().__init__(base, given)

    def describe(self, mistakes: Sequence[Mistake]) -> list[str]:
        """Return `file:row:column: key: what is wrong` for each mistake, in file order."""
        found = [
            Mistake((*self._above, *each.path), each.message, each.at_key, each.position)
            for each in (*self._mistakes, *mistakes)
        ]
        if self._above:  # the file's own faults are reported with the whole file
            return [self._document.describe(each) for each in found]
        try:
            self._document.refuse(found, SettingsError)
        except SettingsError as exc:
            return exc.message.splitlines()
        return []


class TextSource(_Source):
    """The environment or the flags, which give numbers and switches as text.

    Args:
        given: setting -> value.
        prefix: the prefix of the names: `IMPORTER_` or `--`.
        whole: name of the source, for mistakes that concern no single setting.
        wrong: lines about values that could not be read.
    """

    def __init__(
        self, given: Mapping[str, Any], prefix: str, whole: str, wrong: Sequence[str] = ()
    ) -> None:
        super().__init__(Path.cwd(), given)
        self._prefix, self._whole, self._wrong = prefix, whole, wrong

    def describe(self, mistakes: Sequence[Mistake]) -> list[str]:
        """Return `--flag: what is wrong`, with the rest of a longer path."""
        lines = [*self._wrong]
        for mistake in mistakes:
            name = self._whole
            if mistake.path:
                name = _written(self._prefix, str(mistake.path[0]))
            inner = format_path(mistake.path[1:])
            lines.append(f"{name}: {f'{inner}: ' if inner else ''}{mistake.message}")
        return lines


class _Variables(EnvSettingsSource):
    """The `IMPORTER_*` variables; their lists and mappings are YAML."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        super().__init__(LoadedSettings)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Read a list or mapping."""
        del field
        return _decoded(field_name, value, PREFIX, self.wrong)


class LoadedSettings(BaseSettings, Settings):
    """The settings of all sources together, validated once.

    Args:
        sources: the strongest first.
        origin: where they were found.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, validate_default=False
    )

    def __init__(self, sources: Sequence[_Source], origin: Origin) -> None:
        super().__init__(sources=tuple(sources))
        self._origin = origin

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources that were passed in."""
        del settings_cls
        sources: tuple[PydanticBaseSettingsSource, ...] = init_settings.init_kwargs["sources"]
        return sources


def load_settings(
    config: Path | None = None,
    flags: Mapping[str, object] = MappingProxyType({}),
    inbox_files: Sequence[InboxFile] = (),
    folder: str = "",
) -> Settings:
    """Read the settings.

    The first source that has a setting decides: flags, environment, the main file's `folders:`,
    the inbox's files (the last one first), the main file. Mappings such as `columns` are merged.
    A relative path of importer.yaml, or of a default, starts at the folder of importer.yaml; one of
    the environment or the command line starts at the current folder.
    `rehearsal: true` replaces the ledger, and an API that is not on this machine, in any case.

    Args:
        config: the settings file; None takes the one that `find_settings_file` finds.
        flags: the flags of the command line, by name of the setting; None counts as not given.
        inbox_files: files of an inbox, each stronger than the ones before it; they can only set
            what `ALLOWED_IN_INBOX` names.
        folder: subfolder of the inbox; takes its part of the main file's `folders:`.

    Raises:
        SettingsError: a setting is unknown or wrong; the message has a line for each mistake.
    """
    here = Path.cwd()
    path = config if config is not None else find_settings_file(here)
    given = {name: value for name, value in flags.items() if value is not None}
    base, file, files = here, None, list[_Source]()
    if path is not None:
        document = read_yaml(path, SettingsError)
        base, file = (here / path).parent, here / path
        files.append(YamlSource(document, base))
        files += _inbox_sources(inbox_files)
        if folder:
            files.append(YamlSource(document, base, ("folders", folder)))
    else:
        files += _inbox_sources(inbox_files)
    variables, flag_faults = _Variables(), list[str]()
    from_environment = variables()
    if "folders" in from_environment:
        variables.wrong.append(f"{PREFIX}FOLDERS: can only be set in importer.yaml")
    read_flags = {
        name: _decoded(name, value, "--", flag_faults) if _is_compound(name) else value
        for name, value in given.items()
    }
    sources: list[_Source] = [
        *files,
        TextSource(from_environment, PREFIX, "the environment", variables.wrong),
        TextSource(read_flags, "--", "the flags", flag_faults),
    ]
    unused_ledger = ""
    if _is_rehearsal(sources):
        unused_ledger = _real_ledger(sources, base)
        sources.insert(-1, TextSource(_rehearsal(sources, base), "", "the rehearsal"))
    settings, mistakes = None, dict[int, list[Mistake]]()
    try:
        defaults = TextSource(
            {key: _placed(key, value, base) for key, value in _DEFAULT_PLACES.items()}, "", ""
        )
        every = (*reversed(sources), defaults)
        origin = Origin(base, file, config, given, unused_ledger)
        settings = LoadedSettings(every, origin)
    except ValidationError as exc:
        for mistake in list_mistakes(exc, Settings.model_fields):
            mistakes.setdefault(_source_of(mistake, sources), []).append(mistake)
    lines = [source.describe(mistakes.get(each, ())) for each, source in enumerate(sources)]
    wrong = [
        *(line for each in lines[: len(files)] for line in each),
        *_misspelled_variables(),
        *(line for each in lines[len(files) :] for line in each),
    ]
    if wrong or settings is None:
        raise SettingsError("\n".join(wrong))
    if settings.new_ledger and not given.get("new_ledger"):
        raise SettingsError("new_ledger: can only be given as the flag --new-ledger, for one run")
    return settings


_INBOX_MARKER: Final = ".importer-ledger"
"""A folder with this file is an inbox: anybody who uploads lists there can upload settings, too."""


def find_settings_file(here: Path) -> Path | None:
    """Find `importer.yaml` in a folder or the nearest one above it.

    The search ends at the home folder, at a folder with `.git`, and at the root. The path is
    relative if the file is in the current folder.

    Args:
        here: where to begin; absolute.

    Raises:
        SettingsError: the file may be somebody else's. Settings decide who is contacted, so such a
            file is used only if the user names it.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home raises if there is none
    for folder in (here, *here.parents):
        path = folder / FILE_NAME
        try:
            if path.is_file():
                doubt = _distrust(path, above=folder != here)
                if not doubt:
                    return path if folder != here else Path(FILE_NAME)
                raise SettingsError(
                    f"{path} was not read: {doubt}.", f"If it is yours, name it: --config {path}"
                )
            if folder == home or (folder / ".git").exists():
                break
        except OSError:  # nobody may look into this folder
            continue
    return None


def _distrust(path: Path, *, above: bool) -> str:
    """Return why an unnamed settings file may be somebody else's; empty if it is ours."""
    if not hasattr(os, "getuid"):  # Windows
        return ""
    ours = {os.getuid(), 0}
    folder, file, link = path.parent.stat(), path.stat(), path.lstat()
    if not {file.st_uid, link.st_uid} <= ours and (above or folder.st_mode & stat.S_IWOTH):
        return "it belongs to another user"
    if not above:
        return ""
    sticky = folder.st_mode & stat.S_ISVTX  # as in /tmp: nobody replaces another's file
    for each in (file,) if sticky else (file, folder):
        shared = each.st_mode & stat.S_IWGRP and each.st_gid not in ours
        if shared or each.st_mode & stat.S_IWOTH:
            return "other users can change it"
    if (path.parent / _INBOX_MARKER).exists():
        return "it is in an inbox, where others upload files"
    return ""


SANDBOX_URL: Final = "http://127.0.0.1:8765/v1"
"""Where `importer sandbox` listens if it is not told otherwise."""


def _is_rehearsal(sources: Sequence[_Source]) -> bool:
    """Whether the strongest source that sets `rehearsal` turns it on."""
    given = next((each.given for each in reversed(sources) if "rehearsal" in each.given), {})
    return str(given.get("rehearsal")).strip().casefold() in {"true", "1", "yes", "on", "y", "t"}


def _rehearsal(sources: Sequence[_Source], base: Path) -> dict[str, Any]:
    """Return the settings of a rehearsal: its own ledger and the sandbox. Only flags overrule them.

    A `base_url` on this machine is kept, because the sandbox may have another port.
    """
    given = next((each.given for each in reversed(sources) if "base_url" in each.given), {})
    url = str(given.get("base_url", ""))
    try:
        here = is_loopback(urlsplit(url).hostname or "")
    except ValueError:  # it is no URL
        here = False
    ledger = _placed("ledger", "sqlite:///rehearsal.db", base)
    return {"ledger": ledger, "base_url": url if here else SANDBOX_URL}


def _real_ledger(sources: Sequence[_Source], base: Path) -> str:
    """Return the ledger that these sources name for real conversations."""
    for source in reversed(sources[:-1]):  # a flag names the ledger of the rehearsal itself
        if "ledger" in source.given:
            return str(_placed("ledger", source.given["ledger"], source.base))
    return str(_placed("ledger", _DEFAULT_PLACES["ledger"], base))


def _inbox_sources(files: Sequence[InboxFile]) -> list[_Source]:
    return [
        YamlSource(read_yaml(each.path, SettingsError), each.path.absolute().parent, inbox=each)
        for each in files
    ]


def _source_of(mistake: Mistake, sources: Sequence[_Source]) -> int:
    """Return the position of the source that made a mistake: the strongest with that value."""
    strongest = range(len(sources) - 1, -1, -1)
    if mistake.path:
        return next((each for each in strongest if sources[each].contains(mistake.path)), 0)
    words = set(mistake.message.replace(";", " ").split())
    return max(strongest, key=lambda each: len(words & sources[each].given.keys()))


def _refused(key: str, value: object, inbox: InboxFile | None) -> Iterator[Mistake]:
    """Yield what a file must not set; the rest is validated with the other sources."""
    if key.casefold().replace("-", "_") in _SECRETS:
        yield Mistake((key,), _NO_SECRETS, at_key=True)
    elif inbox is not None and key in Settings.model_fields and key not in ALLOWED_IN_INBOX:
        yield Mistake((key,), _NOT_IN_INBOX, at_key=True)
    elif message := _wrong_type(key, value):
        yield Mistake((key,), message)
    elif inbox is not None and key == "severity" and isinstance(value, dict):
        for code, severity in value.items():
            if _is_laxer(code, severity, inbox.severities):
                yield Mistake((key, code), "an inbox can only make a severity stricter")
    elif key == "folders" and isinstance(value, dict):
        yield from _wrong_folders(value)


def _wrong_folders(folders: Mapping[str, object]) -> Iterator[Mistake]:
    """Yield unknown keys in `folders:`; the values are validated when they are used."""
    known = Settings.model_fields.keys() - {"folders"}
    for folder, own in folders.items():
        for key in own if isinstance(own, dict) else ():
            if key not in known:
                meant = closest_name(key, known)
                yield Mistake(("folders", folder, key), unknown_key(meant), at_key=True)


def _is_laxer(code: str, severity: object, main: Mapping[Code, Severity]) -> bool:
    try:
        known = Code(code)
        now = main.get(known, WORDS[known].severity)
        return _STRICTNESS.index(Severity(str(severity))) < _STRICTNESS.index(now)
    except ValueError:  # no such code or severity, which validation reports
        return False


_PLAIN_KINDS: Final = {
    bool: "must be true or false",
    int: "must be a whole number",
    float: "must be a number",
}


def _wrong_type(key: str, value: object) -> str:
    """Say what is wrong with text for a number or a switch: files, unlike variables, have types."""
    setting = Settings.model_fields.get(key)
    if setting is None or any(isinstance(each, BeforeValidator) for each in setting.metadata):
        return ""
    kinds = [each for each in get_args(setting.annotation) if each is not NoneType]
    kind = kinds[0] if len(kinds) == 1 else setting.annotation
    message = _PLAIN_KINDS.get(kind, "") if isinstance(kind, type) else ""
    if kind is bool:
        return "" if isinstance(value, bool) else message
    return message if isinstance(value, bool | str) else ""


def _is_compound(key: str) -> bool:
    """Whether a setting is a list or a mapping."""
    setting = Settings.model_fields.get(key)
    kind = getattr(setting.annotation, "__origin__", None) if setting is not None else None
    return kind in {dict, tuple}


def _decoded(key: str, value: object, prefix: str, wrong: list[str]) -> Any:
    """Read a list or mapping from YAML; on a mistake, add it to `wrong` and return the default."""
    if not isinstance(value, str):
        return value
    try:
        return parse(value, SettingsError, _written(prefix, key)).value
    except SettingsError as exc:
        wrong.append(exc.message)
        return Settings.model_fields[key].get_default(call_default_factory=True)


def _written(prefix: str, key: str) -> str:
    """Return a setting's name as a variable or a flag."""
    return f"--{key.replace('_', '-')}" if prefix == "--" else f"{prefix}{key}".upper()


def _misspelled_variables() -> list[str]:
    """Return a line for each `IMPORTER_*` variable that is nearly the name of a setting."""
    known = [_written(PREFIX, name) for name in Settings.model_fields]
    close = {name: closest_name(name, known, 0.85) for name in unknown_variables(known)}
    return [
        f"{name}: there is no such setting; did you mean `{meant}`?"
        for name, meant in close.items()
        if meant
    ]


def _placed(key: str, value: Any, base: Path) -> Any:
    """Return a path relative to `base`, and any other value unchanged."""
    if key in _PATHS and isinstance(value, str | Path) and not is_address(value):
        return base / Path(value).expanduser()
    if key == "ledger" and isinstance(value, str):
        scheme, _, rest = value.partition(":///")
        if scheme.startswith("sqlite") and rest and not rest.startswith((":", "/", "file:")):
            return f"{scheme}:///{base / rest}"
    return value


def with_columns(file: Path, columns: Mapping[str, str]) -> str:
    """Return the text of a settings file with these headers added under `columns:`.

    Args:
        file: importer.yaml; it need not exist.
        columns: header -> column; replaces the column of headers that are there already.

    Raises:
        SettingsError: the file cannot be read.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100
    text = ""
    if file.is_file():
        read_yaml(file, SettingsError)  # raises with the place of a mistake
        text = file.read_text("utf-8-sig")
    document = yaml.load(text)
    if document is None:
        text = f"{text.rstrip()}\n" if text.strip() else ""
        return text + _dumped(yaml, {"columns": dict(columns)})
    if not isinstance(document.get("columns"), dict):
        document["columns"] = CommentedMap()
    document["columns"].update(columns)
    return _dumped(yaml, document)


def _dumped(yaml: YAML, document: object) -> str:
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()

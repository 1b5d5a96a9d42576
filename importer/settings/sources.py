"""Where settings come from, as sources of pydantic-settings: the strongest source is asked first.

Each source keeps what was written there, so that a mistake found while validating can be reported
at its place: `file:row:column: key`, the environment variable, or the flag.
"""

from __future__ import annotations

import io
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
from importer.settings.secrets import PREFIX, unknown_variables
from importer.settings.settings import Settings
from importer.settings.values import is_loopback
from importer.yaml_files import Mistake, found_in, near, parse, read_yaml, spelled
from schemas.codes import WORDS, Code, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic.fields import FieldInfo

    from importer.yaml_files import Document, Path_


FILE_NAME: Final = "importer.yaml"

ALLOWED_IN_INBOX: Final = frozenset(
    (
        *("campaign", "external_campaign", "meeting", "participants"),
        *("columns", "sheet", "encoding", "fallback_encoding", "default_country", "severity"),
    )
)
"""What a settings file in an inbox may set: how its lists are read, and where they go.

Whoever can upload a list can upload such a file, so it never says who may be contacted again, how
fast, through which ledger or server, or with which texts.
"""

_NO_SECRETS: Final = (
    "a secret never stands in a file of settings; "
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
    "cannot be set in an inbox, which may only say how its lists are read and where they go; "
    "set it in the main importer.yaml, for one folder under `folders:`"
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
}
"""Defaults that are paths; they are taken from the folder of importer.yaml."""
_STRICTNESS: Final = (Severity.INFO, Severity.WARNING, Severity.ERROR)


@dataclass(frozen=True, slots=True)
class InboxFile:
    """A settings file that lies in an inbox.

    Attributes:
        path: of the file.
        severities: what the main settings say; the file may only be stricter.
    """

    path: Path
    severities: Mapping[Code, Severity] = field(default_factory=dict)


class _Source(PydanticBaseSettingsSource):
    """One place that settings come from.

    Attributes:
        base: folder that its relative paths are taken from.
        said: setting -> value as written there.
    """

    def __init__(self, base: Path, said: Mapping[str, Any]) -> None:
        super().__init__(LoadedSettings)
        self.base, self.said = base, said

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of one setting, as pydantic-settings asks for it."""
        del field
        return self.said.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """What this place says, unless a stronger one named another campaign."""
        taken = _CAMPAIGNS if _CAMPAIGNS & self.current_state.keys() else frozenset()
        return {
            key: _placed(key, value, self.base)
            for key, value in self.said.items()
            if key not in taken
        }

    def says(self, path: Path_) -> bool:
        """Whether the value at a path comes from here."""
        value: Any = self.said
        for step in path:
            if isinstance(value, dict):
                if step not in value:
                    return False
                value = value[step]
        return True

    @abstractmethod
    def describe(self, mistakes: Sequence[Mistake]) -> list[str]:
        """A line for each mistake, with its place; the source's own mistakes included."""


class YamlSource(_Source):
    """A settings file, or one folder's part of it.

    Args:
        document: the file.
        base: folder that its relative paths are taken from.
        above: path of the part; empty for the whole file.
        inbox: set for a file that lies in an inbox.
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
        said = {}
        for key, item in value.items():
            mistakes = [] if item is None else list(_refused(key, item, inbox))
            self._mistakes += mistakes
            if item is not None and not mistakes:
                said[key] = item
        super().__init__(base, said)

    def describe(self, mistakes: Sequence[Mistake]) -> list[str]:
        """`file:row:column: key: what is wrong`, in the order of the file."""
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
    """Environment or flags, where numbers and switches come as text.

    Args:
        said: setting -> value.
        prefix: what a setting's name begins with here: `IMPORTER_` or `--`.
        nothing: what the place as a whole is called.
        wrong: lines about values that could not be read at all.
    """

    def __init__(
        self, said: Mapping[str, Any], prefix: str, nothing: str, wrong: Sequence[str] = ()
    ) -> None:
        super().__init__(Path.cwd(), said)
        self._prefix, self._nothing, self._wrong = prefix, nothing, wrong

    def describe(self, mistakes: Sequence[Mistake]) -> list[str]:
        """`--flag: what is wrong`, with the rest of the path where it lies deeper."""
        lines = [*self._wrong]
        for mistake in mistakes:
            name = self._nothing
            if mistake.path:
                name = _written(self._prefix, str(mistake.path[0]))
            inner = spelled(mistake.path[1:])
            lines.append(f"{name}: {f'{inner}: ' if inner else ''}{mistake.message}")
        return lines


class _Variables(EnvSettingsSource):
    """The `IMPORTER_*` variables; lists and mappings are written as YAML in them."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        super().__init__(LoadedSettings)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """The value of a list or mapping."""
        del field
        return _decoded(field_name, value, PREFIX, self.wrong)


class LoadedSettings(BaseSettings, Settings):
    """Settings as `load_settings` found them; validated once, whatever their sources.

    Args:
        sources: the strongest first.
        folder: where importer.yaml lies, else the current folder.
        file: the importer.yaml that was read, or None.
        flags: what the command line said.
        unused_ledger: the ledger of real conversations, if this is a rehearsal.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, validate_default=False
    )

    def __init__(
        self,
        sources: Sequence[_Source],
        folder: Path,
        file: Path | None,
        flags: Mapping[str, object],
        unused_ledger: str = "",
    ) -> None:
        super().__init__(sources=tuple(sources))
        self._folder, self._file, self._flags = folder, file, flags
        self._unused_ledger = unused_ledger

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources that were passed in."""
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

    Flags go before the environment, that before the main file's `folders:`, then the inbox's
    files, the last one first, and the main file. Mappings such as `columns` are merged. A relative
    path is taken from the folder of importer.yaml if it stands there or is a default, and from the
    current folder if environment or command line give it. `rehearsal: true` replaces the ledger and
    an API elsewhere, whatever the file and the environment say.

    Args:
        config: the settings file; None takes `importer.yaml` of the current folder if there is
            one.
        flags: what the command line says, under the settings' names; None counts as not said.
        inbox_files: files of an inbox, each stronger than the ones before it; what they may set is
            limited to `ALLOWED_IN_INBOX`.
        folder: subfolder of the inbox; takes its part of the main file's `folders:`.

    Raises:
        SettingsError: something is unknown or wrong; its text has a line for each mistake.
    """
    here = Path.cwd()
    path = config if config is not None else Path(FILE_NAME)
    given = {name: value for name, value in flags.items() if value is not None}
    base, file, files = here, None, list[_Source]()
    if config is not None or path.is_file():
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
        settings = LoadedSettings(every, base, file, given, unused_ledger)
    except ValidationError as exc:
        for mistake in found_in(exc, Settings.model_fields):
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
        raise SettingsError("new_ledger: is for one run; give --new-ledger when you mean it")
    return settings


SANDBOX_URL: Final = "http://127.0.0.1:8765/v1"
"""Where `importer sandbox` listens if it is not told otherwise."""


def _is_rehearsal(sources: Sequence[_Source]) -> bool:
    """Whether the strongest source that says `rehearsal` means it."""
    said = next((each.said for each in reversed(sources) if "rehearsal" in each.said), {})
    return str(said.get("rehearsal")).strip().casefold() in {"true", "1", "yes", "on", "y", "t"}


def _rehearsal(sources: Sequence[_Source], base: Path) -> dict[str, Any]:
    """What a rehearsal sets, over everything but flags: its own ledger, and an API that is here.

    A `base_url` of this machine stays, because the sandbox may have another port.
    """
    said = next((each.said for each in reversed(sources) if "base_url" in each.said), {})
    url = str(said.get("base_url", ""))
    try:
        here = is_loopback(urlsplit(url).hostname or "")
    except ValueError:  # it is no URL
        here = False
    ledger = _placed("ledger", "sqlite:///rehearsal.db", base)
    return {"ledger": ledger, "base_url": url if here else SANDBOX_URL}


def _real_ledger(sources: Sequence[_Source], base: Path) -> str:
    """The ledger that these sources name for real conversations."""
    for source in reversed(sources[:-1]):  # a flag names the ledger of the rehearsal itself
        if "ledger" in source.said:
            return str(_placed("ledger", source.said["ledger"], source.base))
    return str(_placed("ledger", _DEFAULT_PLACES["ledger"], base))


def _inbox_sources(files: Sequence[InboxFile]) -> list[_Source]:
    return [
        YamlSource(read_yaml(each.path, SettingsError), each.path.absolute().parent, inbox=each)
        for each in files
    ]


def _source_of(mistake: Mistake, sources: Sequence[_Source]) -> int:
    """The source that a mistake is in: the strongest that says the value, or the whole's keys."""
    strongest = range(len(sources) - 1, -1, -1)
    if mistake.path:
        return next((each for each in strongest if sources[each].says(mistake.path)), 0)
    words = set(mistake.message.replace(";", " ").split())
    return max(strongest, key=lambda each: len(words & sources[each].said.keys()))


def _refused(key: str, value: object, inbox: InboxFile | None) -> Iterator[Mistake]:
    """What a file may not say; the rest is validated with the other sources."""
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
    """Unknown keys in the settings of folders; their values are validated when they are used."""
    known = Settings.model_fields.keys() - {"folders"}
    for folder, said in folders.items():
        for key in said if isinstance(said, dict) else ():
            if key not in known:
                meant = near(key, known)
                hint = f"; did you mean `{meant}`?" if meant else ""
                path = ("folders", folder, key)
                yield Mistake(path, f"there is no such key{hint}", at_key=True)


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
    """Text for a number, or a switch that is none: a file has types, unlike the environment."""
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
    """A list or mapping that is written as YAML; what cannot be read is noted and left out."""
    if not isinstance(value, str):
        return value
    try:
        return parse(value, SettingsError, _written(prefix, key)).value
    except SettingsError as exc:
        wrong.append(exc.message)
        return Settings.model_fields[key].get_default(call_default_factory=True)


def _written(prefix: str, key: str) -> str:
    """A setting's name as environment or command line have it."""
    return f"--{key.replace('_', '-')}" if prefix == "--" else f"{prefix}{key}".upper()


def _misspelled_variables() -> list[str]:
    """A line for each `IMPORTER_*` variable that is no setting but looks like one."""
    known = [_written(PREFIX, name) for name in Settings.model_fields]
    close = {name: near(name, known, 0.85) for name in unknown_variables(known)}
    return [
        f"{name}: there is no such setting; did you mean `{meant}`?"
        for name, meant in close.items()
        if meant
    ]


def _placed(key: str, value: Any, base: Path) -> Any:
    """A path taken from `base`; any other value as it is."""
    if key in _PATHS and isinstance(value, str | Path):
        return base / Path(value).expanduser()
    if key == "ledger" and isinstance(value, str):
        scheme, _, rest = value.partition(":///")
        if scheme.startswith("sqlite") and rest and not rest.startswith((":", "/", "file:")):
            return f"{scheme}:///{base / rest}"
    return value


def with_columns(file: Path, columns: Mapping[str, str]) -> str:
    """The text of a settings file with these headers under `columns:`.

    Args:
        file: importer.yaml; need not be there yet.
        columns: header -> column; headers that stand there already get the new column.

    Raises:
        SettingsError: the file cannot be read.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100
    text = ""
    if file.is_file():
        read_yaml(file, SettingsError)  # says what is wrong, and where
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

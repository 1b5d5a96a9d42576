"""Who may do what on the page, and where it listens."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from importer.settings import Settings
from importer.settings.page_settings import Role

TEAM = Settings.model_validate(
    {
        "roles": {
            "uploader": ["group:recruiting", "sam"],
            "sender": ["Ada@Example.com"],
            "operator": ["group:ops"],
        }
    }
)


@pytest.mark.parametrize(
    ("name", "email", "groups", "roles"),
    [
        ("ada", "ada@example.COM", set(), {Role.SENDER}),
        ("sam", "", set(), {Role.UPLOADER}),
        ("kim", "", {"recruiting", "ops"}, {Role.UPLOADER, Role.OPERATOR}),
        ("kim", "", {"Recruiting"}, set()),
        ("recruiting", "", set(), set()),
        ("group:ops", "", set(), set()),
        ("ada@example.com", "", set(), set()),
        ("*", "", set(), set()),
        ("", "", set(), set()),
    ],
)
def test_a_role_is_given_by_name_address_or_group(
    name: str, email: str, groups: set[str], roles: set[Role]
) -> None:
    """Nobody gets one by calling themselves like a group or like somebody's address."""
    assert TEAM.roles_of(name, email, frozenset(groups)) == roles


def test_a_star_means_everybody_who_is_signed_in() -> None:
    """And only for its role."""
    settings = Settings.model_validate({"roles": {"uploader": ["*"]}})
    assert settings.roles_of("kim", "", frozenset()) == {Role.UPLOADER}


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [
        (9000, "127.0.0.1", 9000),
        ("0", "127.0.0.1", 0),
        ("0.0.0.0:80", "0.0.0.0", 80),  # noqa: S104
        ("[::1]:8766", "::1", 8766),
        ("localhost:1", "localhost", 1),
    ],
)
def test_where_it_listens(given: object, host: str, port: int) -> None:
    """A port alone means this machine."""
    settings = Settings.model_validate({"listen": given})
    assert (settings.listen_host, settings.listen_port) == (host, port)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("listen", "example.com:80"),
        ("listen", "70000"),
        ("listen", ""),
        ("page_url", "http://importer.example.com"),
        ("page_url", "https://importer.example.com/page"),
        ("page_url", "https://me@importer.example.com"),
        ("trusted_proxies", ["proxy"]),
        ("user_header", "X Forwarded"),
        ("roles", {"boss": ["ada"]}),
        ("roles", {"sender": ["group:"]}),
        ("session_minutes", 0),
    ],
)
def test_what_makes_no_sense_is_refused(key: str, value: object) -> None:
    """When the settings are read, not when somebody signs in."""
    with pytest.raises(ValidationError):
        Settings.model_validate({key: value})

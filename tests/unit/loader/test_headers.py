"""Headers are matched whatever their spelling, and what is doubtful is said."""

from __future__ import annotations

import pytest

from importer.loader.headers import fold, placeholder_name, understand
from schemas.columns import BY_NAME, COLUMNS, FOREIGN_ALIASES, SYSTEM_ALIASES, Column


def codes(headers: list[str], overrides: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """Return code and detail of every problem of the headers."""
    found = understand(headers, overrides or {}).problems
    return list(found.select("code", "detail").iter_rows())


@pytest.mark.parametrize(
    "header",
    [
        "phone_number",
        "Phone Number",
        "PHONE-NUMBER",
        " phone\u00a0number ",
        "Phone\r\nNumber:",
        "\ufeffphone.number",
        "phoneNumber",
        "Ｐｈｏｎｅ Number",
        "Phone Number *",
    ],
)
def test_spelling_does_not_matter(header: str) -> None:
    """Case, spaces, `_`, `-`, line breaks, marks and full width mean nothing."""
    assert understand([header], {}).mapping == {header: "phone_number"}


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_every_alias_is_known(column: Column) -> None:
    """Each English alias of a column leads to it."""
    for alias in column.aliases:
        others = ["first_name", "last_name"] if column.name == "full_name" else []
        assert understand([alias, *others], {}).mapping[alias] == column.name


@pytest.mark.parametrize("column", SYSTEM_ALIASES)
def test_headers_of_applicant_systems_are_known(column: str) -> None:
    """So are those that applicant systems write."""
    for alias in SYSTEM_ALIASES[column]:
        assert understand([alias], {}).mapping[alias] == column


@pytest.mark.parametrize("language", FOREIGN_ALIASES)
def test_every_language_names_every_column(language: str) -> None:
    """Each language has aliases for each canonical column."""
    assert set(FOREIGN_ALIASES[language]) == set(BY_NAME)


def test_overrides_win() -> None:
    """What the settings say stands over the aliases, and frees the others from the column."""
    headers = understand(["Mobile", "Tel (work)", "E-Mail"], {"tel work": "phone_number"})
    assert headers.mapping == {"Tel (work)": "phone_number", "E-Mail": "email"}
    assert headers.extra == {"Mobile": "mobile"}


def test_an_override_can_leave_a_header_alone() -> None:
    """An empty override keeps a known header an extra column."""
    headers = understand(["Country", "Email"], {"Country": ""})
    assert headers.mapping == {"Email": "email"}
    assert headers.extra == {"Country": "country_2"}


def test_several_phones_are_tried_in_order() -> None:
    """Mobile before home before work, whatever their order in the file; a note says so."""
    names = ["Work Phone", "Home Phone", "Mobile", "First name"]
    headers = understand(names, {})
    assert headers.mapping == {"Mobile": "phone_number", "First name": "first_name"}
    assert headers.fallbacks == {"phone_number": ("Home Phone", "Work Phone")}
    detail = (
        "phone_number is read from “Mobile”; if that is empty, from “Home Phone”, then “Work Phone”"
    )
    assert codes(names) == [("columns-ranked", detail)]


def test_the_settings_end_the_order() -> None:
    """A column that the settings name has no fallback."""
    headers = understand(["Mobile", "Home Phone"], {"Home Phone": "phone_number"})
    assert (headers.mapping, headers.fallbacks) == ({"Home Phone": "phone_number"}, {})


def test_a_guest_comes_before_the_buyer() -> None:
    """The person who paid is never contacted instead of the one who comes."""
    names = ["First Name", "Email", "Attendee First Name", "Attendee Email"]
    headers = understand(names, {})
    assert set(headers.mapping) == {"Attendee First Name", "Attendee Email"}
    assert headers.fallbacks == {}


def test_two_headers_for_one_column_are_named() -> None:
    """Two campaigns of a row are a problem that names both."""
    assert ("column-duplicate", "campaign: “Campaign”, “Campaign ID”") in codes(
        ["Phone", "First name", "Campaign", "Campaign ID"]
    )


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("Person : Phones: Mobile", "phone_number"),
        ("Person : Full Name: First", "first_name"),
        ("Name / First Name", "first_name"),
        ("Phone-Primary-Mobile", "phone_number"),
        ("Phone 1 - Value", "phone_number"),
        ("E-mail 2 - Value", "email"),
        ("Candidate Emails", "email"),
        ("Email Address(es)", "email"),
        ("Invitee Email", "email"),
        ("Attendee Last Name", "last_name"),
        ("RecipientFirstName", "first_name"),
        ("What is your first name?", "first_name"),
        ("What's your mobile number?", "phone_number"),
        ("Mob.", "phone_number"),
        ("Tel. (priv.)", "phone_number"),
        ("Telefon (privat)", "phone_number"),
        ("Téléphone personnel (portable)", "phone_number"),
        ("Vorname des Bewerbers", "first_name"),
        ("Candidate Owner", None),
        ("Contact owner", None),
        ("Phone 1 - Type", None),
        ("Emergency contact phone", None),
        ("Referee email", None),
        ("Hiring manager email", None),
        ("Company phone", None),
        ("Fax number", None),
        ("Phone verified", None),
        ("Email consent", None),
        ("Contact Name", None),
        ("Middle Name", None),
        ("Record ID", "candidate_id"),
        ("Person ID", "candidate_id"),
        ("Job ID", None),
        ("Order ID", None),
    ],
)
def test_words_around_a_name(header: str, column: str | None) -> None:
    """A header is known if each of its words is; one word more may change what it means."""
    assert understand([header], {}).mapping.get(header) == column


def test_a_repeated_header_keeps_its_place() -> None:
    """A header that repeats gets a number, so that no value moves to the other."""
    assert understand(["Note", "Note", "Note (2)"], {}).names == (
        "Note",
        "Note (2)",
        "Note (2) (2)",
    )


def test_missing_columns_are_named_beside_those_present() -> None:
    """Without any way to reach or greet a candidate the file says what it lacks."""
    assert codes(["Job", "Team"]) == [
        ("column-missing", "phone_number or email (it has: Job, Team)"),
        ("column-missing", "first_name or full_name (it has: Job, Team)"),
    ]


@pytest.mark.parametrize(
    ("header", "column"),
    [("Phnoe", "phone_number"), ("Fist name", "first_name"), ("Emial", "email")],
)
def test_near_misses_are_suggested(header: str, column: str) -> None:
    """A header that is nearly a known one is a warning with the name of the column."""
    assert ("column-unknown", f"`{column}`") in codes([header])


def test_no_near_miss_of_a_column_that_is_there() -> None:
    """`Phome` beside `Phone` is nobody's slip."""
    assert codes(["Phone", "Phome", "First name"]) == []


@pytest.mark.parametrize(
    ("headers", "mapping"),
    [
        (["Name", "Vorname"], {"Name": "last_name", "Vorname": "first_name"}),
        (["Nom", "Prénom"], {"Nom": "last_name", "Prénom": "first_name"}),
        (["Nombre", "Apellidos"], {"Nombre": "first_name", "Apellidos": "last_name"}),
        (["Nom"], {"Nom": "full_name"}),
        (["Name"], {"Name": "full_name"}),
        (
            ["Name", "First name", "Last name"],
            {"Name": "full_name", "First name": "first_name", "Last name": "last_name"},
        ),
    ],
)
def test_name_means_what_its_neighbours_leave(headers: list[str], mapping: dict[str, str]) -> None:
    """A bare `Name` is the family name beside a given name, and all of the name alone."""
    assert understand(headers, {}).mapping == mapping


def test_placeholders_are_lower_case_and_never_clash() -> None:
    """Placeholder names are words and `_`, with `_2` for a clash."""
    assert placeholder_name("  Hiring Manager's E-Mail ") == "hiring_manager_s_e_mail"
    headers = understand(["Größe (cm)", "größe cm", "###", "Phone"], {})
    assert list(headers.extra.values()) == ["größe_cm", "größe_cm_2", "column"]


def test_folding_removes_accents() -> None:
    """Accents do not matter either."""
    assert fold("Prénom") == fold("prenom")
    assert fold("Imię i nazwisko") == "imieinazwisko"


@pytest.mark.parametrize(
    ("headers", "prefixes"),
    [
        (["Area Code", "7 digit Phone"], {"7 digit Phone": "Area Code"}),
        (["Vorwahl", "Telefon"], {"Telefon": "Vorwahl"}),
        (["Handy-Vorwahl", "Handy"], {"Handy": "Handy-Vorwahl"}),
        (["Indicatif", "Téléphone"], {"Téléphone": "Indicatif"}),
        (["Phone prefix", "Phone"], {"Phone": "Phone prefix"}),
        (["Area Code", "Email", "Phone"], {}),
        (["Prefix", "Phone"], {}),
        (["Phone area code"], {}),
        (["Mobile", "Phone"], {}),
    ],
)
def test_area_codes_stand_before_their_phones(headers: list[str], prefixes: dict[str, str]) -> None:
    """A column of area codes is joined to the phones in the next column."""
    found = understand(headers, {})
    assert found.prefixes == prefixes
    assert not set(found.mapping) & set(prefixes.values())


@pytest.mark.parametrize("header", ["Phone Country Code", "Mobile country code"])
def test_the_country_code_of_a_phone_is_a_country(header: str) -> None:
    """It is no phone, as the number with a country code is."""
    headers = understand([header, "Phone number (with country code)"], {})
    assert list(headers.mapping.values()) == ["country", "phone_number"]


QUALIFIED = {
    "phone_number": "Handynummer (mit Ländervorwahl)|Bewerber: Mobiltelefon|N° de portable"
    "|Quel est votre numéro de téléphone ?|Móvil del candidato|¿Cuál es tu teléfono?"
    "|Numero di cellulare (con prefisso)|Cellulare del candidato|Mobiele telefoon kandidaat"
    "|Wat is je telefoonnummer?|Numer telefonu (z prefiksem)|Tel. kom."
    "|Número de telemóvel (com indicativo)|Celular (WhatsApp)|candidate.phone_numbers[0]"
    "|phones.0.value|Best contact number",
    "email": "Private E-Mail-Adresse|Wie lautet Ihre E-Mail-Adresse?|Adresse e-mail (perso)"
    "|Courriel du candidat|Correo electrónico del candidato|Email personal|La tua e-mail"
    "|Indirizzo e-mail personale|E-mailadres kandidaat|Wat is je e-mailadres?|Twój adres e-mail"
    "|Adres e-mail kandydata|E-mail do candidato|Seu e-mail|emails.0.value|Registrant Email",
    "first_name": "Vorname (Bewerber)|Wie lautet Ihr Vorname?|Prénom du candidat|Votre prénom"
    "|Wat is je voornaam?|Voornaam kandidaat|Twoje imię|Imię kandydata"
    "|Primeiro nome do candidato|Preferred First Name|Candidate: First Name",
    "last_name": "Ihr Nachname|Familienname|Votre nom de famille|Apellidos del candidato"
    "|Cognome del candidato|Wat is je achternaam?|Twoje nazwisko|Apelido do candidato"
    "|Legal Last Name",
    "full_name": "Name des Bewerbers|Bewerber (m/w/d)|Nom complet du candidat"
    "|Nombre y apellidos del candidato|Nome completo del candidato|Naam van de kandidaat"
    "|Imię i nazwisko kandydata|Nome completo do candidato|Full name (as on passport)",
}
OF_NOBODY = (
    "Telefon Ansprechpartner|Recruiter E-Mail|E-Mail Vorgesetzter|Téléphone du recruteur"
    "|Correo del reclutador|Telefono azienda|Telefoon werkgever|Telefon rekrutera"
    "|E-mail do recrutador|Company Name|Nom de l'entreprise|Fax|Email opt in|Phone type|Stelle"
    "|Recruiter|Text|SMS|Posta|Adresse|Address|Your address|Candidate address|Mailing address"
    "|Email sent|Phone interview|Number|Value|Portable skills|Last contact|Last email sent"
    "|Candidate status|Area|Job application ID"
)


@pytest.mark.parametrize(
    ("header", "column"),
    [(header, column) for column, some in QUALIFIED.items() for header in some.split("|")]
    + [(header, None) for header in OF_NOBODY.split("|")],
)
def test_words_around_a_name_in_eight_languages(header: str, column: str | None) -> None:
    """Questions, owners and uses change nothing; a word that is not known does."""
    others = ["Vorname", "Nachname"] if column == "full_name" else []
    assert understand([header, *others], {}).mapping.get(header) == column


@pytest.mark.parametrize(
    ("header", "column"), [("Nom du candidat", "full_name"), ("Tu nombre", "full_name")]
)
def test_a_name_alone_is_all_of_it(header: str, column: str) -> None:
    """As `Nom` and `Nombre` are, for any owner."""
    assert understand([header, "E-mail"], {}).mapping[header] == column


def test_campaigns_of_advertisements_are_not_ours() -> None:
    """A lead's `campaign_id` is the advertiser's, if its advertisement is beside it."""
    leads = ["id", "ad_id", "ad_name", "campaign_id", "campaign_name", "full_name", "phone_number"]
    assert "campaign" not in understand(leads, {}).mapping.values()
    assert understand(leads, {"campaign_id": "campaign"}).mapping["campaign_id"] == "campaign"
    assert understand(["campaign_id", "full_name"], {}).mapping["campaign_id"] == "campaign"


@pytest.mark.parametrize("header", ["Stelle", "Recruiter", "Phase", "Candidate Stage", "Status"])
def test_a_word_of_its_own_is_no_near_miss(header: str) -> None:
    """It means something else, however much it looks like the name of a column."""
    assert "column-unknown" not in dict(codes([header, "First name", "Email"]))


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("Legal Name - First Name", "first_name"),
        ("Legal Name - Last Name", "last_name"),
        ("Country Phone Code", "country"),
    ],
)
def test_workday_headers(header: str, column: str) -> None:
    """The part of the legal name comes after the dash."""
    assert understand([header], {}).mapping == {header: column}


@pytest.mark.parametrize("phone", ["Mobile", "Candidate > Mobile", "Candidate Phone"])
def test_whose_phone_it_is_says_nothing_of_a_name(phone: str) -> None:
    """`Name` beside `First name` is the family name, whatever the phone's header says."""
    found = understand(["Name", "First name", phone], {})
    assert found.mapping == {
        "Name": "last_name",
        "First name": "first_name",
        phone: "phone_number",
    }

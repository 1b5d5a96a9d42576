"""The canonical columns of a candidate spreadsheet, and the headers that people use for them."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


ROW: Final = "#row"
"""Frame column with the spreadsheet row (the `#` keeps it apart from every placeholder name)."""

SOURCE: Final = "#source"
"""Frame column with the position of the row's file among the files of the run."""

GROUP: Final = "#group"
"""Frame column with the position of the row's group in the plan."""


KEY: Final = "#key"
"""Plan column with the submission key of the row."""

PERSON: Final = "#person"
"""Plan column with the keyed hash of the person: phone, else e-mail."""

EMAIL_HASH: Final = "#email"
"""Plan column with the keyed hash of the row's mailbox, or null."""

CANDIDATE_HASH: Final = "#candidate"
"""Plan column with the keyed hash of the row's candidate id, or null."""

BODY_HASH: Final = "#body"
"""Plan column with the keyed hash of the values in the request body."""


@dataclass(frozen=True, slots=True)
class Column:
    """One canonical column of a candidate spreadsheet.

    Attributes:
        name: the name of the column, in the program and in templates.
        api_key: the key of the request body that it fills, or None if it controls the import.
        about: one sentence for the person who fills in the spreadsheet.
        example: a possible value.
        aliases: other headers that people use, compared without case, spaces, `_`, `-` and dots.
        own: whether the value belongs to the candidate, so that it never forms a group.
        personal: whether the value is personal data: masked in terminals and logs.
    """

    name: str
    api_key: str | None
    about: str
    example: str
    aliases: tuple[str, ...]
    own: bool = False
    personal: bool = False


COLUMNS: Final[tuple[Column, ...]] = (
    Column(
        name="phone_number",
        api_key="phoneNumber",
        about="The candidate's phone, in any usual spelling; a phone or an e-mail is required.",
        example="+44 20 7946 0018",
        aliases=(
            "phone",
            "mobile",
            "cell",
            "telephone",
            "tel",
            "mobile number",
            "mobile no",
            "mobile phone",
            "cell phone",
            "cell number",
            "phone no",
            "telephone number",
            "telephone no",
            "tel no",
            "contact number",
            "best contact number",
            "candidate phone",
            "whatsapp",
            "msisdn",
        ),
        own=True,
        personal=True,
    ),
    Column(
        name="email",
        api_key="emailAddress",
        about="The candidate's e-mail address; a phone or an e-mail is required.",
        example="ada@example.com",
        aliases=("e-mail", "mail", "email address", "e-mail address", "candidate email"),
        own=True,
        personal=True,
    ),
    Column(
        name="first_name",
        api_key="firstName",
        about="The candidate's given name; required.",
        example="Ada",
        aliases=("forename", "given name", "given names", "first", "fname", "candidate first name"),
        own=True,
        personal=True,
    ),
    Column(
        name="last_name",
        api_key="lastName",
        about="The candidate's family name.",
        example="Lovelace",
        aliases=("surname", "family name", "last", "lname", "candidate last name"),
        own=True,
        personal=True,
    ),
    Column(
        name="full_name",
        api_key=None,
        about="Both names in one cell; split if first_name is empty, with a warning if unclear.",
        example="Lovelace, Ada",
        aliases=("name", "candidate", "candidate name", "applicant", "applicant name"),
        own=True,
        personal=True,
    ),
    Column(
        name="country",
        api_key="countryCode",
        about="The country of the phone: a name, code or calling code; default_country if empty.",
        example="GB",
        aliases=("country code", "country name", "phone country", "iso country"),
        own=True,
    ),
    Column(
        name="campaign",
        api_key="campaignId",
        about="The campaign's id; required here, in external_campaign or in the settings.",
        example="camp-42",
        aliases=("campaign id", "campaign code"),
    ),
    Column(
        name="external_campaign",
        api_key="externalCampaignId",
        about="The campaign's id in your own system, instead of campaign.",
        example="REQ-1001",
        aliases=("external campaign id", "external campaign code", "requisition", "requisition id"),
    ),
    Column(
        name="candidate_id",
        api_key="externalId",
        about="The candidate's id in your own system; it becomes part of the externalId.",
        example="A-1001",
        aliases=("external id", "applicant id", "candidate number", "candidate no", "ats id"),
        own=True,
    ),
    Column(
        name="meeting_template",
        api_key=None,
        about="Name of a file in templates/meetings; the setting `meeting` if empty.",
        example="onsite-45",
        aliases=("meeting", "interview type", "meeting type", "interview template"),
    ),
    Column(
        name="participant_template",
        api_key=None,
        about="Name of a file in templates/participants; the setting `participants` if empty.",
        example="hiring-manager",
        aliases=("participants", "participant", "interviewers", "panel"),
    ),
    Column(
        name="send_during_business_hours",
        api_key="shouldSendDuringBusinessHours",
        about="Whether the first message waits for business hours (yes or no).",
        example="yes",
        aliases=(
            "business hours",
            "business hours only",
            "send in business hours",
            "should send during business hours",
        ),
        own=True,
    ),
    Column(
        name="skip_duplication_check",
        api_key="skipDuplicationCheck",
        about="Can close a running conversation; a setting must allow it (yes or no).",
        example="no",
        aliases=("skip duplicate check",),
        own=True,
    ),
)

BY_NAME: Final[dict[str, Column]] = {column.name: column for column in COLUMNS}
OWN: Final[frozenset[str]] = frozenset(column.name for column in COLUMNS if column.own)
PERSONAL: Final[frozenset[str]] = frozenset(column.name for column in COLUMNS if column.personal)

RETURNED_COLUMNS: Final = (
    "_file",
    "_row",
    "_problems",
    "import_status",
    "conversation_id",
    "reason",
    "attempted_at",
    "progress",
    "progress_at",
    "meeting_at",
)
"""Headers that our own output files add; they are ignored if such a file is imported."""

FORMULA: Final = "^'*[=+\\-@\\t\\r\\n＝＋－＠]"
"""Pattern of what our output files write with an apostrophe in front.

Spreadsheet programs take a cell that begins with one of these for a formula, even if quoted. A
cell with an apostrophe already gets another, so that reading can take exactly one away.
"""


def find_result_headers(headers: Collection[str]) -> frozenset[str]:
    """Return the headers of a file that one of our output files added, compared exactly.

    The first three of `RETURNED_COLUMNS` are always ours. The others are ours only in a file with
    `import_status`, because a recruiter may have a `reason` too. In that case ours is called
    `import_reason`. Results of an earlier version lack the last three.
    """
    ours = set(RETURNED_COLUMNS[:3])
    if "import_status" in headers:
        ours |= {unused(name, headers) for name in RETURNED_COLUMNS[3:7]}
        newer = {unused(name, headers) for name in RETURNED_COLUMNS[7:]}
        ours |= newer if newer <= set(headers) else set()
    return frozenset(ours.intersection(headers))


def unused(name: str, headers: Collection[str]) -> str:
    """Return the name of our column if the user has one of the same name: `import_reason`."""
    return f"import_{name}" if f"import_{name}" in headers else name


_FOREIGN: Final[dict[str, dict[str, str]]] = {
    "de": {
        "phone_number": "telefon, telefonnummer, telefonnr, tel nr, handy, handynummer, handynr, "
        "mobil, mobilnummer, mobilnr, mobiltelefon, mobilfunk, mobilfunknummer, rufnummer, "
        "telefon mobil, telefon (mobil)",
        "email": "e-mail-adresse, mailadresse, mail adresse, emailadresse, elektronische adresse",
        "first_name": "vorname, vornamen, rufname",
        "last_name": "nachname, nachnamen, familienname, zuname",
        "full_name": "vor- und nachname, vollständiger name, bewerber, bewerberin, bewerbername, "
        "kandidat, kandidatin, kandidatenname, name vorname, vorname name, name des bewerbers",
        "country": "land, ländercode, länderkürzel, landeskennung",
        "campaign": "kampagne, kampagnen-id, kampagnencode",
        "external_campaign": "externe kampagne, externe kampagnen-id, stellen-id, stellennummer",
        "candidate_id": "kandidaten-id, kandidatennummer, bewerber-id, bewerbernummer, externe id",
        "meeting_template": "terminvorlage, besprechungsvorlage, gesprächsart, interviewart",
        "participant_template": "teilnehmervorlage, teilnehmer, interviewer, gesprächspartner",
        "send_during_business_hours": "geschäftszeiten, nur geschäftszeiten, bürozeiten, "
        "während der geschäftszeiten",
        "skip_duplication_check": "dublettenprüfung überspringen, duplikatsprüfung überspringen",
    },
    "fr": {
        "phone_number": "téléphone, numéro de téléphone, n° de téléphone, no de téléphone, "
        "téléphone portable, téléphone mobile, portable, numéro de portable, numéro de mobile, "
        "n° portable, tél, tél portable, tél mobile, gsm",
        "email": "courriel, adresse courriel, adresse e-mail, adresse mail, mél, "
        "adresse électronique, adresse de courriel",
        "first_name": "prénom, prénoms, prénom du candidat",
        "last_name": "nom, nom de famille, nom du candidat, patronyme",
        "full_name": "nom complet, nom et prénom, prénom et nom, nom prénom, prénom nom, "
        "candidat, candidate, nom & prénom",
        "country": "pays, code pays, code du pays",
        "campaign": "campagne, id campagne, identifiant de campagne, code campagne",
        "external_campaign": "campagne externe, id campagne externe, id offre, "
        "référence de l'offre",
        "candidate_id": "id candidat, identifiant candidat, identifiant externe, "
        "numéro de candidat, n° candidat",
        "meeting_template": "modèle de réunion, modèle d'entretien, type d'entretien",
        "participant_template": "modèle de participants, intervenants, recruteurs",
        "send_during_business_hours": "heures ouvrables, heures de bureau, "
        "pendant les heures ouvrables, heures ouvrées",
        "skip_duplication_check": "ignorer les doublons, ignorer le contrôle des doublons",
    },
    "es": {
        "phone_number": "teléfono, número de teléfono, nº de teléfono, n.º de teléfono, móvil, "
        "teléfono móvil, número de móvil, número móvil, celular, teléfono celular, "
        "número de celular, núm teléfono",
        "email": "correo, correo electrónico, dirección de correo, dirección de correo "
        "electrónico, dirección de email",
        "first_name": "nombre, nombres, nombre de pila, nombre del candidato",
        "last_name": "apellido, apellidos, primer apellido, apellido(s)",
        "full_name": "nombre completo, nombre y apellido, nombre y apellidos, "
        "apellidos y nombre, candidato, candidata",
        "country": "país, código de país, código del país",
        "campaign": "campaña, id de campaña, id campaña, código de campaña",
        "external_campaign": "campaña externa, id de campaña externa, id de la oferta",
        "candidate_id": "id de candidato, id candidato, id del candidato, número de candidato, "
        "id externo, identificador externo",
        "meeting_template": "plantilla de reunión, plantilla de entrevista, tipo de entrevista",
        "participant_template": "plantilla de participantes, participantes, entrevistadores",
        "send_during_business_hours": "horario laboral, horario de oficina, horas laborables, "
        "en horario laboral",
        "skip_duplication_check": "omitir duplicados, omitir control de duplicados",
    },
    "it": {
        "phone_number": "telefono, numero di telefono, n. telefono, cellulare, "
        "numero di cellulare, numero cellulare, telefono cellulare, telefono mobile, recapito "
        "telefonico, tel cellulare, cell",
        "email": "posta elettronica, indirizzo e-mail, indirizzo mail, indirizzo di posta "
        "elettronica, indirizzo email",
        "first_name": "nome, nome di battesimo, nome del candidato",
        "last_name": "cognome, cognomi, cognome del candidato",
        "full_name": "nome completo, nome e cognome, cognome e nome, nominativo, candidato, "
        "candidata",
        "country": "paese, nazione, codice paese",
        "campaign": "campagna, id campagna, codice campagna",
        "external_campaign": "campagna esterna, id campagna esterna, id annuncio",
        "candidate_id": "id candidato, codice candidato, numero candidato, id esterno",
        "meeting_template": "modello di riunione, modello di colloquio, tipo di colloquio",
        "participant_template": "modello partecipanti, partecipanti, intervistatori",
        "send_during_business_hours": "orario d'ufficio, orario lavorativo, in orario d'ufficio",
        "skip_duplication_check": "salta duplicati, ignora duplicati, salta controllo duplicati",
    },
    "nl": {
        "phone_number": "telefoon, telefoonnummer, telefoonnr, mobiel, mobiele nummer, "
        "mobiel nummer, mobiele telefoon, mobiel telefoonnummer, gsm-nummer, gsm nr, "
        "06-nummer",
        "email": "e-mailadres, mailadres, emailadres",
        "first_name": "voornaam, voornamen, roepnaam",
        "last_name": "achternaam, achternamen, familienaam",
        "full_name": "naam, volledige naam, voor- en achternaam, kandidaat, naam kandidaat, "
        "sollicitant",
        "country": "land, landcode, landnaam",
        "campaign": "campagne, campagne-id, campagnecode",
        "external_campaign": "externe campagne, externe campagne-id, vacature-id, vacaturenummer",
        "candidate_id": "kandidaat-id, kandidaatnummer, sollicitant-id, externe id, extern id",
        "meeting_template": "vergadersjabloon, afspraaksjabloon, soort gesprek, type gesprek",
        "participant_template": "deelnemerssjabloon, deelnemers, interviewers",
        "send_during_business_hours": "kantooruren, tijdens kantooruren, kantoortijden, werktijden",
        "skip_duplication_check": "dubbele controle overslaan, duplicaatcontrole overslaan",
    },
    "pl": {
        "phone_number": "telefon, numer telefonu, nr telefonu, nr tel, telefon komórkowy, "
        "komórka, numer komórki, numer telefonu komórkowego, nr komórki, tel kom, "
        "telefon kontaktowy",
        "email": "adres e-mail, adres mailowy, adres email, poczta elektroniczna, e-mail adres",
        "first_name": "imię, imiona, imię kandydata",
        "last_name": "nazwisko, nazwiska, nazwisko kandydata",
        "full_name": "imię i nazwisko, nazwisko i imię, pełne imię i nazwisko, pełna nazwa, "
        "kandydat, kandydatka",
        "country": "kraj, kod kraju, państwo",
        "campaign": "kampania, id kampanii, kod kampanii, identyfikator kampanii",
        "external_campaign": "kampania zewnętrzna, zewnętrzna kampania, id oferty",
        "candidate_id": "id kandydata, numer kandydata, nr kandydata, identyfikator kandydata, "
        "zewnętrzne id, id zewnętrzne",
        "meeting_template": "szablon spotkania, szablon rozmowy, rodzaj rozmowy, typ rozmowy",
        "participant_template": "szablon uczestników, uczestnicy, rekruterzy",
        "send_during_business_hours": "godziny pracy, w godzinach pracy, godziny robocze, "
        "godziny biurowe",
        "skip_duplication_check": "pomiń duplikaty, pomiń sprawdzanie duplikatów",
    },
    "pt": {
        "phone_number": "telefone, número de telefone, nº de telefone, telemóvel, "
        "número de telemóvel, nº telemóvel, celular, número de celular, telefone celular, "
        "número do celular, telefone móvel, contacto telefónico",
        "email": "correio eletrónico, correio eletrônico, endereço de e-mail, "
        "endereço de correio eletrónico, endereço eletrónico, endereço de email",
        "first_name": "nome próprio, primeiro nome, nome do candidato, nomes próprios",
        "last_name": "apelido, apelidos, sobrenome, último nome, nome de família",
        "full_name": "nome completo, nome e apelido, nome e sobrenome, candidato, candidata",
        "country": "país, código do país",
        "campaign": "campanha, id da campanha, id campanha, código da campanha",
        "external_campaign": "campanha externa, id da campanha externa, id da vaga",
        "candidate_id": "id do candidato, id candidato, número do candidato, id externo",
        "meeting_template": "modelo de reunião, modelo de entrevista, tipo de entrevista",
        "participant_template": "modelo de participantes, participantes, entrevistadores",
        "send_during_business_hours": "horário comercial, horário de expediente, "
        "em horário comercial, horário laboral",
        "skip_duplication_check": "ignorar duplicados, ignorar verificação de duplicados",
    },
}

_OF_SYSTEMS: Final[dict[str, str]] = {
    "phone_number": "primary phone, primary phone number, main phone, phone 1, phone primary, "
    "primary number, mob, mob no, ph, ph no, "
    "candidate phone number, candidate mobile, candidate mobile number, candidate cell, "
    "applicant phone, mobile phone number, cell phone number, cellphone, mobile telephone, "
    "personal phone, personal mobile, phone mobile, contact no, contact phone, whatsapp number, "
    "sms number",
    "email": "primary email, primary email address, candidate email address, applicant email, "
    "personal email, personal email address, email id, mail address, email 1, contact email",
    "first_name": "first names, legal first name, applicant first name, christian name, name first",
    "last_name": "last names, legal last name, applicant last name, name last, family names",
    "full_name": "candidate full name, applicant full name, legal name, name of candidate, "
    "first and last name",
    "country": "country of residence, candidate country, country iso, country iso code",
    "campaign": "popp campaign, popp campaign id",
    "external_campaign": "req id, requisition number, requisition no, job requisition id",
    "candidate_id": "candidate ref, candidate reference, applicant number, applicant no, "
    "candidate identifier, "
    "external candidate id",
    "send_during_business_hours": "during business hours, business hours only",
}

SYSTEM_ALIASES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {column: tuple(map(str.strip, words.split(","))) for column, words in _OF_SYSTEMS.items()}
)
"""Canonical column -> what applicant systems call it in English."""

FOREIGN_ALIASES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {
        language: MappingProxyType(
            {
                column: tuple(word.strip() for word in words.split(","))
                for column, words in columns.items()
            }
        )
        for language, columns in _FOREIGN.items()
    }
)
"""Language -> canonical column -> what people call it in that language."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What follows is compared word by word, in lower case and without accents.

CANDIDATE_WORDS: Final = _words(
    "candidate candidates applicant applicants person persons attendee invitee recipient respondent"
    " prospect your you ihr ihre votre su tu tuo sua seu jouw uw twoj twoja kandidat kandidaten"
    " kandidatin bewerber bewerbers bewerberin candidat candidato candidata kandidaat sollicitant"
    " kandydat kandydata teilnehmer teilnehmers registrant registrants tua tue tuoi suo twoje je"
)
"""Words that say that a column is about the candidate."""

GUEST_WORDS: Final = _words("attendee invitee recipient your ihr ihre votre tuo seu jouw uw twoj")
"""Words for the candidate as opposed to the person who booked or sent a form."""

FILLER_WORDS: Final = _words(
    "what is are s the a please enter write give provide full value values details detail info"
    " information with including incl and e number numbers no nr num numero numeros nummer"
    " address addresses es field answer area country code prefix digit digits 0 7 8 10 11 n"
    " wie lautet bitte angeben mit vorwahl der die das des dem dein deine"
    " quel quelle est le la les l du de d veuillez indiquer avec indicatif"
    " cual es el los por favor con prefijo codigo pais"
    " qual e il lo gli inserisci prefisso"
    " wat is het een van vul in met landnummer"
    " jaki jakie jest podaj z o os do da dos seu indique com del della dei di wat van je"
    " adresse adresses adres adresu indirizzo direccion endereco numer numeru numeri nummern"
    " landervorwahl landesvorwahl prefiksem prefiks indicativo"
)
"""Words that do not change the meaning of a header."""

MOBILE_WORDS: Final = _words(
    "mobile mob mobil mobiltelefon mobilnummer cell cellphone cellular handy handynummer portable"
    " gsm movil celular cellulare cell mobiel komorka komorkowy telemovel whatsapp sms text"
    " mobiltelefonnummer mobilfunk mobilfunknummer handynummer handynr mobilnr mobiele moviles"
    " komorki komorkowego kom movel telemoveis cellulari portables cel"
)
"""Words for a phone that can receive text messages."""

PHONE_WORDS: Final = MOBILE_WORDS | _words(
    "phone phones telephone telephones tel telefon telefonnummer telefono telefone telefoon"
    " telefoonnummer rufnummer ph msisdn landline festnetz fixe fisso fijo telefonnummern"
    " rufnummern telefonnr telefoonnummers telefonu telefonos telefoni telefones"
)
"""Words that name a phone."""

EMAIL_WORDS: Final = _words(
    "email emails mail mails courriel correo mailadresse emailadresse electronico elettronica posta"
    " emailadres mailadres courriels correos mejl"
)
"""Words for an e-mail; `e` and `mail` may be two words."""

AREA_CODES: Final = _words(
    "areacode stdcode dialcode dialingcode diallingcode vorwahl ortsvorwahl telefonvorwahl"
    " indicatif indicatifregional prefijo prefisso netnummer kengetal kierunkowy numerkierunkowy"
    " indicativo ddd"
)
"""What comes before the number in the next column: words of a header, joined."""

OTHER_PEOPLE: Final = _words(
    "manager managers recruiter interviewer owner referrer referral referee reference emergency"
    " agent agency consultant hiring supervisor sponsor creator sender assigned next kin spouse"
    " buyer coordinator colleague company employer client account school university office"
    " ansprechpartner vorgesetzter referenz notfall firma recruteur responsable entreprise"
    " reclutador empresa selezionatore azienda werkgever bedrijf rekruter firmy recrutador"
)
"""Words for people other than the candidate; a column with one is not about the candidate."""

FIRST_USE: Final = _words("primary main default preferred 1 1st haupt principal principale")
HOME_USE: Final = _words(
    "home personal private priv privat privater privates prive privado privato particular thuis"
    " domicile casa domicilio domowy prywatny pessoal personale perso landline festnetz fixe fijo"
    " personnel personnelle personali particulier privee evening"
)
WORK_USE: Final = _words(
    "work business office daytime geschaftlich dienstlich geschaft buro professionnel pro trabajo"
    " lavoro ufficio werk zakelijk sluzbowy trabalho comercial"
)
LAST_USE: Final = _words(
    "other alternative alternate alt secondary second additional backup 2 2nd 3 3rd 4 5 andere"
    " weitere zweite autre secondaire otro secundario altro ander inny outro"
)
"""Words for the use of a phone or an e-mail; they decide which is tried first."""

ID_OWNERS: Final = _words("system record contact person profile prospect")
"""Words beside `CANDIDATE_WORDS` whose `ID` is the candidate's."""

COMPANIONS: Final[Mapping[str, tuple[str, frozenset[str]]]] = MappingProxyType(
    {
        "cc": ("country", frozenset({"memberrating", "leid", "euid", "optintime"})),
        "emailfrom": ("email", frozenset({"partnerphone", "partnermobile", "partnername"})),
        "partnerphone": ("phone_number", frozenset({"emailfrom"})),
        "partnermobile": ("phone_number", frozenset({"emailfrom"})),
        "id": ("candidate_id", frozenset({"firstname", "lastname", "candidatename", "fullname"})),
    }
)
"""Folded header -> its column, and the headers, at least one of which must be present."""

FORM_HEADERS: Final = frozenset(
    {"starttime", "completiontime", "startdate", "timestamp", "createdtime", "formid", "formname"}
)
"""Folded headers of forms, in which `ID` numbers the answers, not the people."""


OTHER_HEADERS: Final = _words(
    "stelle stellen phase phasen stage stages status recruiter recruiters rekruter recruteur"
    " recrutador reclutador place places count counts party state states candidatestage"
    " candidatestatus"
)
"""Folded headers that only look like the name of a column: they mean something else."""

ADVERTISING: Final = frozenset({"adid", "adname", "adsetid", "adsetname", "adgroupid"})
"""Folded headers of leads from advertisements, whose campaigns are the advertiser's."""


_TAGGED: Final = (
    *("gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com"),
    *("icloud.com", "me.com", "mac.com", "proton.me", "protonmail.com", "pm.me"),
    *("fastmail.com", "fastmail.fm"),
)
"""Providers that deliver `ada+jobs@` to `ada@`, as their help pages say."""

_TAG: Final = rf"^([^@+]+)\+[^@]*@({'|'.join(map(re.escape, _TAGGED))})$"
_DOTLESS: Final = r"@g(?:oogle)?mail\.com$"  # two names of one provider, which ignores dots
_DOTLESS_NAME: Final = "@gmail.com"
_DOTLESS_ENDINGS: Final = ("@gmail.com", "@googlemail.com")


def fold_campaign(campaign: str) -> str:
    """Return a campaign without case and blanks: spellings of one campaign become equal."""
    return "".join(campaign.casefold().split())


def mailbox(address: str) -> str:
    """Return the mailbox of an address; equal for two addresses that reach the same mailbox.

    Args:
        address: the address in any case; its domain may be in Unicode or in `xn--` form.
    """
    local, _, domain = address.strip().lower().rpartition("@")
    if "xn--" in domain:
        with suppress(UnicodeError):  # an invalid name is compared unchanged
            domain = domain.encode().decode("idna")
    text = re.sub(_TAG, r"\1@\2", f"{local}@{domain}" if local else domain)
    if re.search(_DOTLESS, text):
        return text.rpartition("@")[0].replace(".", "") + _DOTLESS_NAME
    return text


def mailboxes(address: pl.Expr) -> pl.Expr:
    """Return `mailbox` of many clean addresses, whose domains are in Unicode; null stays null."""
    return address.str.to_lowercase().map_batches(_reduce_addresses, return_dtype=pl.String)


def _reduce_addresses(text: pl.Series) -> pl.Series:
    """Reduce lower-case addresses to mailboxes; patterns run only where they can change one."""
    special = text.str.contains("+", literal=True)
    for ending in _DOTLESS_ENDINGS:
        special |= text.str.ends_with(ending)
    special = special.fill_null(value=False)
    if not special.any():
        return text
    plain = text.filter(special).str.replace(_TAG, "${1}@${2}")
    local = plain.str.replace(_DOTLESS, "").str.replace_all(".", "", literal=True)
    changed = (local + _DOTLESS_NAME).zip_with(plain.str.contains(_DOTLESS), plain)
    unchanged = pl.int_range(text.len(), eager=True)
    place = (special.cum_sum().cast(pl.Int64) + (text.len() - 1)).zip_with(special, unchanged)
    return pl.concat([text, changed]).gather(place)

"""Which columns look like personal data, by the words of their names in the languages of the field, and by values.

Better one too many than one too few: what is only doubtful is marked too, and said. A name ends in what its column is
about, so that `email_verified` and `address_type` are not personal; values tell where a name does not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tools.dataset import values


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STEMS = tuple(
    """
    email mailadres emailadres telefon telephon telefoon phone adress addres adresse direccion endereco
    indirizzo strasse birthda birthdate dateofbirth birthyear yearofbirth placeofbirth geburt naissance
    nacimiento nascimento nascita geboorte urodzen fodelse foedsel fodsel firstname lastname surname forename
    fullname givenname familyname middlename maidenname nickname username screenname vorname nachname
    familienname prenom apellido cognome sobrenome sobrenom voornaam achternaam nazwisko fornamn efternamn
    fornavn efternavn etternavn tussenvoegsel passport passeport pasaporte passaporto passaporte reisepass
    paspoort paszport personalausweis cardholder kreditkart creditcard debitcard kartennummer cardnumber cardno
    kontoinhaber accountholder iban personnummer personnr fodselsnummer burgerservice sozialvers
    versichertennummer socialsecurity nationalid steuernummer steuerid taxid taxnumber taxpayer codicefiscale
    codfiscale numerofiscal identificacionfiscal partitaiva driverlicen driverslicen driverslicence fuhrerschein
    fuehrerschein licenseplate numberplate ipaddr ipadress ipaddress clientip remoteip remoteaddr userip
    geolocation housenumber hausnummer hausnr huisnummer huisnr postanschrift anschrift mobilnummer mobilnr
    handynummer handynr telnr customername clientname kundenname buyername ownername holdername contactname
    membername employeename recipientname
    """.split()  # noqa: SIM905
)
"""What a word, or words put together, must begin with or hold."""
NO_STEMS = _words("headphone headphones smartphone smartphones earphone earphones microphone megaphone saxophone")
SURE = _words(
    """
    dob ssn iban tel fax gsm msisdn whatsapp street rue calle rua straat ulica gata gatan gade vej
    addr adr adres adresa indirizzo nif dni nie cpf pesel bsn curp aadhaar nino tckn egn cnp rodne cvv cvc nip
    imei lname fname
    """
)
NAMES = _words("name names nom nome nombre naam imie namn navn nimi nazwa")
NAME_KINDS = _words(
    "first last full given family middle maiden nick user screen login legal preferred display birth sur fore vor nach "
    "completo completa complet"
)
PERSONS = _words(
    """
    customer customers client clients kunde kunden kund klant klient cliente clienti buyer kaufer kaeufer
    kupujacy koper kopare acheteur comprador compradora acquirente acheteuse recipient recipients empfanger
    empfaenger destinataire destinatario destinatari ontvanger odbiorca mottagare receiver sender absender
    expediteur remitente mittente remetente afzender nadawca avsandare contact kontakt contacto contatto contato
    person persona personne personen persoon osoba member members mitglied membre miembro patient patients
    paciente paziente employee employees mitarbeiter employe salarie empleado empleada dipendente funcionario
    medewerker pracownik anstalld student students pupil holder cardholder owner inhaber titulaire titular
    intestatario author payer payee beneficiary begunstigter beguenstigter beneficiaire beneficiario begunstigde
    counterparty auftraggeber zahlungsempfanger zahlungspflichtiger zahlungsbeteiligter guest gast passenger
    driver tenant subscriber applicant cashier spouse partner debtor creditor remitter consignee addressee
    doctor physician teacher caller donor voter insured username login
    """
)
ROLES = _words(
    "billing shipping bill ship delivery invoice account user users host agent manager rechnung liefer lieferung"
)
"""Whose name is a person's; alone they are none."""
CARDS = _words(
    "mobile mobil movil celular cell cellulare handy natel komorka card carte karte tarjeta cartao kaart karta"
)
ACCOUNT_NUMBERS = _words("kontonummer kontonr rekeningnummer accountnumber accountno acctno numcompte")
ACCOUNTS = ACCOUNT_NUMBERS | _words("account konto cuenta compte conto conta rekening rachunek acct acc")
IDENTITIES = _words(
    "tax vat national identity identification social sociale insurance fiscal fiscale licence license ausweis ust"
)
PLACES = _words(
    """
    city town zip zipcode postcode postal postalcode plz ort stadt wohnort ville codepostal ciudad citta cidade
    cep gemeente plaats woonplaats miasto stad postnummer postnr postort pocztowy miejscowosc cap kommune
    lat latitude lon lng longitude geo gps coordinates location breitengrad langengrad
    """
)
IPS = _words("ip ipv")
NUMBERS = _words("no n nr num number numbers numero nummer numer id code codigo codice kod security securite ident")
FILLERS = (
    NUMBERS
    | PERSONS
    | ROLES
    | NAMES
    | NAME_KINDS
    | _words(
        """
        home work office private primary secondary main alt alternate other business emergency post postal
        mailing mail line description omschrijving beschreibung first last four digits full complete raw
        masked of the de du der des del di da do la el le to from source src dst destination peer remote
        client origin and und et y e i value text credit debit kredit
        """
    )
)
ATTRIBUTES = _words(
    """
    type types kind status state count counts flag verified valid validated opt optin in consent source segment
    group category format lang language currency at sent opened clicked clicks bounced bounce open click rate
    rates share ratio percent pct length len quality score method brand fee fees amount price cost total class
    version size unit units views view visits sessions users subscribers campaign template subject domain
    provider network model os app apps enabled disabled required present exists changed updated created
    date_sent validity level tier plan region balance typ art anzahl betrag nombre_de datei file path title
    price_eur
    """
)
COUNTS = _words("is has num count avg average total sum min max pct percent share number_of anzahl nb per")
IDS = _words("id ids key code uuid guid hash ref reference sk fk")
HAVE_IDS = re.compile("adr|addr|direc|ende|indir|str|rue|calle|rua|gat|ulica|vej|.*name?$|.*nom$")
"""What has identifiers of its own: `address_id` is no address, while `tax_id` and `email_id` are what they name."""
SHORT = 4

NO_NAME = r".*[0-9].*|.?"
"""What a person's name is not: with digits, or of one character."""
LEDGER_ACCOUNT = "[0-9]{1,6}"
IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
PHONE = re.compile(r"[+(][0-9][0-9 ()/.-]{5,18}[0-9]|[0-9]{3}[-. ][0-9]{3}[-. ][0-9]{4}")
IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?:[.](?!$)|$)){4}")


@dataclass(frozen=True)
class Finding:
    """Why a column is marked as personal; `doubtful` where it may well be about a thing.

    `unless` is a pattern that no such value has: all of a column's values have it where the name misleads.
    """

    why: str
    doubtful: bool = False
    unless: str | None = None


def finding(source: str, texts: Sequence[str]) -> Finding | None:
    """Say why a column looks like personal data, or None; `texts` are its values that are not blank."""
    if by_value := _by_value(texts):
        return Finding(f"values are {by_value}")
    named = _by_name(values.words(source))
    misleads = named and named.unless and texts and all(re.fullmatch(named.unless, text) for text in texts)
    return None if misleads else named


def _by_name(parts: list[str]) -> Finding | None:
    words = [word for word in parts if not word.isdigit()]
    if not words or words[0] in COUNTS or words[-1] in ATTRIBUTES:
        return None
    last, given, others = words[-1], set(words), set(words) - FILLERS
    put_together = {"".join(words[at : at + count]) for count in (2, 3) for at in range(len(words) - count + 1)}
    stems = (stem for stem in STEMS if _has_stem(given, put_together, stem))
    if stem := next(stems, None) or next(iter(given & SURE), None):
        return None if last in IDS and HAVE_IDS.match(stem) else Finding(f"its name has {stem!r}")
    if given & NAMES and given & (PERSONS | ROLES | NAME_KINDS):
        return None if last in IDS else Finding("it is called a person's name")
    if given & CARDS and not others - CARDS:
        return Finding(
            "its name says card or telephone", doubtful=bool(given & {"card", "carte", "karte"} and len(given) == 1)
        )
    if given & ACCOUNTS and not others - ACCOUNTS and last not in IDS:
        doubtful = not given & (NUMBERS | ACCOUNT_NUMBERS)
        return Finding("its name says account", doubtful, unless=LEDGER_ACCOUNT)
    if given & IPS and not others - IPS:
        return Finding("its name says address of a computer")
    if given & IDENTITIES and given & NUMBERS and not others - IDENTITIES:
        return Finding("its name says number of a person or company", doubtful=bool(given & {"vat", "ust"}))
    if (given | put_together) & PLACES and not others - PLACES:
        return Finding("where somebody lives or is, unless it is where a thing is", doubtful=True)
    if given & (PERSONS | NAMES) and not others - NAMES and not given & NUMBERS and last not in IDS:
        return Finding("may be a person's name", doubtful=True, unless=NO_NAME)
    return None


def _has_stem(words: set[str], put_together: set[str], stem: str) -> bool:
    """Whether a word has the stem, a short one at its beginning, or words put together begin with it."""
    found = (stem in word if len(stem) > SHORT else word.startswith(stem) for word in words - NO_STEMS)
    return any(found) or any(word.startswith(stem) for word in put_together)


def _by_value(texts: Sequence[str]) -> str | None:
    if any(values.EMAIL.fullmatch(text.strip()) for text in texts):
        return "e-mail addresses"
    if any(_is_iban(text) for text in texts):
        return "IBANs"
    if len(set(texts)) > 1 and all(_is_card(text) for text in texts):
        return "numbers of payment cards"
    if len(set(texts)) > 1 and all(PHONE.fullmatch(text.strip()) for text in texts):
        return "telephone numbers"
    if len(set(texts)) > 1 and all(IPV4.fullmatch(text.strip()) for text in texts):
        return "addresses of computers"
    return None


def _is_iban(text: str) -> bool:
    """ISO 13616: the digits, letters as 10 to 35 and the first four at the end, are 1 modulo 97."""
    plain = re.sub(r"\s", "", text).upper()
    if not IBAN.fullmatch(plain):
        return False
    return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1


def _is_card(text: str) -> bool:
    """ISO/IEC 7812: 14 to 19 digits that begin as those of payment cards, with Luhn's check digit."""
    plain = re.sub(r"[ -]", "", text)
    if not re.fullmatch("[2-6][0-9]{13,18}", plain):
        return False
    doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(plain))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0

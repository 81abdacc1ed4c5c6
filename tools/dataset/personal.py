"""Which columns look like personal data, by the words of their names in the languages of the field, and by values.

Better one too many than one too few: what is only doubtful is marked too, and said. A name ends in what its column is
about, so that `email_verified` and `address_type` are not personal; values tell where a name does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise

from tools.dataset import values


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STEMS = tuple(
    """
    email mailadres emailadres telefon telephon telefoon phone adress addres adresse direccion endereco
    indirizzo strasse birthda birthdate dateofbirth birthyear yearofbirth placeofbirth geburt naissance
    gebdat gebdatum gebtag birthdt datenaiss dtnasc datanasc fechanac fecnac
    nacimiento nascimento nascita geboorte urodzen fodelse foedsel fodsel firstname lastname surname forename
    fullname givenname familyname middlename maidenname nickname username benutzername screenname vorname nachname
    familienname prenom apellido cognome sobrenome sobrenom voornaam achternaam nazwisko fornamn efternamn
    fornavn efternavn etternavn tussenvoegsel passport passeport pasaporte passaporto passaporte reisepass
    paspoort paszport personalausweis cardholder kreditkart creditcard debitcard kartennummer cardnumber cardno
    kontoinhaber accountholder iban personnummer personnr fodselsnummer burgerservice sozialvers
    versichertennummer socialsecurity nationalid steuernummer steuerid taxid taxnumber taxpayer codicefiscale
    codfiscale numerofiscal identificacionfiscal partitaiva driverlicen driverslicen driverslicence fuhrerschein
    fuehrerschein licenseplate numberplate ipaddr ipadress ipaddress clientip remoteip remoteaddr userip
    geolocation housenumber hausnummer hausnr huisnummer huisnr postanschrift anschrift mobilnummer mobilnr
    handynummer handynr telnr customername clientname kundenname buyername ownername holdername contactname
    membername employeename recipientname kundinnenname rufnummer rufnr
    """.split()  # noqa: SIM905
)
"""What a word, or words put together, must begin with or hold."""
NO_STEMS = _words("headphone headphones smartphone smartphones earphone earphones microphone megaphone saxophone")
SURE = _words(
    """
    dob birth mail mails ssn iban tel fax gsm msisdn whatsapp street rue calle rua straat ulica gata gatan gade vej
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
    doctor physician teacher caller donor voter insured username login assignee approver reviewer requester requestor
    submitter creator operator salesperson salesrep bearbeiter sachbearbeiter ansprechpartner ersteller verfasser
    cust emp empl zahlungspflichtige
    """
)
FEMININE = ("innen", "in", "r", "e", "a")
"""What is put behind a person, with or without a mark, so that a word is not of men only: `Kunde/in`, `Kund*innen`."""
ROLES = _words(
    "billing shipping bill ship delivery invoice account user users host agent manager rechnung liefer lieferung"
)
"""Whose name is a person's; alone they are none."""
MACHINES = _words("host account invoice rechnung")
"""Those of which a name may be none of a person's."""
CARDS = _words(
    "mobile mobil movil celular cell cellulare handy natel komorka card carte karte tarjeta cartao kaart karta"
)
THINGS = _words("card carte karte cell")
"""Those that are also something else."""
ACCOUNT_NUMBERS = _words("kontonummer kontonr rekeningnummer accountnumber accountno acctno numcompte")
ACCOUNTS = ACCOUNT_NUMBERS | _words("account konto cuenta compte conto conta rekening rachunek acct acc")
IDENTITIES = _words(
    "tax vat national identity identification social sociale insurance fiscal fiscale licence license ausweis ust"
)
PLACES = _words(
    """
    city town zip zipcode postcode postal postalcode plz ort stadt wohnort ville codepostal ciudad citta cidade
    cep gemeente plaats woonplaats miasto stad postnummer postnr postort pocztowy miejscowosc cap kommune
    str lat latitude lon lng longitude geo gps coordinates location breitengrad langengrad
    """
)
IPS = _words("ip ipv")
NUMBERS = _words("no n nr num number numbers numero nummer numer id code codigo codice kod security securite ident")
MOMENTS = _words("at in on")
FILLERS = (
    NUMBERS
    | MOMENTS
    | PERSONS
    | ROLES
    | NAMES
    | NAME_KINDS
    | _words(
        """
        home work office private primary secondary main alt alternate other business emergency post postal
        mailing mail line description omschrijving beschreibung first last four digits full complete raw
        masked of the de du der des del di da do la el le to from source src dst destination peer remote
        client origin dt dat and und et y e i value text credit debit kredit
        """
    )
)
ATTRIBUTES = _words(
    """
    type types kind status state count counts flag verified valid validated opt optin consent source segment
    group category format lang language currency sent opened clicked clicks bounced bounce open click rate
    rates share ratio percent pct length len quality score method brand fee fees amount price cost total class
    version size unit units views view visits sessions users subscribers campaign template subject domain
    provider network model os app apps enabled disabled required present exists changed updated created
    date_sent validity level tier plan region balance typ art anzahl betrag nombre_de datei file path title
    price_eur
    """
)
PARTICIPLE = re.compile(
    ".*[a-z]ed|sent|sold|paid|made|opt|log|sign|check|erstellt|geandert|bearbeitet|angelegt|cree|modifie"
)
"""What was done, behind which `at` is no country and `by` says who did it."""
BY = _words("by von par por")
COUNTS = _words("is has num count avg average total sum min max pct percent share number_of anzahl nb per")
IDS = _words("id ids key code uuid guid hash ref reference sk fk")
HAVE_IDS = re.compile("adr|addr|direc|ende|indir|str|rue|calle|rua|gat|ulica|vej|.*name?$|.*nom$")
"""What has identifiers of its own: `address_id` is no address, while `tax_id` and `email_id` are what they name."""
SHORT = 4

LEDGER_ACCOUNT = re.compile("[0-9]{1,6}")
CODE_DIGITS, TELEPHONE_DIGITS = 8, 7
"""How many digits a number may have that is a code, and from how many on one with blanks or letters is a telephone."""
IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
PHONE = re.compile(
    r"[+(][0-9](?=.*[ ()/.-]|.{8})[0-9 ()/.-]{5,18}[0-9]|"
    r"[0-9]{3}[-. ][0-9]{3}[-. ][0-9]{4}|0[1-9][0-9]{1,4} ?[ /-] ?[0-9][0-9 -]{3,12}[0-9]"
)
IP = re.compile(r"[0-9]+([.][0-9]+){3}|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%.+)?")


@dataclass(frozen=True)
class Finding:
    """Why a column is marked as personal; `doubtful` where it may well be about a thing.

    `unless` says of a value that it is none such: of all of a column's values where the name misleads.
    """

    why: str
    doubtful: bool = False
    unless: Callable[[str], object] | None = None


def finding(source: str, texts: Sequence[str]) -> Finding | None:
    """Say why a column looks like personal data, or None; `texts` are its values that are not blank."""
    if by_value := _by_value(texts):
        return Finding(f"values are {by_value}")
    named = _by_name(_persons_joined(values.words(source)))
    misleads = named and named.unless and texts and all(map(named.unless, texts))
    return None if misleads else named


def _persons_joined(parts: Sequence[str]) -> list[str]:
    """The words of a name in which a person is one word, and a man's: `Kund*innen` and `Kundin` are `kund`."""
    joined: list[str] = []
    for word in parts:
        before = joined[-1] if joined else ""
        if before and before + word in PERSONS:
            joined[-1] += word
        elif before not in PERSONS or word not in FEMININE:
            man = next((man for ending in FEMININE if (man := word.removesuffix(ending)) in PERSONS), word)
            joined.append(word if word in PERSONS else man)
    return joined


def _by_name(parts: list[str]) -> Finding | None:
    words = [word for word in parts if not word.isdigit()]
    if not words or words[0] in COUNTS or words[-1] in ATTRIBUTES:
        return None
    done = [behind for what, behind in pairwise(words) if PARTICIPLE.fullmatch(what)]
    if done and words[-1] in MOMENTS:
        return None
    last, given, others = words[-1], set(words), set(words) - FILLERS
    put_together = {"".join(words[at : at + count]) for count in (2, 3) for at in range(len(words) - count + 1)}
    stems = (stem for stem in STEMS if _has_stem(given, put_together, stem))
    if stem := next(stems, None) or next(iter(given & SURE), None):
        ends = {joined for joined in put_together if joined.endswith(last)}
        of_it = last not in others - CARDS - SURE or any(_ends_in_stem(last, ends, known) for known in STEMS)
        return None if last in IDS and HAVE_IDS.match(stem) else Finding(f"its name has {stem!r}", doubtful=not of_it)
    if given & NAMES and given & (PERSONS | ROLES | NAME_KINDS):
        doubtful = not given & (PERSONS | ROLES | NAME_KINDS) - MACHINES
        return None if last in IDS else Finding("it is called a person's name", doubtful)
    if given & CARDS and not others - CARDS:
        doubtful = not given & CARDS - THINGS and (len(given) == 1 or last in IDS)
        return Finding("its name says card or telephone", doubtful)
    if given & ACCOUNTS and not others - ACCOUNTS and last not in IDS:
        doubtful = not given & (NUMBERS | ACCOUNT_NUMBERS)
        return Finding("its name says account", doubtful, unless=LEDGER_ACCOUNT.fullmatch)
    if given & IPS and not others - IPS:
        return Finding("its name says address of a computer")
    if given & IDENTITIES and given & NUMBERS and not others - IDENTITIES:
        doubtful = bool(given & {"vat", "ust", "code"})
        return Finding("its name says number of a person or company", doubtful)
    if (given | put_together) & PLACES and not others - PLACES:
        return Finding("where somebody lives or is, unless it is where a thing is", doubtful=True)
    if given & (PERSONS | NAMES) and not others - NAMES and not given & NUMBERS and last not in IDS:
        return Finding("may be a person's name", doubtful=True, unless=_is_code)
    if BY.intersection(done) and last not in IDS:
        return Finding("may say who did it", doubtful=True, unless=_is_code)
    return None


def _has_stem(words: set[str], put_together: set[str], stem: str) -> bool:
    """Whether a word has the stem, a short one at its beginning, or words put together begin with it."""
    found = (stem in word if len(stem) > SHORT else word.startswith(stem) for word in words - NO_STEMS)
    return any(found) or any(word.startswith(stem) for word in put_together)


def _ends_in_stem(last: str, ends: set[str], stem: str) -> bool:
    """Whether the last word is of the stem, alone or put together: `phone_case` is of a case."""
    return _has_stem({last}, {joined for joined in ends if len(joined) - len(last) < len(stem)}, stem)


def _is_code(text: str) -> bool:
    """Whether a text is neither a person's name nor a telephone."""
    digits = sum(character.isdigit() for character in text)
    if not digits or any(character.isspace() or character == "/" for character in text.strip()):
        return 0 < digits < TELEPHONE_DIGITS or len(text) < 2
    return any(map(str.isalpha, text)) or digits < TELEPHONE_DIGITS or (digits <= CODE_DIGITS and text[0] not in "+(0")


def _by_value(texts: Sequence[str]) -> str | None:
    given = {text.strip() for text in texts if not values.is_marker(text)}
    if any("@" in text and values.EMAIL.search(text) for text in given):
        return "e-mail addresses"
    if any(_is_iban(text) for text in given):
        return "IBANs"
    if len(given) > 1 and all(map(_is_card, given)):
        return "numbers of payment cards"
    if _most(PHONE.fullmatch, given):
        return "telephone numbers"
    if _most(_is_ip, given):
        return "addresses of computers"
    return None


def _most(fits: Callable[[str], object], texts: Collection[str]) -> bool:
    """Whether at least half of the texts fit."""
    return 2 * sum(bool(fits(text)) for text in texts) >= len(texts) > 0


def _is_ip(text: str) -> bool:
    if not IP.fullmatch(text):
        return False
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


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

"""Names and values tell what is personal, in several languages, and what only sounds like it is not marked."""

import pytest

from tools.dataset.personal import finding

SURE = """
    Email e-mail user_email emailAddress buyer-email E-Mail-Adresse courriel_email customerEmail2
    phone billing_phone PhoneNumber mobile mobile_number Telefon telefono tel fax_no Handynummer home_phone_2
    Mobilnummer telefono_movil
    address ship-address-1 Address2 billing_address_line1 Adresse direccion endereco indirizzo street Straße rue
    Hausnr. huisnummer
    first_name LastName surname customer_name Billing·Name recipient-name Vorname Nachname prenom apellidos cognome
    voornaam nazwisko Efternamn contact_name username cardholder_name Kundenname nome_completo nombre·del·cliente
    birth_date DateOfBirth dob Geburtsdatum date_naissance fecha_nacimiento
    ssn tax_id TaxNumber national_id nif cpf pesel bsn NIP personnummer Steuernummer steuer-id passport_no
    codice_fiscale N°·Sécurité·sociale
    card_number CreditCard card_last4 iban IBAN_Nr account_number kontonummer
    ip ip_address client_ip remoteAddr
    Geb.-Datum gebdat geb_datum birth_dt Geburtstag dt_nascimento date_naiss fecha_nac Benutzername cust_name emp_name
    Rufnummer Mail Vorname/Nachname billing_fname Kundinnenname IBAN·AT phone_in Name·Kunde·AT
"""
DOUBTFUL = """
    name city zip PostCode PLZ Ort ville customer Kunde beneficiary card account latitude lon shipping_city postnr
    código_postal kod_pocztowy Str. Ansprechpartner Bearbeiter assignee created_by updatedBy erstellt_von sold_by
    Kunde·AT customer_in Ansprechpartner*in Zahlungsempfänger*in Kunde/in Kund:innen Mitarbeiter:in Kund(in) KundIn
    Kundin Patientinnen Mitarbeiter/-in Zahlungspflichtige*r Zahlungspflichtige/r client·e salarié.e cliente/a
    tax_code cell_id cell host_name phone_case sales_rep
"""
NOT = """
    product_name filename file_name event_name status address_type email_verified phone_type card_type is_mobile
    customer_id customer_type address_id mobile_sessions app_version headphones smartphone_model birth_rate
    city_population account_id currency username_length email_sent_at user_count number_of_customers street_count
    opt_in email_opt_in checked_in customer_created_at mail_sent_on
    company_name page_name hostname ship_date tax_rate tax_amount vat description latency lone position emails_opened_at
"""


@pytest.mark.parametrize("name", [name.replace("·", " ") for name in SURE.split()])
def test_a_name_that_says_so_is_personal(name):
    found = finding(name, ["x y"])
    assert found
    assert not found.doubtful


@pytest.mark.parametrize("name", DOUBTFUL.split())
def test_a_name_that_may_say_so_is_personal_and_doubtful(name):
    assert finding(name, ["x y"]).doubtful


@pytest.mark.parametrize("name", NOT.split())
def test_a_name_that_only_sounds_so_is_not_personal(name):
    assert finding(name, ["x y"]) is None


@pytest.mark.parametrize(
    "texts",
    [
        ["nobody", "someone@mail.example"],
        ["DE02 1203 0000 0000 2020 51"],
        ["4111 1111 1111 1111", "5500005555555559"],
        ["+49 151 5550100", "+1 (555) 010-0100"],
        ["192.0.2.1", "203.0.113.77"],
        ["192.0.2.1", "2001:db8::1"],
        ["2001:db8::1", "2001:db8:0:0:0:0:0:2", "-"],
        ["fe80::1%eth0", "::1"],
        ["Ada <a@mail.example>", "none"],
        ["a@mail.example; b@mail.example"],
        ["mailto:a@mail.example"],
        ["+49 151 2345678", "0151/2345678", "n/a"],
        ["+49 151 2345678"],
        ["030 / 12 34 56", "0151-2345678"],
    ],
)
def test_values_tell_where_a_name_does_not(texts):
    assert finding("remark", texts)


@pytest.mark.parametrize(
    "texts",
    [
        ["4111111111111112", "5500005555555558"],
        ["DE02120300000000202052"],
        ["1.2.3", "1.2.4"],
        ["2025-06-30", "2025-07-01"],
        ["12345678", "87654321"],
        ["4006381333931", "4006381333948"],
        ["10:20:30", "aa:bb:cc:dd:ee:ff"],
        ["+1000000", "0.5"],
        ["@home", "a @ b"],
    ],
)
def test_numbers_and_codes_that_only_look_so_are_not_personal(texts):
    assert finding("remark", texts) is None


def test_values_tell_when_a_doubtful_name_misleads():
    assert finding("Name", ["#1001", "#1002"]) is None
    assert finding("customer", ["C17", "C18"]) is None
    assert finding("account", ["4000", "4010"]) is None
    assert finding("account", ["12345678"]).doubtful
    assert finding("customer", ["1000234", "1000235"]) is None


@pytest.mark.parametrize(
    "texts",
    [
        ["0151 2345678"],
        ["+49 151 2345678", "0151/2345678"],
        ["01512345678"],
        ["C17", "Ada 0151 2345678"],
        ["612345678"],
    ],
)
def test_telephones_are_not_what_a_name_misleads_with(texts):
    assert finding("contact", texts)

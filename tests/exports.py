"""Files in the shapes in which shops, banks, ledgers, devices, offices and programs export them. All data is made up.

`EXPORTS` are their bytes by file name.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

ROWS = range(30)
START = datetime(2025, 6, 1, 8, 5, 9)
EXPORTS: dict[str, bytes] = {}

PEOPLE = ("Ada Example", "Béla Minta", "Chloé Exemple", "Dörte Muster")
CITIES = ("Anytown", "Mintaváros", "Exempleville", "Musterstadt")


def export(name: str, encoding: str = "utf-8") -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Add what a function writes to `EXPORTS`, in the encoding; packed where the name says so."""

    def add(write: Callable[[], str]) -> Callable[[], str]:
        content = write().encode(encoding)
        EXPORTS[name] = gzip.compress(content, mtime=0) if name.lower().endswith(".gz") else content
        return write

    return add


def lines(rows: Iterable[str], end: str = "\n") -> str:
    """The rows as lines."""
    return "".join(f"{row}{end}" for row in rows)


def at(number: int) -> datetime:
    """The moment of a row."""
    return START + timedelta(hours=7 * number, seconds=number)


def money(number: int) -> str:
    """An amount with cents."""
    return f"{(number * 37) % 400}.{(number * 13) % 100:02}"


def comma(number: int) -> str:
    """An amount with a comma and points, as on the continent."""
    return f"{1 + number % 3}.{(number * 37) % 900 + 100},{(number * 13) % 100:02}"


@export("shop_orders.csv")
def _() -> str:
    head = (
        "Name,Email,Financial Status,Paid at,Fulfillment Status,Accepts Marketing,Currency,Subtotal,Shipping,"
        "Taxes,Total,Lineitem quantity,Lineitem name,Lineitem price,Billing Name,Billing Street,"
        "Billing Address1,Billing City,Billing Zip,Billing Country,Billing Phone,Shipping Name,Notes,Id,Tags,Tax 1 Name"
    )
    rows = (
        f"#{1001 + n // 2},person{n // 2}@mail.example,{('paid', 'refunded')[n % 2]},{at(n):%Y-%m-%d %H:%M:%S} -0400,"
        f"{'fulfilled' if n % 3 else ''},{('yes', 'no')[n % 2]},USD,{money(n)},5.00,0.00,{money(n)},{n % 3 + 1},"
        f'"Mug, {"blue" if n % 2 else "red"}",{money(n + 1)},{PEOPLE[n % 4]},{n} Any Way,{n} Any Way,{CITIES[n % 4]},'
        f"'0{1000 + n},US,+1 555 01{n:02},{PEOPLE[n % 4]},,{5550000000000 + n // 2},,"
        for n in ROWS
    )
    return lines([head, *rows])


@export("market_orders.csv")
def _() -> str:
    head = [
        "order-id",
        "order-item-id",
        "purchase-date",
        "payments-date",
        "buyer-email",
        "buyer-name",
        "buyer-phone-number",
        "sku",
        "product-name",
        "quantity-purchased",
        "currency",
        "item-price",
        "item-tax",
        "ship-service-level",
        "recipient-name",
        "ship-address-1",
        "ship-address-2",
        "ship-city",
        "ship-state",
        "ship-postal-code",
        "ship-country",
    ]
    rows = (
        f"111-{n // 2:07}\t{9000 + n}\t{at(n):%Y-%m-%dT%H:%M:%S}+00:00\t{at(n):%Y-%m-%dT%H:%M:%S}+00:00\t"
        f'b{n}@marketplace.example\t{PEOPLE[n % 4]}\t555010{n:02}\tSKU-{n % 5}\t5" pipe, {n % 5}\t{n % 3 + 1}\tUSD\t'
        f"{money(n)}\t0.0\tStandard\t{PEOPLE[n % 4]}\t{n} Any Way\t\t{CITIES[n % 4]}\tNY\t0{1200 + n}\tUS"
        for n in ROWS
    )
    return lines(["\t".join(head), *rows])


@export("web_shop_orders.csv", "utf-8-sig")
def _() -> str:
    head = '"ID";"Reference";"New client";"Delivery";"Customer";"Total";"Payment";"Status";"Date"'
    rows = (
        f'"{n + 1}";"ABCDEF{n:03}";"{n % 2}";"France";"{PEOPLE[n % 4]}";"€{money(n)}";"Bank wire";"Shipped";'
        f'"{at(n):%Y-%m-%d %H:%M:%S}"'
        for n in ROWS
    )
    return lines([head, *rows])


@export("plugin_orders.json")
def _() -> str:
    orders = [
        {
            "id": 700 + n,
            "status": ("processing", "completed")[n % 2],
            "date_created": f"{at(n):%Y-%m-%dT%H:%M:%S}",
            "total": money(n),
            "customer_id": n % 7,
            "billing": {"first_name": "Ada", "email": "ada@mail.example"},
            "line_items": [{"sku": "A", "quantity": 1}],
        }
        for n in ROWS
    ]
    return json.dumps(orders, indent=1)


@export("payments.csv")
def _() -> str:
    head = (
        '"Date","Time","TimeZone","Name","Type","Status","Currency","Gross","Fee","Net","From Email Address",'
        '"To Email Address","Transaction ID","Balance","Item Title"'
    )
    rows = (
        f'"{at(n):%m/%d/%Y}","{at(n):%H:%M:%S}","PDT","{PEOPLE[n % 4]}","Payment","Completed","USD","{money(n)}",'
        f'"-0.{n + 10}","{money(n + 1)}","p{n}@mail.example","shop@mail.example","TX{n:013}","{n + 1},{100 + n}.00",""'
        for n in ROWS
    )
    return lines([head, *rows], "\r\n")


@export("card_balance.csv")
def _() -> str:
    head = "id,Type,Source,Amount,Fee,Net,Currency,Created (UTC),Available On (UTC),Description,card_last4"
    rows = (
        f"txn_{n:06},charge,ch_{n:06},{money(n)},0.59,{money(n + 2)},usd,{at(n):%Y-%m-%d %H:%M},{at(n):%Y-%m-%d %H:%M},"
        f"Order {n},{4000 + n}"
        for n in ROWS
    )
    return lines([head, *rows])


@export("bank_de.CSV", "windows-1252")
def _() -> str:
    head = (
        '"Auftragskonto";"Buchungstag";"Valutadatum";"Buchungstext";"Verwendungszweck";'
        '"Beguenstigter/Zahlungspflichtiger";"Kontonummer/IBAN";"BIC";"Betrag";"Währung";"Info"'
    )
    rows = (
        f'"DE02120300000000202051";"{at(n):%d.%m.%y}";"{at(n):%d.%m.%y}";"LASTSCHRIFT";"Nr. {n} \N{EN DASH} danke";'
        f'"{PEOPLE[3]}";"DE02120300000000202051";"BYLADEM1001";"-{comma(n)}";"EUR";"Umsatz gebucht"'
        for n in ROWS
    )
    return lines([head, *rows], "\r\n")


@export("bank_with_preamble.csv", "latin-1")
def _() -> str:
    above = ['"Kontonummer:";"DE02120300000000202051 / Girokonto";', "", '"Von:";"01.06.2025";', '"Bis:";"30.06.2025";']
    head = '"Buchungstag";"Wertstellung";"Auftraggeber / Begünstigter";"Verwendungszweck";"Betrag (EUR)";'
    rows = (f'"{at(n):%d.%m.%Y}";"{at(n):%d.%m.%Y}";"{PEOPLE[3]}";"Miete {n}";"{comma(n)}";' for n in ROWS)
    return lines([*above, "", head, *rows])


@export("bank_us.csv")
def _() -> str:
    head = "Details,Posting Date,Description,Amount,Type,Balance,Check or Slip #"
    rows = (f'DEBIT,{at(n):%m/%d/%Y},"STORE {n} ANYTOWN",-{money(n)},ACH_DEBIT,{money(n + 9)},' for n in ROWS)
    return lines([head, *rows])


@export("bank_nl.csv")
def _() -> str:
    head = (
        '"Datum","Naam / Omschrijving","Rekening","Tegenrekening","Code","Af Bij","Bedrag (EUR)","Mutatiesoort",'
        '"Mededelingen"'
    )
    rows = (
        f'"{at(n):%Y%m%d}","{PEOPLE[n % 4]}","NL91ABNA0417164300","NL91ABNA0417164300","BA","{("Af", "Bij")[n % 2]}",'
        f'"{n + 1},{n + 10}","Betaalautomaat","Pasvolgnr: {n}"'
        for n in ROWS
    )
    return lines([head, *rows])


@export("ledger_with_totals.csv")
def _() -> str:
    rows = [(f"{at(n):%d/%m/%Y}", f"{4000 + n % 5}", f"Entry {n}", n * 3 + 0.25, n + 0.5) for n in ROWS]
    debit, credit = sum(row[3] for row in rows), sum(row[4] for row in rows)
    body = (f"{day},{account},{text},{first:.2f},{second:.2f}" for day, account, text, first, second in rows)
    return lines(["Date,Account,Description,Debit,Credit", *body, f"Total,,,{debit:.2f},{credit:.2f}"])


@export("journal.csv", "utf-16")
def _() -> str:
    head = "Posting Date\tDocument No.\tG/L Account No.\tDescription\tAmount (LCY)\tReversed"
    rows = (f"{at(n):%Y-%m-%d}\tDOC{n:05}\t0{40000 + n}\tÉcriture {n}\t{money(n)}\t{n % 2 == 0}" for n in ROWS)
    return lines([head, *rows], "\r\n")


@export("accounting_fr.csv", "latin-1")
def _() -> str:
    head = "JournalCode|JournalLib|EcritureNum|EcritureDate|CompteNum|CompteLib|PieceRef|Debit|Credit|EcritureLib"
    rows = (
        f"VE|Ventes|{n:06}|{at(n):%Y%m%d}|{411000 + n}|Client n° {n}|F{n}|{n},{n + 10}|0,00|Facture réglée"
        for n in ROWS
    )
    return lines([head, *rows])


@export("sensor_dump.csv")
def _() -> str:
    head = ["# device: WS-12", "# firmware 2.1", "# unit: degC", "timestamp,temp,humidity,battery_v,status"]
    rows = (
        f"{at(n):%Y-%m-%dT%H:%M:%S}.{n * 31 % 1000:03}Z,"
        f"{'NaN' if n % 10 == 9 else f'{n / 3:.2f}'},{40 + n},3.{n + 10},OK"
        for n in ROWS
    )
    return lines([*head, *rows])


@export("lab_instrument.csv")
def _() -> str:
    above = ["Instrument:,Spectro 9", "Operator:,lab-2", "Run started:,2025-06-01 08:00", ""]
    rows = (f"{n + 1},{400 + n},{n * 1.1e-05:.4e},{'n.d.' if n % 7 == 3 else n}" for n in ROWS)
    return lines([*above, "Point,Wavelength,Absorbance,Counts", *rows, "", "End of report"])


@export("telemetry.jsonl.gz")
def _() -> str:
    return lines(
        json.dumps(
            {
                "ts": f"{at(n):%Y-%m-%dT%H:%M:%SZ}",
                "vehicle": f"V{n % 4}",
                "lat": 48.1 + n / 1000,
                "lon": 11.5,
                "speed": n,
            }
            | ({"error": None} if n % 2 else {})
        )
        for n in ROWS
    )


@export("web_log.csv")
def _() -> str:
    head = "date time c-ip cs-method cs-uri-stem sc-status time-taken cs(User-Agent)".replace(" ", ",")
    rows = (
        f'{at(n):%Y-%m-%d},{at(n):%H:%M:%S},192.0.2.{n},GET,/page/{n},{(200, 404)[n % 2]},{n * 3},"Browser/5.0 (a, b)"'
        for n in ROWS
    )
    return lines([head, *rows])


@export("app_log.jsonl")
def _() -> str:
    return lines(
        json.dumps(
            {
                "@timestamp": f"{at(n):%Y-%m-%dT%H:%M:%S}.{n:03}+02:00",
                "level": ("INFO", "ERROR")[n % 2],
                "message": f"request {n} \u2028 done",
                "duration_ms": n * 1.5,
                "context": {"user": n},
            },
            ensure_ascii=False,
        )
        for n in ROWS
    )


@export("analytics_export.csv")
def _() -> str:
    above = ["# ----------", "# Pages and screens", "# 20250601-20250630", "# ----------", ""]
    rows = [(f"/page/{n}", 1000 + n * 41) for n in ROWS]
    body = (f'{page},"{views:,}"' for page, views in rows)
    return lines([*above, "Page path,Views", *body, f',"{sum(views for _, views in rows):,}"'])


@export("statistics_office.csv")
def _() -> str:
    above = ['"Table 12: Population","",', '"Reference date: 31.12.","",', ""]
    rows = (f'"0{1000 + n}","District {n}","{".." if n % 9 == 4 else 5000 + n}","{n}.{n % 10}"' for n in ROWS)
    below = ["", "Source: made up office, 2025. Own calculations"]
    return lines([*above, '"Code","District","Inhabitants","Growth"', *rows, *below])


@export("eurostat_like.csv")
def _() -> str:
    rows = (
        f"OFFICE:TABLE(1.0),A,NR,C{n % 6},{2015 + n % 10},{':' if n % 11 == 5 else n * 1000},"
        f"{'p' if n % 5 == 0 else ''}"
        for n in ROWS
    )
    return lines(["DATAFLOW,freq,unit,geo,TIME_PERIOD,OBS_VALUE,OBS_FLAG", *rows], "\r\n")


@export("open_data_wide.csv")
def _() -> str:
    rows = (f'"Country {n}","C{n:02}","Indicator","{n}.5","{n + 1}.25",' for n in ROWS)
    return lines(['"Country Name","Country Code","Indicator Name","2019","2020",', *rows])


@export("station_days.csv")
def _() -> str:
    rows = (
        f"  {44 + n % 2:>4};{at(n):%Y%m%d};{n % 10:>5};{n / 2:>7.1f};{-999 if n % 8 == 1 else n:>5};eor" for n in ROWS
    )
    return lines(["STATIONS_ID;MESS_DATUM;QN_3;  FX;  FM;eor", *rows])


@export("house_sales.csv")
def _() -> str:
    rows = (
        f'"{{A{n:03}-B}}",{250000 + n * 500},{at(n):%Y-%m-%d} 00:00,"W1 {n % 9}AA","T","N","{n}","Any Road","ANYTOWN"'
        for n in ROWS
    )
    return lines(["transaction,price,date_of_transfer,postcode,property_type,old_new,paon,street,town", *rows])


@export("data_frame.csv")
def _() -> str:
    rows = (f"{n},item {n},{n / 7},{n * 1.0},{n % 2 == 0},{at(n)},{'' if n % 4 else n}" for n in ROWS)
    return lines([",label,ratio,amount,flag,seen_at,optional", *rows])


@export("warehouse.csv")
def _() -> str:
    null = "\\N"
    rows = (
        f"{n}\x01{at(n):%Y-%m-%d %H:%M:%S}.{n % 10}\x01{null}\x01{money(n)}\x01{null if n % 3 else f'v, {n}'}"
        for n in ROWS
    )
    return lines(["event_key\x01event_time\x01parent\x01amount\x01note", *rows])


@export("database_dump.csv")
def _() -> str:
    rows = (
        f'"{n}","{at(n):%Y-%m-%d %H:%M:%S}.{n * 1111 % 1000000:06}",'
        f'"{"NULL" if n % 5 == 2 else n * 10**12}","line one\nline {n}"'
        for n in ROWS
    )
    return lines(['"ROW_ID","CREATED","BIG_VALUE","REMARK"', *rows])


@export("mainframe_unload.csv")
def _() -> str:
    rows = [f"D|{n:08}|{'ACCT':<8}|{at(n):%Y%m%d}|{money(n):>12}|{('A', 'C')[n % 2]}" for n in ROWS]
    return lines(["REC|KEYNO|SYSTEM|BOOKED|AMOUNT|ST", *rows, f"TRAILER|{len(rows):08}"])


@export("spreadsheet.csv", "windows-1252")
def _() -> str:
    rows = (f"{n};Teil {n};{comma(n)} €;{at(n):%d.%m.%Y};;" for n in ROWS)
    return lines(["sep=;", "Nr;Bezeichnung;Preis;Stand;;", *rows, *[";;;;;"] * 3], "\r\n")


@export("survey.csv")
def _() -> str:
    head = 'Timestamp,"Your first name","How satisfied are you, overall?","Would you recommend us? [Yes]",Any comments'
    rows = (
        f'{at(n).month}/{at(n).day}/{at(n):%Y %H:%M:%S},Ada,{n % 5 + 1},{("Yes", "No")[n % 2]},"fine,\nthanks {n}"'
        for n in ROWS
    )
    return lines([head, *rows])

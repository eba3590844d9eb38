"""Two hundred invented columns with their labels: a name, how its values are made, and the kind that it holds.

Every value is made up by a generator with a fixed seed. Phone numbers, card numbers and the like are well-formed, which
is all that a classifier can see; none is known to be anyone's.
"""
# ruff: noqa: E501 -- lists of words, as long as they are

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 600

FIRST = (
    "Alma Bruno Celeste Dario Estela Fermin Gloria Hector Imelda Joaquin Kenji Lorraine Mai Nadia Omar Priya Quentin Rosa "
    "Stanley Teng Ubah Violeta Wendell Ximena Yusuf Zelda Margaret Patricia Robert Linda Michael Carmen Guadalupe Keisha "
    "Tyrone Fatima Abdi Svetlana Bao Chue Ingrid Olaf Deborah Gary Janet Raymond Shirley Wayne Noemi Rigoberto"
).split()
LAST = (
    "Abara Belknap Castaneda Dvorak Eastman Figueroa Grzybowski Hollis Ibarra Jankowski Kowalczyk Lindqvist Moua Nakamura "
    "Okafor Pettigrew Quiroga Rasmussen Sandoval Thao Underhill Villanueva Washington Xiong Yilmaz Zamora Johnson Smith "
    "Garcia Nguyen Hernandez Brown Lee Vang Hassan Petersen O'Brien McAllister Van_Dyke Rodriguez Bauer Fitzgerald"
).split()
STREETS = (
    "Alder Birch Cedar Delmar Elmwood Foxglove Grandview Hawthorne Irving Juniper Knollwood Larkspur Meridian Northfield "
    "Oak Pershing Quarry Ridgeway Sycamore Tamarack Union Vesper Wabash Yarrow 3rd 14th 52nd Martin_Luther_King Lakeshore"
).split()
TYPES = "St Ave Blvd Rd Dr Ln Ct Pl Ter Pkwy STREET AVENUE".split()
CALLES = "Mayor San_Juan Los_Olivos Miguel_Hidalgo Cinco_de_Mayo Alameda Colon Pinzon Cervantes Goya Velazquez".split()
DOMAINS = "example.org example.com mail.example.net correo.example.es".split()
WORDS = (
    "the a pothole near school called twice neighbor says water is leaking from hydrant since Monday please send crew tree fell "
    "on fence and blocks sidewalk light out for two weeks dog barking at night car parked without plates caller upset needs "
    "follow up resident asked about bin pickup missed again by truck driver who drove past house"
).split()
PALABRAS = (
    "el la vecino llama por fuga de agua en calle desde lunes no hay luz perro suelto basura sin recoger pide que se repare "
    "acera rota frente a casa señora dice ruido por noche coche abandonado"
).split()
SERVICES = (
    "Pothole|Street Light Out|Missed Trash|Graffiti Removal|Tree Trimming|Dead Animal|Noise|Illegal Dumping|Water Leak"
)
PLACES = (
    "North Hill|Riverside|Old Town|Eastgate|Seward Park|Harbor|Uptown|Southwest|Fairview|Central West End|Linden Hills"
)
DEPARTMENTS = "Public Works|Parks and Recreation|Fire|Police|Water Division|Forestry|Traffic|Health|Building Division"
BUSINESSES = "Plumbing Electric Roofing Grocery Cafe Auto_Body Salon Landscaping Bakery Towing".split()
NULLS = ("", "N/A", "NULL", "unknown")


def luhn(digits: str) -> str:
    """The digits with their check digit."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 == 0 else 1)
        total += number - 9 if number > 9 else number
    return digits + str(-total % 10)


def not_luhn(digits: str) -> str:
    """The digits with a wrong check digit."""
    return digits + str((int(luhn(digits)[-1]) + 5) % 10)


def some(random: Random, count: int) -> str:
    return "".join(random.choices("0123456789", k=count))


def first(random: Random, _: int) -> str:
    return random.choice(FIRST)


def last(random: Random, _: int) -> str:
    return random.choice(LAST).replace("_", " ")


def full(random: Random, n: int) -> str:
    middle = random.choice(("", "", f"{random.choice('ABCDEFGHJLMRST')}. "))
    return f"{first(random, n)} {middle}{last(random, n)}"


def reversed_name(random: Random, n: int) -> str:
    return f"{last(random, n)}, {first(random, n)}".upper()


def owner(random: Random, n: int) -> str:
    made = (full(random, n), f"{first(random, n)} & {first(random, n)} {last(random, n)}", company(random, n))
    return random.choice((made[0], made[0], *made))


def company(random: Random, n: int) -> str:
    return f"{last(random, n)} {random.choice(BUSINESSES).replace('_', ' ')} {random.choice(('LLC', 'Inc', 'Co', ''))}".strip()


def spanish_name(random: Random, n: int) -> str:
    return f"{first(random, n)} {last(random, n)} {last(random, n)}"


def email(random: Random, n: int) -> str:
    name = f"{first(random, n)}.{random.choice(LAST)}".lower().replace("'", "")
    return f"{name}{random.choice(('', '', some(random, 2)))}@{random.choice(DOMAINS)}"


def phone(form: str) -> Callable[[Random, int], str]:
    def make(random: Random, _: int) -> str:
        area = random.choice(("612", "314", "315", "206", "513", "213", "617", "651", "425"))
        office = f"{random.randint(2, 9)}{random.choice('02345678')}{some(random, 1)}"
        return form.format(a=area, o=office, n=some(random, 4))

    return make


def spanish_phone(random: Random, _: int) -> str:
    return random.choice("6679") + random.choice("123456") + some(random, 7)


def ssn(random: Random, _: int) -> str:
    return f"{random.randint(1, 665):03}-{random.randint(1, 99):02}-{random.randint(1, 9999):04}"


def bare_ssn(random: Random, n: int) -> str:
    return ssn(random, n).replace("-", "")


def dni(random: Random, _: int) -> str:
    number = random.randint(10_000_000, 79_999_999)
    return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


def card(random: Random, _: int) -> str:
    return luhn(random.choice(("4" + some(random, 14), "5" + random.choice("12345") + some(random, 13))))


def spaced_card(random: Random, n: int) -> str:
    made = card(random, n)
    return " ".join(made[place : place + 4] for place in range(0, 16, 4))


def amex(random: Random, _: int) -> str:
    return luhn("37" + some(random, 12))


def masked_card(random: Random, n: int) -> str:
    return f"XXXX-XXXX-XXXX-{card(random, n)[-4:]}"


def iban(random: Random, _: int) -> str:
    account = some(random, 20)
    check = 98 - int(account + "142800") % 97
    return f"ES{check:02}{account}"


def spaced_iban(random: Random, n: int) -> str:
    made = iban(random, n)
    return " ".join(made[place : place + 4] for place in range(0, len(made), 4))


def routing(random: Random, _: int) -> str:
    start = f"{random.choice((9, 10, 21, 31, 81, 91)):02}{some(random, 6)}"
    check = -sum(int(digit) * weight for digit, weight in zip(start, (3, 7, 1) * 3, strict=False)) % 10
    return f"{start}{check}"


def bank_account(random: Random, _: int) -> str:
    return some(random, random.choice((10, 11, 12)))


def customer(random: Random, _: int) -> str:
    return f"{random.randint(10, 99)}-{some(random, 6)}-{some(random, 2)}"


def repeated_customer(random: Random, n: int) -> str:
    return f"A{7_000_000 + Random(n // 4).randint(0, 999_999)}"


def pseudonym(random: Random, n: int) -> str:
    return f"{Random(n // 5).getrandbits(64):016x}"


def address(random: Random, _: int) -> str:
    unit = random.choice(("", "", "", f" Apt {random.randint(1, 30)}", f" #{random.randint(1, 9)}"))
    way = random.choice(("", "", "N ", "S "))
    return f"{random.randint(10, 9900)} {way}{random.choice(STREETS).replace('_', ' ')} {random.choice(TYPES)}{unit}"


def loud_address(random: Random, n: int) -> str:
    return address(random, n).upper()


def whole_address(random: Random, n: int) -> str:
    return f"{address(random, n)}, Springfield, MN {random.randint(55001, 56700)}"


def block_address(random: Random, n: int) -> str:
    number, rest = address(random, n).split(" ", 1)
    return f"{int(number) // 100 * 100} block {rest.split(' Apt')[0].split(' #')[0]}"


def spanish_address(random: Random, _: int) -> str:
    kind = random.choice(("Calle", "C/", "Avda.", "Av.", "Plaza"))
    return f"{kind} {random.choice(CALLES).replace('_', ' ')}, {random.randint(1, 180)}"


def box(random: Random, n: int) -> str:
    return random.choice((f"PO Box {random.randint(10, 9999)}", address(random, n), address(random, n)))


def house(random: Random, _: int) -> str:
    return str(random.randint(1, 9900))


def street(random: Random, _: int) -> str:
    return f"{random.choice(STREETS).replace('_', ' ')} {random.choice(TYPES)}"


def date(form: str, first_year: int, last_year: int) -> Callable[[Random, int], str]:
    def make(random: Random, _: int) -> str:
        year, month, day = random.randint(first_year, last_year), random.randint(1, 12), random.randint(1, 28)
        return form.format(y=year, m=month, d=day)

    return make


def plate(random: Random, _: int) -> str:
    letters = "".join(random.choices("ABCDEFGHJKLMNPRSTVWXYZ", k=3))
    return random.choice((f"{letters}{some(random, 3)}", f"{some(random, 3)}{letters}", f"{letters} {some(random, 4)}"))


def spanish_plate(random: Random, _: int) -> str:
    return f"{some(random, 4)} {''.join(random.choices('BCDFGHJKLMNPRSTVWXYZ', k=3))}"


def vin(random: Random, _: int) -> str:
    values = dict(
        zip(
            "ABCDEFGHJKLMNPRSTUVWXYZ",
            (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9),
            strict=True,
        )
    )
    made = "".join(random.choices("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", k=17))
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    check = (
        sum(
            weight * values.get(letter, 0 if letter.isalpha() else int(letter) if letter.isdigit() else 0)
            for letter, weight in zip(made, weights, strict=True)
        )
        % 11
    )
    return made[:8] + ("X" if check == 10 else str(check)) + made[9:]


def number(low: float, high: float, digits: int) -> Callable[[Random, int], str]:
    return lambda random, _: f"{random.uniform(low, high):.{digits}f}"


def point(random: Random, _: int) -> str:
    return f"({random.uniform(44.8, 45.1):.6f}, {random.uniform(-93.4, -93.1):.6f})"


def wkt(random: Random, _: int) -> str:
    return f"POINT ({random.uniform(-93.4, -93.1):.6f} {random.uniform(44.8, 45.1):.6f})"


def parcel(random: Random, _: int) -> str:
    return f"{some(random, 2)}-{some(random, 3)}-{some(random, 2)}-{some(random, 2)}-{some(random, 4)}"


def photo(random: Random, _: int) -> str:
    return f"https://media.example.org/reports/{random.getrandbits(48):x}.jpg"


def sentence(random: Random, n: int) -> str:
    return " ".join(random.choices(WORDS, k=random.randint(4, 30))).capitalize() + random.choice(
        (".", "", f" {full(random, n)}")
    )


def frase(random: Random, n: int) -> str:
    return " ".join(random.choices(PALABRAS, k=random.randint(4, 25))).capitalize() + "."


def rare_sentence(random: Random, n: int) -> str:
    return sentence(random, n) if random.random() < 0.06 else ""


def chosen(options: str) -> Callable[[Random, int], str]:
    return lambda random, _: random.choice(options.split("|"))


def dense(start: int, prefix: str = "") -> Callable[[Random, int], str]:
    """One after the other, with gaps, in the order of the file."""
    return lambda random, n: f"{prefix}{start + 3 * n + random.randint(0, 2)}"


def sparse(digits: int, prefix: str = "") -> Callable[[Random, int], str]:
    return lambda random, _: f"{prefix}{random.randint(1, 9)}{some(random, digits - 1)}"


def tenth(make: Callable[[Random, int], str], other: Callable[[Random, int], str]) -> Callable[[Random, int], str]:
    """One value in ten as `make` has it."""
    return lambda random, n: make(random, n) if random.random() < 0.1 else other(random, n)


DAY, US_DAY, TIME = "{y}-{m:02}-{d:02}", "{m:02}/{d:02}/{y}", "{y}-{m:02}-{d:02}T09:{d:02}:00"
DASHED, BRACKETS, DOTS, BARE = "{a}-{o}-{n}", "({a}) {o}-{n}", "{a}.{o}.{n}", "{a}{o}{n}"

COLUMNS: tuple[tuple[str, Callable[[Random, int], str], str], ...] = (
    ("first_name", first, "name"),
    ("LAST_NAME", last, "name"),
    ("owner", owner, "name"),
    ("OWNER1", reversed_name, "name"),
    ("nombre", first, "name"),
    ("apellidos", last, "name"),
    ("titular del contrato", spanish_name, "name"),
    ("solicitante", spanish_name, "name"),
    ("Contractor", company, "name"),
    ("business_name", company, "name"),
    ("complainant", full, "name"),
    ("Reported By", full, "name"),
    ("inspector", full, "name"),
    ("tenant_nm", reversed_name, "name"),
    ("col_7", full, "name"),
    ("field12", reversed_name, "name"),
    ("contacto", spanish_name, "name"),
    ("Guardian", full, "name"),
    ("x_user", full, "name"),
    ("emergency contact", full, "name"),
    ("email", email, "email"),
    ("correo electrónico", email, "email"),
    ("requestor_email", email, "email"),
    ("login", email, "email"),
    ("col_9", email, "email"),
    ("contact_info", tenth(email, phone(DASHED)), "phone"),
    ("web_user", tenth(email, lambda *_: ""), "email"),
    ("phone", phone(DASHED), "phone"),
    ("teléfono", spanish_phone, "phone"),
    ("cell", phone(BARE), "phone"),
    ("HOME_PH", phone(DOTS), "phone"),
    ("callback", phone(BRACKETS), "phone"),
    ("col_3", phone(DASHED), "phone"),
    ("field_22", phone("+1 {a} {o} {n}"), "phone"),
    ("daytime", phone(BRACKETS), "phone"),
    ("tel_contacto", spanish_phone, "phone"),
    ("SSN", ssn, "government-id"),
    ("soc_sec_num", bare_ssn, "government-id"),
    ("col_14", ssn, "government-id"),
    ("DNI", dni, "government-id"),
    ("documento", dni, "government-id"),
    ("drivers_license", sparse(8, "K"), "government-id"),
    ("passport_no", sparse(9), "government-id"),
    ("card_number", card, "card"),
    ("CC", spaced_card, "card"),
    ("tarjeta", card, "card"),
    ("payment_ref", card, "card"),
    ("col_21", spaced_card, "card"),
    ("amex", amex, "card"),
    ("pmt_card_masked", masked_card, "card"),
    ("memo_code", tenth(card, chosen("cash|check|online")), "card"),
    ("IBAN", iban, "bank"),
    ("cuenta bancaria", spaced_iban, "bank"),
    ("routing_number", routing, "bank"),
    ("aba", routing, "bank"),
    ("bank_account", bank_account, "bank"),
    ("checking acct no", bank_account, "bank"),
    ("account_number", customer, "account"),
    ("ACCT_NO", repeated_customer, "account"),
    ("número de cliente", repeated_customer, "account"),
    ("customer_id", sparse(7), "account"),
    ("contrato", sparse(9), "account"),
    ("user_key", pseudonym, "account"),
    ("member id", sparse(6), "account"),
    ("meter_id", repeated_customer, "account"),
    ("library_card", sparse(14, "2"), "account"),
    ("employee no", dense(1200), "account"),
    ("address", address, "address"),
    ("SITE_ADDR", loud_address, "address"),
    ("mailing address", box, "address"),
    ("dirección", spanish_address, "address"),
    ("domicilio", spanish_address, "address"),
    ("Location", whole_address, "address"),
    ("incident_loc", block_address, "address"),
    ("col_11", address, "address"),
    ("StreetNo", house, "address"),
    ("street_name", street, "address"),
    ("calle", lambda random, _: random.choice(CALLES).replace("_", " "), "address"),
    ("premise", loud_address, "address"),
    ("servicio_en", spanish_address, "address"),
    ("where", address, "address"),
    ("date_of_birth", date(DAY, 1930, 2012), "birth-date"),
    ("DOB", date(US_DAY, 1940, 2005), "birth-date"),
    ("fecha de nacimiento", date("{d:02}/{m:02}/{y}", 1935, 2008), "birth-date"),
    ("year of birth", lambda random, _: str(random.randint(1930, 2012)), "birth-date"),
    ("col_5", date(US_DAY, 1925, 2003), "birth-date"),
    ("f_nac", date(DAY, 1940, 2006), "birth-date"),
    ("license_plate", plate, "plate"),
    ("matrícula", spanish_plate, "plate"),
    ("VIN", vin, "plate"),
    ("tag_no", plate, "plate"),
    ("vehicle", tenth(vin, plate), "plate"),
    ("lat", number(44.8, 45.1, 6), "coordinates"),
    ("Long", number(-93.4, -93.1, 6), "coordinates"),
    ("x_coord", number(880_000, 910_000, 3), "coordinates"),
    ("northing", number(980_000, 1_040_000, 1), "coordinates"),
    ("the_geom", wkt, "coordinates"),
    ("col_40", point, "coordinates"),
    ("utm_x", number(715_000, 725_000, 2), "coordinates"),
    ("PIN", parcel, "parcel"),
    ("ref_catastral", sparse(14), "parcel"),
    ("APN", parcel, "parcel"),
    ("photo_url", photo, "link"),
    ("col_50", photo, "link"),
    ("comments", sentence, "text"),
    ("description", sentence, "text"),
    ("Remarks", rare_sentence, "text"),
    ("observaciones", frase, "text"),
    ("col_60", sentence, "text"),
    ("resolution", tenth(sentence, chosen("Closed|Resolved|Duplicate")), "text"),
    ("request_id", dense(1_049_266), ""),
    ("case_number", dense(101_001_242_404), ""),
    ("ticket", dense(2_065_550_100), ""),
    ("SR#", dense(3_145_551_000), ""),
    ("permit_no", sparse(9, "BP"), ""),
    ("invoice_no", dense(6_125_550_000), ""),
    ("work_order", sparse(9), ""),
    ("id", dense(1), ""),
    ("rowid", lambda _, n: str(n + 1), ""),
    ("transaction_seq", lambda random, n: not_luhn(f"{400_000_000_000_000 + n * 7 + random.randint(0, 3)}"), ""),
    ("uuid", lambda random, _: f"{random.getrandbits(128):032x}", ""),
    ("asset_tag", sparse(6, "HYD-"), ""),
    ("hydrant_id", dense(5000, "H"), ""),
    ("pole_number", sparse(5), ""),
    ("col_1", dense(770_000_000), ""),
    ("col_2", chosen(SERVICES), ""),
    ("col_8", number(0, 5_000, 2), ""),
    ("field_9", date(DAY, 2015, 2024), ""),
    ("opened", date(TIME, 2018, 2023), ""),
    ("CLOSED_DT", date(US_DAY, 2018, 2023), ""),
    ("fecha_alta", date(DAY, 2010, 2022), ""),
    ("issue_date", date(US_DAY, 1998, 2024), ""),
    ("year_built", lambda random, _: str(random.randint(1890, 2020)), ""),
    ("year", chosen("2018|2019|2020|2021"), ""),
    ("mes", chosen("enero|febrero|marzo|abril|mayo|junio"), ""),
    ("duration_days", lambda random, _: str(random.randint(0, 400)), ""),
    ("service_name", chosen(SERVICES), ""),
    ("request_type", chosen(SERVICES), ""),
    ("tipo de servicio", chosen("Bache|Alumbrado|Basura|Ruido|Fuga de agua"), ""),
    (
        "problem_description",
        chosen("Pothole in street|Street light is out|Trash was not picked up|Tree on sidewalk"),
        "",
    ),
    ("neighborhood", chosen(PLACES), ""),
    ("barrio", chosen("Centro|San Blas|Playa de San Juan|Benalúa|Carolinas"), ""),
    ("neighborhood_name", chosen(PLACES), ""),
    ("park_name", chosen("Forest Park|Tower Grove Park|Minnehaha Park|Volunteer Park"), ""),
    ("facility name", chosen("Central Library|North Fire Station|City Hall|Eastside Pool"), ""),
    ("school_district", chosen("District 1|District 2|District 11"), ""),
    ("ward", chosen("1|2|3|4|5|6|7|8|9|10|11|12|13"), ""),
    ("census_tract", chosen("102.02|77|35.01|1044|1262|60"), ""),
    ("zip", lambda random, _: str(random.randint(55401, 55450)), ""),
    ("ZIP_CODE", lambda random, _: f"{random.randint(63101, 63140)}-{some(random, 4)}", ""),
    ("código postal", lambda random, _: f"0{random.randint(3000, 3020)}", ""),
    ("city", chosen("Minneapolis|St. Louis|Syracuse|Saint Paul"), ""),
    ("state", chosen("MN|MO|NY|WA"), ""),
    ("country", chosen("USA|Mexico|Canada"), ""),
    ("department", chosen(DEPARTMENTS), ""),
    ("departamento", chosen("Obras|Parques|Policía|Aguas"), ""),
    ("agency_name", chosen(DEPARTMENTS), ""),
    ("status", chosen("Open|Closed|In Progress"), ""),
    ("estado", chosen("abierto|cerrado|en curso"), ""),
    ("priority", chosen("1|2|3"), ""),
    ("channel", chosen("Phone|Web|App|Email"), ""),
    ("phone_or_web", chosen("PHONE|WEB|APP"), ""),
    ("email_opt_in", chosen("Y|N"), ""),
    ("address_type", chosen("Intersection|Address|Park"), ""),
    ("street_type", chosen("ST|AVE|BLVD|RD"), ""),
    ("account_type", chosen("Residential|Commercial|Irrigation"), ""),
    ("customer_class", chosen("R1|R2|C1"), ""),
    ("payment_method", chosen("card|cash|check"), ""),
    ("card_type", chosen("VISA|MC|AMEX"), ""),
    ("owner_occupied", chosen("Y|N"), ""),
    ("license_type", chosen("Food|Liquor|Tobacco"), ""),
    ("vehicle_make", chosen("FORD|TOYOTA|HONDA|CHEVROLET"), ""),
    ("fiscal_year", chosen("FY2019|FY2020|FY2021"), ""),
    ("Fee", lambda random, _: f"${random.randint(1, 40) * 25:,}.00", ""),
    ("valuation", lambda random, _: f"{random.randint(1, 900) * 500:,}", ""),
    ("kwh", number(20, 90_000, 3), ""),
    ("lectura", dense(68_321), ""),
    ("pct_complete", number(0, 100, 1), ""),
    ("gl_account", chosen("101-2000-410|101-3100-410|204-2000-520|601-7400-110"), ""),
    ("naics", chosen("236115|238220|722511|811111|445110"), ""),
    ("project_name", chosen("Main Street Repaving|Riverfront Trail|Library Roof|Signal Upgrade"), ""),
    ("event_name", chosen("Summer Concert|Farmers Market|Open Streets|Job Fair"), ""),
    ("route_name", chosen("Blue Line|Route 5|Route 21 Limited|Green Line"), ""),
    ("street_sweeping_zone", chosen("A1|A2|B1|B2|C4"), ""),
    ("plate_state", chosen("MN|WI|IA|MO"), ""),
    ("comment_count", chosen("0|1|2|3|4|5|6"), ""),
    ("has_photo", chosen("true|false"), ""),
    ("language", chosen("English|Spanish|Somali|Hmong"), ""),
    ("geoid", chosen("270531261003|270530077002|270530035012|270531044011"), ""),
    ("barcode", dense(4_006_381_000_000), ""),
    ("bin_serial", sparse(9, "1"), ""),
    ("hora", lambda random, _: f"{random.randint(0, 23):02}:{random.randint(0, 59):02}", ""),
    ("violation", chosen("Tall grass and weeds|Peeling paint|Broken window|Rubbish in yard|Unlicensed vehicle"), ""),
    ("assigned_to", chosen("Crew 4|Crew 7|North yard|Contracted out"), ""),
    ("x_axis", number(-3, 3, 4), ""),
    ("col_70", lambda random, _: str(random.randint(1, 9_000)), ""),
    ("col_71", chosen("A|B|C"), ""),
    ("col_72", date(TIME, 2016, 2024), ""),
    ("col_73", sparse(9, "1"), ""),
    ("field_31", chosen(DEPARTMENTS), ""),
)
"""Name, generator, kind ("" for none)."""


def values(column: str, make: Callable[[Random, int], str]) -> list[str]:
    """The values of an invented column, with a few ways to say that there is none."""
    random = Random(column)
    return [random.choice(NULLS) if random.random() < 0.04 else make(random, n) for n in range(ROWS)]

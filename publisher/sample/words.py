"""Words of the invented city. Request codes and divisions are the city's public catalog; the rest is made up."""

from __future__ import annotations

CITY = ("PORT EMBER", "PT EMBER", "Port Ember")

_HEADS = (
    "ALDER", "AMBER", "BRAM", "CINDER", "CORAL", "DUN", "ELDER", "FALLOW", "FERN", "GLIMMER",
    "HAZEL", "IRON", "JUNIPER", "KESTREL", "LARK", "MARLOW", "NETTLE", "ORCHARD", "PEWTER",
    "QUARRY", "RAVEN", "SABLE", "TANSY", "UMBER", "VESPER", "WILLOW", "YARROW", "ZEPHYR",
)  # fmt: skip
_TAILS = ("BROOK", "CROFT", "DALE", "FIELD", "GATE", "HOLLOW", "MERE", "MOOR", "RIDGE", "WICK")
STREETS = tuple(f"{head}{tail}" for tail in _TAILS for head in _HEADS)
"""280 street names that no city has."""

CODES: tuple[tuple[str, str, str, str], ...] = (
    # problem code, description, division, season (letters of the quarters when it is common, or - for all year)
    ("Refuse not collected", "Refuse not collected", "REFUSE,", "-"),
    ("Cntnr overflow/bulky", "Cntnr overflow/bulky", "REFUSE,", "23"),
    ("Single Light Out", "Single street light out", "TRAFFIC DIVISION, 511", "14"),
    ("Potholes - Residnl", "Potholes - Residnl", "STREET DIVISION, 514", "12"),
    ("Weeds-Vacant Lot", "Weeds-Vacant Lot", "FORESTRY,", "23"),
    ("Illegl Use-Opn Storg", "Illegl Use-Opn Storg", "BUILDING DIV,", "-"),
    ("Snow/Ice - Residnl", "Snow/Ice - Residnl", "STREET DIVISION, 514", "1"),
    ("Inspect City Tree", "Inspect City Tree", "FORESTRY,", "234"),
    ("Vehicle Towing", "Vehicle Towing", "STREET DEPT, 510", "-"),
    ("Sign needs attention", "Sign needs attention", "TRAFFIC DIVISION, 511", "-"),
    ("Debris-alley/street", "Debris-alley/street", "REFUSE,", "-"),
    ("Whole Blk Lights Out", "Whole block lights out", "TRAFFIC DIVISION, 511", "-"),
    ("Vacnt Bldg Unsecured", "Vacnt Bldg Unsecured", "BUILDING DIV,", "-"),
    ("WTR-COMING-UP", "WTR-COMING-UP", "WATER DIV,", "14"),
    ("Stray Dog At Large", "Stray Dog At Large", "ANIMAL CARE,", "-"),
    ("Debris-Vacant Bldg", "Debris-Vacant Bldg", "FORESTRY,", "-"),
    ("Weeds-Occupied Ppty", "Weeds-Occupied Ppty", "FORESTRY,", "23"),
    ("Recycling not collec", "Recycling not collec", "REFUSE,", "-"),
    ("Containr damaged", "Containr damaged", "REFUSE,", "-"),
    ("Ppty Maint Code-Ext", "Ppty Maint Code-Ext", "BUILDING DIV,", "23"),
    ("PmtApp_Excavation", "Excavation Application", "STREET PERMITS,", "-"),
    ("Vehicle-Rt of Way", "Vehicle-Rt of Way", "TREAS PRKG SVC,", "-"),
    ("Signals Flashing", "Signals Flashing", "TRAFFIC DIVISION, 511", "-"),
    ("Dead Animal", "Dead Animal", "REFUSE,", "-"),
    ("Potholes - Major St", "Potholes - Major St", "STREET DIVISION, 514", "12"),
    ("Broken/Hanging Limb", "Broken/Hanging Limb", "FORESTRY,", "23"),
    ("BOILER/FURNACE/RADIA", "BOILER/FURNACE/RADIATOR", "FACILITIES MGMT,", "14"),
    ("Bulky items missed", "Bulky items missed", "REFUSE,", "-"),
    ("Sidewalk Repair", "Sidewalk Repair", "STREET DEPT, 510", "-"),
    ("Rats (Exterior)", "Rats (Exterior)", "VECTOR CNTRL,", "23"),
    ("Graffiti-Private", "Graffiti-Private", "OP BRIGHTSIDE,", "-"),
    ("Illegal dumpg report", "Illegal dumpg report", "TRASH TASK FRC,", "-"),
    ("Cave-Ins", "Street, alley, or sidewalk cave-in", "STREET DEPT, 510", "-"),
    ("Insufficient Heat", "Insufficient Heat", "COMM SANITATION,", "14"),
    ("Sunshine Request", "Sunshine Request", "Sunshine Law Coordinator,", "-"),
    ("NOWATER", "NOWATER (due to main break, etc.)", "WATER DIV,", "1"),
    ("Noise", "Noise", "COMM SANITATION,", "23"),
    ("Leaf pick up", "Leaf pick up", "STREET DIVISION, 514", "4"),
    ("Street Cleaning", "Street Cleaning", "STREET DIVISION, 514", "23"),
    ("LRA Board up", "LRA Board up", "LRA,", "-"),
    ("Food Estab. Problem", "Food Estab. Problem", "FOOD CNTRL,", "-"),
    ("Parking Meter", "Parking Meter", "TREASURER,", "-"),
    ("Lead Insp", "Lead Insp", "BLDG LEAD INSP,", "-"),
    ("Public Nuisance Rpt", "Public Nuisance Rpt", "NST,", "-"),
    ("A Code Nobody Knows", "A code that is in no catalog", "NA", "-"),
)

CLOSED = ("CLOSED", "CLOSED", "CLOSED", "CLOSED", "Closed", "Complete", "Letter", "CLOSED")
OPEN = ("Disptch", "NEW", "Pending", "FieldCrw", "SCHEDULED", "Inspect", "ON HOLD", "Extended", "NA")
CALLERS = (
    "PHONE",
    "PHONE",
    "PHONE",
    "PHONE",
    "WEB",
    "WEB",
    "OTHER",
    "NULL",
    "TWITTER",
    "EMAIL",
    "NA",
    "ADMIN BUILDING",
)

PERMITS = (
    "Electric", "Res. Remodel/Chg Occ", "HVAC/Mechanical", "Com. Reno/Rem/Chg Occ", "Sprinkler", "Sidewalk Replace",
    "Misc.(deck, fence,ramp)", "Demolition", "Road Cut", "Fire Alarm", "Electric (Meter Set)", "Sign", "Security Alarm",
    "Liability Waiver", "Sidewalk Cafe", "Site Work", "Loading Zone (Business)", "Block Party (Residential)",
    "Elevator", "Public Assembly", "Block Party (Business)", "Parking Meter Rental", "Antenna / Dish", "Pool / Hot Tub",
    "Tank", "Com. New Building", "Curb Cut", "Res. New 1-2 Family", "Encroach (Major)", "Footing / Foundation",
    "Encroachment (Converted)", "Encroach (Deminimus)",
)  # fmt: skip
"""Syracuse's public list of permit types."""

COSTLESS = (
    "Sidewalk Replace", "Road Cut", "Liability Waiver", "Sidewalk Cafe", "Loading Zone (Business)",
    "Block Party (Residential)", "Public Assembly", "Block Party (Business)", "Parking Meter Rental", "Curb Cut",
    "Encroach (Major)", "Encroachment (Converted)", "Encroach (Deminimus)",
)  # fmt: skip
"""Permits for the use of streets; no work, so no cost."""

SYRACUSE = (
    "Brighton", "Court-Woodlawn", "Downtown", "Eastwood", "Elmwood", "Far Westside", "Franklin Square", "Hawley-Green",
    "Lakefront", "Lincoln Hill", "Meadowbrook", "Near Eastside", "Near Westside", "North Valley", "Northside",
    "Outer Comstock", "Park Ave.", "Prospect Hill", "Salt Springs", "Sedgwick", "Skunk City", "South Campus",
    "South Valley", "Southside", "Southwest", "Strathmore", "Tipp Hill", "University Hill", "University Neighborhood",
    "Washington Square", "Westcott", "Winkworth",
)  # fmt: skip
"""Syracuse's neighborhoods: the shipped dataset knows these keys."""

SEATTLE = (
    "Alki", "Ballard", "Beacon Hill", "Broadview", "Capitol Hill", "Columbia City", "Crown Hill", "Delridge", "Fremont",
    "Georgetown", "Green Lake", "Greenwood", "High Point", "Lake City", "Laurelhurst", "Magnolia", "Maple Leaf",
    "Montlake", "Northgate", "Phinney Ridge", "Rainier Beach", "Ravenna", "Wallingford", "Wedgwood",
)  # fmt: skip
"""Some of Seattle's neighborhoods."""

TRADES = ("Electric Inc", "Mechanical", "Contracting LLC", "Builders", "Sprinkler Co", "Signs & Sons", "Plumbing")


def firm(number: int) -> str:
    """An invented business; some names have a line break, as the feed has."""
    name, trade = STREETS[number * 37 % len(STREETS)].title(), TRADES[number % len(TRADES)]
    return f"{name} {number}{chr(10) if number % 53 == 7 else ' '}{trade}"


def person(number: int) -> str:
    """An invented private person."""
    return f"{_TAILS[number % 10].title()}son {_HEADS[number // 10 % 28].title()} {number}"

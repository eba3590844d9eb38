"""What the columns of real and invented files hold, labeled by hand before there was a classifier.

Column names alone: no value of a real file is here. A label is a kind of personal content, or "" for none. What counts
is the content, not the law: the address of an office is an address, and whether it is public is for people to say.
"""
# ruff: noqa: E501 -- lists of names, as long as they are

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable

LABELS = {
    "alicante-water/swm_trialA.csv.gz": {
        "account": "user key",
        "": "datetime|meter reading|diff",
    },
    "alicante-water/swm_trialA_SanJoan.csv": {
        "account": "user key",
        "": "date|consumption",
    },
    "boston-311/boston_311_2015.csv.gz": {
        "text": "CLOSURE_REASON|CASE_TITLE",
        "link": "SubmittedPhoto|ClosedPhoto",
        "address": "Location|LOCATION_STREET_NAME",
        "parcel": "Property_ID",
        "coordinates": "LATITUDE|LONGITUDE|Geocoded_Location",
        "": "portal_row|CASE_ENQUIRY_ID|OPEN_DT|TARGET_DT|CLOSED_DT|OnTime_Status|CASE_STATUS|SUBJECT|REASON|TYPE|QUEUE|"
        "Department|fire_district|pwd_district|city_council_district|police_district|neighborhood|"
        "neighborhood_services_district|ward|precinct|land_usage|LOCATION_ZIPCODE|Property_Type|Source",
    },
    "cincinnati-violations/health_violations.csv": {
        "address": "FULL ADDRESS",
        "parcel": "PARCEL_NO",
        "coordinates": "X|Y",
        "": "C.TRACT.|C.BLOCK.|CASE#|V.I.D|VIOLATION TYPE|ISSUED|COMP_TYPE",
    },
    # The house number and the street are two parts of an address. CDMember has 15 elected officials, by district.
    "losangeles-311/myla311_2018_january.csv": {
        "address": "Address|HouseNumber|StreetName",
        "coordinates": "Latitude|Longitude|Location",
        "": "SRNumber|CreatedDate|UpdatedDate|ActionTaken|Owner|RequestType|Status|RequestSource|MobileOS|Anonymous|AssignTo|"
        "ServiceDate|ClosedDate|AddressVerified|ApproximateAddress|Direction|Suffix|ZipCode|TBMPage|TBMColumn|TBMRow|APC|CD|"
        "CDMember|NC|NCName|PolicePrecinct",
    },
    "losangeles-311/myla311_2018_december.csv": {
        "address": "Address|HouseNumber|StreetName",
        "coordinates": "Latitude|Longitude|Location",
        "": "SRNumber|CreatedDate|UpdatedDate|ActionTaken|Owner|RequestType|Status|RequestSource|MobileOS|Anonymous|AssignTo|"
        "ServiceDate|ClosedDate|AddressVerified|ApproximateAddress|Direction|Suffix|ZipCode|TBMPage|TBMColumn|TBMRow|APC|CD|"
        "CDMember|NC|NCName|PolicePrecinct|Zip Codes|Census Tracts|Precinct Boundaries|LA Specific Plans|Council Districts|"
        "Neighborhood Councils (Certified)",
    },
    # Some buildings have the name of a person, so the name of the property is one.
    "seattle-energy/2016_Building_Energy_Benchmarking.csv": {
        "name": "PropertyName",
        "address": "Address",
        "parcel": "TaxParcelIdentificationNumber",
        "coordinates": "Latitude|Longitude",
        "text": "Comments",
        "": "OSEBuildingID|DataYear|BuildingType|PrimaryPropertyType|City|State|ZipCode|CouncilDistrictCode|Neighborhood|"
        "YearBuilt|NumberofBuildings|NumberofFloors|PropertyGFATotal|PropertyGFAParking|PropertyGFABuilding(s)|"
        "ListOfAllPropertyUseTypes|LargestPropertyUseType|LargestPropertyUseTypeGFA|SecondLargestPropertyUseType|"
        "SecondLargestPropertyUseTypeGFA|ThirdLargestPropertyUseType|ThirdLargestPropertyUseTypeGFA|"
        "YearsENERGYSTARCertified|ENERGYSTARScore|SiteEUI(kBtu/sf)|SiteEUIWN(kBtu/sf)|SourceEUI(kBtu/sf)|"
        "SourceEUIWN(kBtu/sf)|SiteEnergyUse(kBtu)|SiteEnergyUseWN(kBtu)|SteamUse(kBtu)|Electricity(kWh)|"
        "Electricity(kBtu)|NaturalGas(therms)|NaturalGas(kBtu)|DefaultData|ComplianceStatus|Outlier|TotalGHGEmissions|"
        "GHGEmissionsIntensity",
    },
    "stlouis-311/january_2018.csv": {
        "address": "PROBADDRESS",
        "coordinates": "SRX|SRY",
        "": "REQUESTID|PROBLEMCODE|DESCRIPTION|PROBCITY|PROBZIP|PROBADDTYPE|SUBMITTO|DATETIMEINIT|DATETIMECLOSED|STATUS|"
        "PRJCOMPLETEDATE|DATECANCELLED|CALLERTYPE|DATEINVTDONE|NEIGHBORHOOD|WARD",
    },
    # A list of places, not of records: its names are those of cemeteries and highway ramps.
    "stlouis-boundaries/STL_GEOCODER_Placename.csv": {
        "address": "address|addrrecnum",
        "coordinates": "latitude|longitude",
        "": "id|geonameid|name|zip",
    },
    "syracuse-permits/Permits_processed.csv": {
        "name": "Applicant",
        "address": "Location|Location2",
        "coordinates": "lon|lat",
        "": "Type|Issued|Year|Valuation|Fee.Amount|Tract",
    },
    # The header of the first column is a value: the export lost its name. It is the number of the permit.
    "syracuse-permits/Permits_raw.csv": {
        "name": "Applicant",
        "address": "Location",
        "parcel": "SBL#",
        "": "Antenna / Dish|Type|Issued|Valuation|Fee Amount",
    },
}
"""By file below the data folder: the columns of each kind, split by bars."""


def real_labels() -> list[tuple[str, str, str]]:
    """Every (file, column, kind) of the real files."""
    return [
        (file, column, kind)
        for file, kinds in LABELS.items()
        for kind, columns in kinds.items()
        for column in columns.split("|")
    ]


def held_out(columns: Iterable[str]) -> set[str]:
    """The half of the columns that is for judging alone, never for tuning: every second by the checksum of its name."""
    return set(sorted(columns, key=lambda name: crc32(name.encode()))[1::2])

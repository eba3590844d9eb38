"""Licenses by the ids that Socrata uses, with their names and addresses."""

from __future__ import annotations

LICENSES = {
    "CC0_10": (
        "Creative Commons 1.0 Universal (Public Domain Dedication)",
        "https://creativecommons.org/publicdomain/zero/1.0/",
    ),
    "CC_40_BY": ("Creative Commons Attribution 4.0 International", "https://creativecommons.org/licenses/by/4.0/"),
    "CC_40_BY_SA": (
        "Creative Commons Attribution-ShareAlike 4.0 International",
        "https://creativecommons.org/licenses/by-sa/4.0/",
    ),
    "ODC_BY": ("Open Data Commons Attribution License", "https://opendatacommons.org/licenses/by/1-0/"),
    "ODC_PDDL": (
        "Open Data Commons Public Domain Dedication and License",
        "https://opendatacommons.org/licenses/pddl/1-0/",
    ),
    "ODBL": ("Open Database License", "https://opendatacommons.org/licenses/odbl/1-0/"),
    "PDDL": (
        "Open Data Commons Public Domain Dedication and License",
        "https://opendatacommons.org/licenses/pddl/1-0/",
    ),
    "PUBLIC_DOMAIN": ("Public Domain", ""),
    "USGOV_WORKS": ("United States Government Works", "https://www.usa.gov/government-works"),
}


def name_of(identifier: str) -> str:
    """The license's name; an unknown id is returned as it is."""
    return LICENSES.get(identifier, (identifier, ""))[0]


def address_of(identifier: str) -> str:
    """The address of the license's text, or an empty string."""
    fallback = identifier if identifier.startswith("https://") else ""
    return LICENSES.get(identifier, ("", fallback))[1]

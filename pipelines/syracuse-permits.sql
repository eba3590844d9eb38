-- One row per permit: its part of the city, its group, and its valuation in US dollars.
SELECT
    "syracuse-areas".area,
    "syracuse-permit-types".permit_group,
    TRY_CAST(raw.Valuation AS DOUBLE) AS valuation
FROM raw
LEFT JOIN "syracuse-areas" ON "syracuse-areas".neighborhood = raw._place_neighborhood
LEFT JOIN "syracuse-permit-types" ON "syracuse-permit-types".type = raw.Type

-- One row per permit: its part of the city and its kind.
SELECT
    "syracuse-areas".area,
    "syracuse-permit-types".permit_group
FROM raw
LEFT JOIN "syracuse-areas" ON "syracuse-areas".neighborhood = raw._place_neighborhood
LEFT JOIN "syracuse-permit-types" ON "syracuse-permit-types".type = raw.Type

-- One row per request: the part of the city where the problem is, and its category from the bureau's catalog of problem codes.
SELECT
    "stlouis-neighborhood-parts".part,
    "stlouis-problem-codes".category
FROM raw
LEFT JOIN "stlouis-neighborhood-parts" ON "stlouis-neighborhood-parts".neighborhood = raw._place_neighborhood
LEFT JOIN "stlouis-problem-codes" ON "stlouis-problem-codes".problemcode = raw.PROBLEMCODE

-- One row per request: its category, from the bureau's catalog of problem codes.
SELECT
    "stlouis-problem-codes".category
FROM raw
LEFT JOIN "stlouis-problem-codes" ON "stlouis-problem-codes".problemcode = raw.PROBLEMCODE

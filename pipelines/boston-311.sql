-- One row per request: its category, from the city's catalog of reasons.
SELECT
    "boston-reasons".category
FROM raw
LEFT JOIN "boston-reasons" ON "boston-reasons".reason = raw.REASON

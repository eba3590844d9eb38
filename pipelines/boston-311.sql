-- One row per request: its category, from the city's catalogue of reasons.
SELECT
    "boston-reasons".category
FROM raw
LEFT JOIN "boston-reasons" ON "boston-reasons".reason = raw.REASON

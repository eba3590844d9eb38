-- One row per building: its neighbourhood under one spelling, and its electricity in kilowatt-hours.
SELECT
    "seattle-neighbourhood-spellings".neighbourhood,
    TRY_CAST(raw."Electricity(kWh)" AS DOUBLE) AS electricity
FROM raw
LEFT JOIN "seattle-neighbourhood-spellings"
    ON "seattle-neighbourhood-spellings".spelling = upper(trim(raw.Neighborhood))

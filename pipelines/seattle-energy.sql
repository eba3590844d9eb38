-- One row per building: its neighborhood under one spelling, and its electricity in kilowatt-hours.
SELECT
    "seattle-neighborhood-spellings".neighborhood,
    TRY_CAST(raw."Electricity(kWh)" AS DOUBLE) AS electricity
FROM raw
LEFT JOIN "seattle-neighborhood-spellings"
    ON "seattle-neighborhood-spellings".spelling = upper(trim(raw.Neighborhood))

-- One row per reading. The feed has no places at all.
SELECT
    TRY_CAST(raw."meter reading" AS BIGINT) AS reading
FROM raw

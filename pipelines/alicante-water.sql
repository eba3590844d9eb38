-- One row per reading. The feed has no places at all: the zone is INVENTED from the first digit of the account's
-- pseudonym, so that a table by place can be shown. It says nothing about where anyone lives.
SELECT
    TRY_CAST(raw."meter reading" AS BIGINT) AS reading,
    CASE
        WHEN substr(raw."user key", 1, 1) IN ('0', '1', '2', '3') THEN 'Zone A'
        WHEN substr(raw."user key", 1, 1) IN ('4', '5', '6', '7') THEN 'Zone B'
        WHEN substr(raw."user key", 1, 1) IN ('8', '9', 'a', 'b') THEN 'Zone C'
        WHEN substr(raw."user key", 1, 1) IN ('c', 'd', 'e', 'f') THEN 'Zone D'
    END AS zone
FROM raw

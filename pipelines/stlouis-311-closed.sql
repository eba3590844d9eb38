-- One row per closed request: the part of the city where the problem is; the days of 24 hours from opening to closing; and 100 if
-- they were at most seven, otherwise 0, so that the mean is a percentage.
SELECT
    "stlouis-neighborhood-parts".part,
    date_diff(
        'second',
        try_strptime(raw.DATETIMEINIT, '%Y-%m-%dT%H:%M:%SZ'),
        try_strptime(raw.DATETIMECLOSED, '%Y-%m-%d %H:%M:%S.%f')
    ) / 86400.0 AS days_to_close,
    CASE
        WHEN date_diff(
            'second',
            try_strptime(raw.DATETIMEINIT, '%Y-%m-%dT%H:%M:%SZ'),
            try_strptime(raw.DATETIMECLOSED, '%Y-%m-%d %H:%M:%S.%f')
        ) <= 7 * 86400 THEN 100
        ELSE 0
    END AS within_week
FROM raw
LEFT JOIN "stlouis-neighborhood-parts" ON "stlouis-neighborhood-parts".neighborhood = raw._place_neighborhood

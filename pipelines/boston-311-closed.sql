-- One row per closed request: the area of the city where the problem is; the days of 24 hours from opening to closing; and 100 if
-- they were at most seven, otherwise 0, so that the mean is a percentage.
SELECT
    "boston-neighborhood-areas".area,
    date_diff(
        'second',
        try_strptime(raw.OPEN_DT, '%m/%d/%Y %I:%M:%S %p'),
        try_strptime(raw.CLOSED_DT, '%m/%d/%Y %I:%M:%S %p')
    ) / 86400.0 AS days_to_close,
    CASE
        WHEN date_diff(
            'second',
            try_strptime(raw.OPEN_DT, '%m/%d/%Y %I:%M:%S %p'),
            try_strptime(raw.CLOSED_DT, '%m/%d/%Y %I:%M:%S %p')
        ) <= 7 * 86400 THEN 100
        ELSE 0
    END AS within_week
FROM raw
LEFT JOIN "boston-neighborhood-areas" ON "boston-neighborhood-areas".neighborhood = raw._place_neighborhood

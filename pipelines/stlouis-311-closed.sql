-- One row per closed request: the calendar days from opening to closing; 0 is the same day.
SELECT
    date_diff(
        'day',
        try_strptime(raw.DATETIMEINIT, '%Y-%m-%dT%H:%M:%SZ'),
        try_strptime(raw.DATETIMECLOSED, '%Y-%m-%d %H:%M:%S.%f')
    ) AS days_to_close
FROM raw

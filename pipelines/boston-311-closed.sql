-- One row per closed request: the calendar days from opening to closing; 0 is the same day.
SELECT
    date_diff(
        'day',
        try_strptime(raw.OPEN_DT, '%m/%d/%Y %I:%M:%S %p'),
        try_strptime(raw.CLOSED_DT, '%m/%d/%Y %I:%M:%S %p')
    ) AS days_to_close
FROM raw

SELECT
    DAY_OF_WEEK(sale_date) AS weekday_number,
    weekday,
    COUNT(DISTINCT sale_date) AS days,
    COUNT(*) AS sales,
    SUM(total_amount) AS revenue,
    SUM(total_amount) / COUNT(DISTINCT sale_date) AS revenue_per_day
FROM {{ current }}
GROUP BY DAY_OF_WEEK(sale_date), weekday

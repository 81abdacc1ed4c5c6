SELECT
    CASE WHEN is_weekend THEN 'weekend' ELSE 'weekday' END AS day_type,
    COUNT(DISTINCT sale_date) AS days,
    COUNT(*) AS sales,
    SUM(total_amount) AS revenue,
    SUM(total_amount) / COUNT(DISTINCT sale_date) AS revenue_per_day,
    AVG(total_amount) AS average_sale
FROM {{ current }}
GROUP BY is_weekend

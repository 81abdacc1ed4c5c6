SELECT
    DATE_TRUNC('month', order_date) AS month,
    COUNT(*) AS orders,
    SUM(amount) AS revenue
FROM {{ current }}
GROUP BY DATE_TRUNC('month', order_date)

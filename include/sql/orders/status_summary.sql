SELECT
    status,
    COUNT(*) AS orders,
    SUM(amount) AS total_amount
FROM {{ current }}
GROUP BY status

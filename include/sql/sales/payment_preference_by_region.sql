SELECT
    region,
    ROW_NUMBER() OVER (PARTITION BY region ORDER BY COUNT(*) DESC, payment_method ASC) AS rank,
    payment_method,
    COUNT(*) AS sales,
    CAST(100 * COUNT(*) AS DECIMAL(38, 2)) / SUM(COUNT(*)) OVER (PARTITION BY region) AS sales_percent
FROM {{ current }}
GROUP BY region, payment_method

-- A quotient of decimals has the larger scale of the two, here 2, rounded half up.
SELECT
    revenue_class,
    COUNT(*) AS sales,
    SUM(total_amount) AS revenue,
    CAST(100 * COUNT(*) AS DECIMAL(38, 2)) / SUM(COUNT(*)) OVER () AS sales_percent,
    100 * SUM(total_amount) / NULLIF(SUM(SUM(total_amount)) OVER (), 0) AS revenue_percent
FROM {{ current }}
GROUP BY revenue_class

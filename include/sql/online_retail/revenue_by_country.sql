WITH lines AS (
    SELECT
        country,
        CASE WHEN NOT is_return THEN invoice_no END AS invoice,
        CASE WHEN NOT is_return THEN customer_id END AS customer,
        CASE WHEN is_return THEN 0 ELSE quantity * unit_price END AS sold,
        CASE WHEN is_return THEN -quantity * unit_price ELSE 0 END AS returned
    FROM {{ current }}
    WHERE line_type = 'product'
)

SELECT
    country,
    COUNT(DISTINCT invoice) AS invoices,
    COUNT(DISTINCT customer) AS customers,
    SUM(sold) AS gross,
    SUM(returned) AS returns,
    SUM(sold) - SUM(returned) AS net
FROM lines
GROUP BY country

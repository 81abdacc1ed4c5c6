WITH lines AS (
    SELECT
        line_type,
        CASE WHEN NOT is_return THEN invoice_no END AS invoice,
        CASE WHEN is_return THEN invoice_no END AS return_invoice,
        CASE WHEN is_return THEN 0 ELSE quantity * unit_price END AS sold,
        CASE WHEN is_return THEN -quantity * unit_price ELSE 0 END AS returned
    FROM {{ current }}
)

SELECT
    line_type,
    COUNT(DISTINCT invoice) AS invoices,
    COUNT(DISTINCT return_invoice) AS return_invoices,
    SUM(sold) AS gross,
    SUM(returned) AS returns,
    SUM(sold) - SUM(returned) AS net
FROM lines
GROUP BY line_type

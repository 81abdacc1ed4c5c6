WITH baskets AS (
    SELECT
        COUNT(DISTINCT invoice_no) AS invoices,
        COUNT(*) AS lines,
        COALESCE(SUM(quantity), 0) AS quantity,
        COALESCE(SUM(quantity * unit_price), 0) AS revenue
    FROM {{ current }}
    WHERE line_type = 'product' AND NOT is_return
)

-- A quotient of decimals has the larger scale of the two, rounded half up: of revenue, whose scale is 4, it needs more
-- decimals than the column has by so many that rounding it once more cannot show.
SELECT
    invoices,
    lines,
    quantity,
    revenue,
    CAST(lines AS DECIMAL(38, 2)) / NULLIF(invoices, 0) AS average_lines,
    CAST(quantity AS DECIMAL(38, 2)) / NULLIF(invoices, 0) AS average_quantity,
    CAST(revenue AS DECIMAL(38, 14)) / NULLIF(invoices, 0) AS average_value
FROM baskets

WITH active AS (
    SELECT DISTINCT
        customer_id,
        DATE_TRUNC('month', invoice_date) AS month
    FROM {{ current }}
    WHERE line_type = 'product' AND NOT is_return AND customer_id IS NOT NULL
),

known AS (
    SELECT
        month,
        month > MIN(month) OVER (PARTITION BY customer_id) AS is_returning
    FROM active
)

SELECT
    month,
    COUNT(*) AS customers,
    COUNT_IF(NOT is_returning) AS new_customers,
    COUNT_IF(is_returning) AS returning_customers,
    CAST(100 * COUNT_IF(is_returning) AS DECIMAL(38, 2)) / COUNT(*) AS returning_percent
FROM known
GROUP BY month

WITH ranked AS (
    SELECT
        DATE_TRUNC('month', order_date) AS month,
        ROW_NUMBER() OVER (
            PARTITION BY DATE_TRUNC('month', order_date)
            ORDER BY amount DESC, order_id ASC
        ) AS rank,
        order_id,
        customer,
        amount,
        status,
        order_date
    FROM {{ current }}
)

SELECT
    month,
    rank,
    order_id,
    customer,
    amount,
    status,
    order_date
FROM ranked
WHERE rank <= 10

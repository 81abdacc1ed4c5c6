WITH sales AS (
    SELECT
        customer_id,
        tier,
        country,
        total_amount,
        ROW_NUMBER() OVER (
            PARTITION BY customer_id
            ORDER BY sale_date DESC, ds DESC, transaction_id DESC
        ) AS recency
    FROM {{ current }}
),

ranked AS (
    SELECT
        ROW_NUMBER() OVER (ORDER BY SUM(total_amount) DESC, customer_id ASC) AS rank,
        customer_id,
        MAX(CASE WHEN recency = 1 THEN tier END) AS tier,
        MAX(CASE WHEN recency = 1 THEN country END) AS country,
        COUNT(*) AS sales,
        SUM(total_amount) AS revenue
    FROM sales
    GROUP BY customer_id
)

SELECT
    rank,
    customer_id,
    tier,
    country,
    sales,
    revenue
FROM ranked
WHERE rank <= 10

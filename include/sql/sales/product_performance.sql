WITH sales AS (
    SELECT
        product_id,
        customer_id,
        category,
        quantity,
        unit_price,
        total_amount,
        ROW_NUMBER() OVER (
            PARTITION BY product_id
            ORDER BY sale_date DESC, ds DESC, transaction_id DESC
        ) AS recency
    FROM {{ current }}
)

SELECT
    product_id,
    MAX(CASE WHEN recency = 1 THEN category END) AS category,
    COUNT(*) AS sales,
    COUNT(DISTINCT customer_id) AS customers,
    SUM(quantity) AS quantity,
    SUM(total_amount) AS revenue,
    AVG(unit_price) AS average_unit_price
FROM sales
GROUP BY product_id

WITH ranked AS (
    SELECT
        ROW_NUMBER() OVER (ORDER BY SUM(quantity * unit_price) DESC, stock_code ASC) AS rank,
        stock_code,
        MAX(description) AS description,
        SUM(quantity) AS quantity,
        SUM(quantity * unit_price) AS revenue
    FROM {{ current }}
    WHERE line_type = 'product'
    GROUP BY stock_code
)

SELECT
    rank,
    stock_code,
    description,
    quantity,
    revenue
FROM ranked
WHERE rank <= 10

WITH ranked AS (
    SELECT
        ROW_NUMBER() OVER (ORDER BY SUM(quantity * unit_price) DESC, UPPER(stock_code) ASC) AS rank,
        UPPER(stock_code) AS stock_code,
        MAX(description) AS description,
        SUM(quantity) AS quantity,
        SUM(quantity * unit_price) AS revenue
    FROM {{ current }}
    WHERE line_type = 'product'
    GROUP BY UPPER(stock_code)
)

SELECT
    rank,
    stock_code,
    description,
    quantity,
    revenue
FROM ranked
WHERE rank <= 10

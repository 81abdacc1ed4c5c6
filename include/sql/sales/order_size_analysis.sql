SELECT
    order_size,
    COUNT(*) AS sales,
    SUM(quantity) AS quantity,
    SUM(total_amount) AS revenue,
    AVG(total_amount) AS average_sale
FROM {{ current }}
GROUP BY order_size

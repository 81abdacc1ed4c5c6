SELECT
    customer,
    AVG(amount) AS average_order_value
FROM {{ current }}
GROUP BY customer

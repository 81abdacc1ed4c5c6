SELECT
    customer,
    SUM(amount) AS total_amount
FROM {{ current }}
GROUP BY customer

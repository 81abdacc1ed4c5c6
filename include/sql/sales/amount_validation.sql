SELECT
    amount_matches,
    COUNT(*) AS sales,
    SUM(total_amount) AS total_amount,
    SUM(quantity * unit_price) AS expected_amount,
    SUM(total_amount) - SUM(quantity * unit_price) AS difference
FROM {{ current }}
GROUP BY amount_matches

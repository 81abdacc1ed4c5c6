WITH classified AS (
    SELECT
        CASE
            WHEN discount_percent IS NULL THEN 'unknown'
            WHEN discount_percent < 0 THEN 'surcharge'
            WHEN discount_percent = 0 THEN 'none'
            WHEN discount_percent <= 10 THEN 'up_to_10'
            WHEN discount_percent <= 25 THEN 'up_to_25'
            ELSE 'above_25'
        END AS discount_class,
        quantity,
        quantity * unit_price AS paid,
        -- A list price of zero is no price to compare with: its discount_percent is null too.
        CASE WHEN discount_percent IS NOT NULL THEN quantity * list_price END AS at_list_price,
        discount_percent
    FROM {{ current }}
)

SELECT
    discount_class,
    COUNT(*) AS sales,
    SUM(quantity) AS quantity,
    SUM(paid) AS paid,
    SUM(at_list_price) AS at_list_price,
    SUM(at_list_price) - SUM(paid) AS discount,
    AVG(discount_percent) AS average_discount_percent
FROM classified
GROUP BY discount_class

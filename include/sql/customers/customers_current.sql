SELECT
    customer_id,
    name,
    email,
    country,
    signup_date,
    customer_tier,
    source_file,
    source_line,
    run_id,
    ds
FROM {{ current }}

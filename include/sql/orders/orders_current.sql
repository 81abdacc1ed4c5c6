SELECT
    order_id,
    customer,
    amount,
    status,
    order_date,
    source_file,
    source_line,
    run_id,
    ds
FROM {{ current }}

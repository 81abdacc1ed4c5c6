SELECT
    product_id,
    name,
    category,
    price,
    in_stock,
    manufacturer,
    extra,
    source_file,
    source_line,
    run_id,
    ds
FROM {{ current }}

"""What runs on the worker: jobs that take URIs and leave their result as a JSON manifest.

    lake-worker <bundle> python stage_raw --dataset orders --ds 2025-06-30 --run RUN \\
        --raw s3://RAW/orders/ds=2025-06-30/ --staged 'file://${LAKE_DATA_DIR}/orders/ds=2025-06-30/run=RUN/raw' \\
        --manifest s3://ARTIFACTS/manifests/orders/ds=2025-06-30/run=RUN/stage_raw.json

    lake-worker <bundle> spark-submit clean --dataset orders --ds 2025-06-30 --run RUN --submission RUN-1a2b3c4d \\
        --input 'file://${LAKE_DATA_DIR}/orders/ds=2025-06-30/run=RUN/raw' \\
        --output s3://PROCESSED/_staging/orders/ds=2025-06-30/run=RUN-1a2b3c4d/ \\
        --quarantine s3://PROCESSED/orders_quarantine/ds=2025-06-30/run=RUN-1a2b3c4d/ \\
        --manifest s3://ARTIFACTS/manifests/orders/ds=2025-06-30/run=RUN/clean.json

    lake-worker <bundle> spark-submit validate --dataset orders --ds 2025-06-30 --run RUN \\
        --clean-manifest s3://ARTIFACTS/manifests/orders/ds=2025-06-30/run=RUN/clean.json \\
        --docs s3://ARTIFACTS/data-docs/orders/ds=2025-06-30/run=RUN-1a2b3c4d/ \\
        --manifest s3://ARTIFACTS/manifests/orders/ds=2025-06-30/run=RUN/validate.json

`clean` also takes `--references s3://.../references.json` where the contract reads other datasets, and `--personal-key
ARN` where it has personal columns; `validate` takes `--history s3://.../history.json`. Every other argument is
required.

Exit codes: 0 done, 65 (EX_DATAERR) the data is at fault and a retry cannot help, 71 (EX_OSERR) memory ran out, 75
(EX_TEMPFAIL) something is not there yet, such as a date of a dataset that this one reads or room on the volume;
anything else is worth a retry too. A job that fails leaves as its last line on stderr
`ERROR <job> <dataset> <ds>: <what>`. The manifest is written last: where there is one, the step is complete (`validate`
also leaves one, with `"success": false`, when it exits with 65 because the suite failed). Its fields are described in
each job's module.
"""

#!/bin/sh
# Give Airflow the stack's outputs and the role it works with, then run the command.
set -eu

# The local stack's outputs, which the service `deploy` writes. Those of a real account come in as variables.
if [ -n "${LAKE_OUTPUTS_FILE:-}" ]; then
    set -a
    # shellcheck source=/dev/null
    . "$LAKE_OUTPUTS_FILE"
    set +a
fi
: "${LAKE_AIRFLOW_ROLE_ARN:?not set: run \`make deploy\` and start with LAKE_ENV_FILE=.local/aws.env}"
AIRFLOW_CONN_AWS_DEFAULT=$(printf \
    '{"conn_type": "aws", "extra": {"role_arn": "%s", "region_name": "%s"}}' "$LAKE_AIRFLOW_ROLE_ARN" "$AWS_REGION")
export AIRFLOW_CONN_AWS_DEFAULT

exec "$@"

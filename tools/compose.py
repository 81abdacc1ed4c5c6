"""`python -m tools.compose`: what docker-compose.yaml needs from this checkout. Standard library only."""

from __future__ import annotations

import secrets

from tools.environment import LOCAL, checkout_secrets, write_private


def main() -> None:
    """Write `.local/compose.env`: the secrets that docker-compose.yaml needs, once, as its database keeps them."""
    path = LOCAL / "compose.env"
    if path.exists():
        return
    keys = checkout_secrets()
    password = secrets.token_urlsafe(24)
    write_private(
        path,
        f"""POSTGRES_PASSWORD={password}
AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql+psycopg2://airflow:{password}@postgres/airflow
AIRFLOW__CORE__FERNET_KEY={keys["fernet_key"]}
AIRFLOW__API__SECRET_KEY={keys["api_secret_key"]}
AIRFLOW__API_AUTH__JWT_SECRET={keys["jwt_secret"]}
""",
    )


if __name__ == "__main__":
    main()

"""The names that the pool takes."""


class HealthCheckResponse:
    """As the message: its two states."""

    SERVING, NOT_SERVING = 1, 2

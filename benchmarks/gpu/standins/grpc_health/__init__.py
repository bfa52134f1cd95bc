"""Stands in for grpcio-health-checking on a machine without it: a health service that nobody asks."""

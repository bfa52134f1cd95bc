"""Stands in for grpcio-reflection on a machine without it: nothing is told about services."""

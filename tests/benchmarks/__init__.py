"""Benchmarks, on demand: python -m tests.benchmarks [NAME ...]. Each is one function with a name and, some, sizes."""

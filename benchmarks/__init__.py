"""Speed, measured against a whole Saldo on throwaway data: `.venv/bin/python -m benchmarks.<name>`.

Figures are of the machine they ran on; what is promised are the limits that each benchmark checks, with its exit code.
"""

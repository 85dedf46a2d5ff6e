"""What the engines are measured beside, and how fast they are: `python -m benchmarks [NAME ...]`.

Each benchmark is a module of its own with two functions: `measure(say)` returns its figures as plain numbers, and
`tables(figures)` draws them. It alone imports the libraries it is measured beside (requirements-bench.txt).
"""

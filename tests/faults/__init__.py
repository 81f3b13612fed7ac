"""The campaign of faults: mutated input files and accidents, each reproducible from its number.

``python -m tests.faults --help`` runs it; ``docs/reliability.md`` says what it found and what is promised.
"""

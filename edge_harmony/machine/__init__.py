"""The machine and its abilities: doctor, counters of energy and heat, the self-test."""

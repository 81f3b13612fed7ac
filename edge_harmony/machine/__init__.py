"""What this machine is and can do: doctor, counters of energy and heat, the self-test."""

"""``python -m edge_harmony`` and ``torchrun -m edge_harmony``."""

from edge_harmony.cli.main import run

if __name__ == "__main__":
    run()

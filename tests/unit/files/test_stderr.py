"""Libraries in C are kept from stderr; Python and children are not."""

import subprocess
import sys

CODE = """
import os, subprocess, sys
from edge_harmony.files.stderr import for_children, silent_libraries

def library(word):
    os.write(2, f"library {word}\\n".encode())

library("before")
with silent_libraries():
    library("inside")
    print("ours", file=sys.stderr)
    with silent_libraries():
        library("twice")
    library("after twice")
    with for_children():
        subprocess.run([sys.executable, "-c", "import os; os.write(2, b'child\\\\n')"], check=True)
    library("after the child")
try:
    with silent_libraries():
        raise ValueError("an error")
except ValueError as error:
    print(error, file=sys.stderr)
library("behind")
with for_children():
    library("alone")
"""


def test_libraries_are_silent_and_nobody_else_is():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "library before",
        "ours",
        "child",
        "an error",
        "library behind",
        "library alone",
    ]

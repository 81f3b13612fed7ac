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


THREADS = """
import os, sys, threading
from edge_harmony.files.stderr import silent_libraries

inside, may_leave = threading.Event(), threading.Event()

def first():
    with silent_libraries():
        inside.set()
        may_leave.wait()
    left.set()

left = threading.Event()
thread = threading.Thread(target=first)
thread.start()
inside.wait()
with silent_libraries():
    may_leave.set()
    left.wait()
    os.write(2, b"library within\\n")
    print("ours", file=sys.stderr)
os.write(2, b"library behind\\n")
print("ours behind", file=sys.stderr)
thread.join()
"""


def test_the_last_thread_gives_stderr_back():
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["ours", "library behind", "ours behind"]


OVERHEARD = """
import os, sys
from edge_harmony.files.stderr import overheard, silent_libraries

with overheard() as said:
    os.write(2, b"library alone\\n")
assert said == []
with silent_libraries():
    with overheard() as said:
        os.write(2, b"library within\\nagain\\n")
        print("ours", file=sys.stderr)
    os.write(2, b"library later\\n")
assert said == ["library within", "again"], said
"""


def test_what_libraries_say_can_be_overheard():
    done = subprocess.run([sys.executable, "-c", OVERHEARD], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["library alone", "ours"]

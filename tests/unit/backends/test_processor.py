"""The CPU's name and instruction sets."""

import pytest

from edge_harmony.backends.processor import Processor, read_processor

INTEL = (
    "processor\t: 0\nmodel name\t: Intel(R) N100\nflags\t\t: fpu avx2 avx_vnni\n\nprocessor\t: 1\nflags\t: amx_int8\n"
)
ARM = "processor\t: 0\nBogoMIPS\t: 62.50\nFeatures\t: fp asimd asimddp\nCPU part\t: 0xd42\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (INTEL, Processor("Intel(R) N100", frozenset({"fpu", "avx2", "avx_vnni"}))),
        (ARM, Processor("", frozenset({"fp", "asimd", "asimddp"}))),
        ("", Processor()),
        (None, Processor()),
    ],
)
def test_the_first_cpu_is_read(tmp_path, text, expected):
    if text is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc" / "cpuinfo").write_text(text)
    assert read_processor(tmp_path) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [({"avx2"}, False), ({"avx2", "avx_vnni"}, True), ({"avx512f", "avx512_vnni"}, True), ({"avx512f"}, False)],
)
def test_vnni_has_two_forms(flags, expected):
    assert Processor("", frozenset(flags)).has_vnni is expected

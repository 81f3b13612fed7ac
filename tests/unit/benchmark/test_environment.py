"""The machine as described in a result."""

from __future__ import annotations

import numpy

from edge_harmony.benchmark.environment import container, environment, governor


def test_this_machine():
    found = environment()
    assert found.versions["numpy"] == numpy.__version__
    assert "opencv" in found.versions
    assert found.cpus >= 1
    assert found.cpu
    assert (found.clock.value is None) == bool(found.clock.reason)


def test_containers_and_governors(tmp_path):
    assert container(tmp_path) is None
    assert governor(tmp_path) is None
    (tmp_path / "proc" / "1").mkdir(parents=True)
    (tmp_path / "proc" / "1" / "cgroup").write_text("0::/kubepods/burstable/pod1\n")
    assert container(tmp_path) == "kubepods"
    (tmp_path / ".dockerenv").touch()
    assert container(tmp_path) == "docker"
    path = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    path.parent.mkdir(parents=True)
    path.write_text("powersave\n")
    assert governor(tmp_path) == "powersave"

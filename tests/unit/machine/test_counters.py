"""Readers on recorded samples of counters; what is missing is None with its reason."""

from __future__ import annotations

import stat
import sys
import threading
import time

import psutil
import pytest

from edge_harmony.machine.counters import Reading, cpu_megahertz, hottest, peak_memory, throttles
from edge_harmony.machine.energy import Rapl, Sampled, TegrastatsPower, find_energy, find_rapl
from edge_harmony.machine.meter import Meter
from edge_harmony.machine.nvml import Nvml, find_nvml
from edge_harmony.machine.rails import jetson_watts, parse_tegrastats

# as of an Orin Nano under JetPack 6.2; the page above gives the format
ORIN_NANO = (
    "01-05-2026 11:04:49 RAM 2448/7620MB (lfb 3x4MB) SWAP 0/3810MB (cached 0MB) "
    "CPU [4%@729,2%@729,0%@729,1%@729,0%@729,0%@729] "
    "GR3D_FREQ 37% cpu@47.5C soc2@46.3C soc0@46.8C gpu@47.9C tj@47.9C soc1@46.6C cv0@-256C "
    "VDD_IN 4939mW/4901mW VDD_CPU_GPU_CV 521mW/510mW VDD_SOC 1442mW/1440mW"
)


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_rapl_adds_packages_and_wraps_around(tmp_path):
    zones = [f"sys/class/powercap/intel-rapl:{k}" for k in range(2)]
    files = {f"{zone}/max_energy_range_uj": "262143328850\n" for zone in zones}
    tree(tmp_path, files | {f"{zone}/energy_uj": "262143000000\n" for zone in zones})
    tree(tmp_path, {"sys/class/powercap/intel-rapl:0:0/energy_uj": "7\n"})  # the cores, part of the package
    counter = find_rapl(tmp_path)
    assert isinstance(counter, Rapl)
    before = counter.joules()
    tree(tmp_path, {f"{zones[0]}/energy_uj": "1000000\n", f"{zones[1]}/energy_uj": "262143328850\n"})
    assert counter.joules() - before == pytest.approx(1.32885 + 0.32885, abs=1e-4)


def test_rapl_that_is_not_there_or_not_ours(tmp_path):
    missing = find_rapl(tmp_path)
    assert isinstance(missing, Reading)
    assert (missing.value, missing.unit) == (None, "J")
    assert "no /sys/class/powercap" in missing.reason
    tree(tmp_path, {"sys/class/powercap/intel-rapl:0/max_energy_range_uj": "x"})
    damaged = find_rapl(tmp_path)
    assert isinstance(damaged, Reading)
    assert "cannot be read" in damaged.reason


def monitors(root, chips):
    """Power monitors as the kernel shows them: a driver, an address, and its rails in mV and mA, or in microwatts."""
    for driver, address, rails in chips:
        base = f"sys/bus/i2c/drivers/{driver}/1-{address}/hwmon/hwmon{address}"
        if driver == "ina238":
            tree(root, {f"{base}/power1_input": f"{rails}\n", f"{base}/in1_input": "19000\n"})
            continue
        tree(root, {f"{base}/in7_label": "sum of shunt voltages\n"})
        for k, (name, volts, amperes) in enumerate(rails, 1):
            parts = {f"in{k}_label": name, f"in{k}_input": volts, f"curr{k}_input": amperes}
            tree(root, {f"{base}/{part}": f"{value}\n" for part, value in parts.items()})
    return root


THOR = (("VDD_GPU", 19000, 100), ("VDD_CPU_SOC_MSS", 19000, 300), ("VIN_SYS_5V0", 5000, 1300))


@pytest.mark.parametrize(
    ("chips", "watts", "source"),
    [
        (
            [("ina3221", "0040", (("VDD_IN", 5056, 976), ("VDD_CPU_GPU_CV", 5056, 104), ("VDD_SOC", 5048, 280)))],
            4.934656,
            "INA3221 VDD_IN",
        ),
        (
            [
                (
                    "ina3221",
                    "0040",
                    (("VDD_GPU_SOC", 19000, 125), ("VDD_CPU_CV", 19000, 42), ("VIN_SYS_5V0", 5000, 540)),
                ),
                ("ina3221", "0041", (("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 5000, 80), ("NC", 0, 0))),
            ],
            2.375 + 0.798 + 2.7,
            "INA3221 VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0",
        ),
        ([("ina3221", "0040", THOR), ("ina238", "0044", 21500000)], 21.5, "INA3221 and INA238 VIN"),
        ([("ina3221", "0040", THOR)], 1.9 + 5.7 + 6.5, "INA3221 VDD_GPU + VDD_CPU_SOC_MSS + VIN_SYS_5V0"),
    ],
)
def test_the_power_of_every_board(chips, watts, source, tmp_path):
    found = jetson_watts(monitors(tmp_path, chips))
    assert found.value == pytest.approx(watts)
    assert found.source == source


def test_a_rail_that_cannot_be_read_or_is_not_known_gives_a_reason_and_no_value(tmp_path):
    monitors(tmp_path / "new", [("ina3221", "0040", (("VDD_NEW", 5000, 100), ("NC", 0, 0)))])
    found = jetson_watts(tmp_path / "new")
    assert (found.value, found.reason) == (None, "no rail is known that carries the total (there are VDD_NEW)")
    monitors(tmp_path / "thor", [("ina3221", "0040", THOR)])
    next((tmp_path / "thor").rglob("curr2_input")).unlink()
    found = jetson_watts(tmp_path / "thor")
    assert found.value is None
    assert "cannot be read" in found.reason
    assert "no INA3221 or INA238" in jetson_watts(tmp_path / "elsewhere").reason


AGX_ORIN = (
    "GR3D_FREQ 0% gpu@41C VDD_GPU_SOC 2391mW/2391mW VDD_CPU_CV 797mW/797mW VIN_SYS_5V0 2729mW/2729mW NC 0mW/0mW "
    "VDDQ_VDD2_1V8AO 403mW/403mW NC 0mW/0mW"
)
IDLE_THOR = "VDD_GPU -392mW/-392mW VDD_CPU_SOC_MSS 3924mW/3924mW VIN_SYS_5V0 6500mW/6500mW VIN 21500mW/21500mW"


def test_a_line_of_tegrastats():
    found = parse_tegrastats(ORIN_NANO)
    assert found.watts == {"VDD_IN": 4.939, "VDD_CPU_GPU_CV": 0.521, "VDD_SOC": 1.442}
    assert found.celsius["tj"] == 47.9
    assert "cv0" not in found.celsius
    assert (found.used_bytes, found.gpu_share) == (2448 * 2**20, 0.37)
    assert parse_tegrastats(IDLE_THOR).watts["VDD_GPU"] == -0.392
    empty = parse_tegrastats("")
    assert (empty.watts, empty.celsius, empty.used_bytes, empty.gpu_share) == ({}, {}, None, None)


def test_temperatures_clocks_and_throttling(tmp_path):
    assert "no thermal zone" in hottest(tmp_path).reason
    assert "no clocks" in cpu_megahertz(tmp_path).reason
    assert "no thermal_throttle" in throttles(tmp_path).reason
    zones = {0: ("x86_pkg_temp", "61000"), 1: ("acpitz", "27800"), 2: ("iwlwifi_1", "-273000")}
    for k, (kind, value) in zones.items():
        tree(tmp_path, {f"sys/class/thermal/thermal_zone{k}/{n}": v for n, v in (("type", kind), ("temp", value))})
    (tmp_path / "sys/class/thermal/thermal_zone3").mkdir()
    assert hottest(tmp_path) == Reading(61.0, "degC", "thermal zone x86_pkg_temp")
    tree(tmp_path, {"proc/cpuinfo": "processor\t: 0\ncpu MHz\t\t: 2400.0\n\nprocessor\t: 1\ncpu MHz\t\t: 2500.0\n"})
    assert cpu_megahertz(tmp_path) == Reading(2450.0, "MHz", "/proc/cpuinfo")
    cpu = "sys/devices/system/cpu"
    tree(tmp_path, {f"{cpu}/cpu{k}/cpufreq/scaling_cur_freq": f"{3000000 + k * 100000}\n" for k in range(2)})
    assert cpu_megahertz(tmp_path) == Reading(3050.0, "MHz", "cpufreq")
    tree(tmp_path, {f"{cpu}/cpu{k}/thermal_throttle/core_throttle_count": "3\n" for k in range(2)})
    assert throttles(tmp_path).value == 6


def test_peak_memory(tmp_path):
    tree(tmp_path, {"proc/self/status": "VmPeak:\t  9 kB\nVmHWM:\t   2048 kB\n"})
    assert peak_memory(tmp_path) == Reading(2048 * 1024.0, "bytes", "VmHWM")
    assert peak_memory(tmp_path / "none").value is None


class FakeNvml:
    """pynvml, as far as it is used."""

    NVML_TEMPERATURE_GPU = 0
    NVML_CLOCK_SM = 1
    nvmlClocksThrottleReasonSwPowerCap = 0x4
    nvmlClocksThrottleReasonSwThermalSlowdown = 0x20
    nvmlClocksThrottleReasonHwThermalSlowdown = 0x40
    nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 0x80

    class NVMLError(Exception):
        pass

    class Memory:
        used = 5 * 2**30

    def __init__(self, reasons=0, fails=()):
        self.reasons, self.fails, self.is_open = reasons, fails, False

    def nvmlInit(self):
        self.is_open = True

    def nvmlShutdown(self):
        self.is_open = False

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def answer(self, name, value):
        if name in self.fails:
            raise self.NVMLError("Not Supported")
        return value

    def nvmlDeviceGetTotalEnergyConsumption(self, device):
        return self.answer("energy", 1234567)

    def nvmlDeviceGetTemperature(self, device, kind):
        return self.answer("temperature", 55)

    def nvmlDeviceGetMemoryInfo(self, device):
        return self.Memory()

    def nvmlDeviceGetClockInfo(self, device, kind):
        return 1980

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, device):
        return self.answer("reasons", self.reasons)


def test_nvml():
    library = FakeNvml(reasons=0x20)
    gpu = Nvml(library)
    assert gpu.energy() == Reading(1234.567, "J", "NVML")
    assert (gpu.temperature().value, gpu.clock().value, gpu.memory().value) == (55, 1980, 5 * 2**30)
    assert gpu.is_throttled() is True
    assert Nvml(FakeNvml(reasons=0x1)).is_throttled() is False  # idle
    gpu.close()
    assert not library.is_open
    old = Nvml(FakeNvml(fails=("energy", "reasons")))
    assert old.energy() == Reading(None, "J", "NVML", "Not Supported")
    assert old.is_throttled() is None


def test_a_machine_without_nvml():
    sys.modules.setdefault("pynvml", None)
    found = find_nvml()
    assert isinstance(found, Reading)
    assert found.value is None
    assert found.reason


def test_power_is_added_up_over_time():
    def read_often(power):
        readings, enough = [], threading.Event()

        def read():
            readings.append(time.monotonic())
            if len(readings) > 4:
                enough.set()
            return power

        before = time.monotonic()
        counter = Sampled(read, "a sensor")
        assert enough.wait(600)
        counter.close()
        return counter.joules(), readings[-2] - readings[0], time.monotonic() - before

    joules, least, most = read_often(5.0)
    assert 5 * least <= joules <= 5 * most
    assert read_often(None)[0] == 0


@pytest.mark.parametrize(("line", "watts"), [(ORIN_NANO, 4.939), (AGX_ORIN, 5.917), (IDLE_THOR, 21.5)])
def test_tegrastats_as_a_program(line, watts, tmp_path, monkeypatch):
    write_tegrastats(tmp_path, f"while true; do echo '{line}'; sleep 0.05; done")
    power = TegrastatsPower(str(tmp_path / "tegrastats"))
    assert power.first().value == pytest.approx(watts)
    assert power.watts() == pytest.approx(watts)
    power.close()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    counter = find_energy("cpu", tmp_path)
    assert isinstance(counter, Sampled)
    assert counter.source.startswith("tegrastats V")
    counter.close()

    def running():
        return sum("tegrastats" in " ".join(child.cmdline()) for child in psutil.Process().children())

    assert running() == 0
    meter = Meter("cpu", tmp_path)
    assert running() == 1
    meter.close()
    assert running() == 0


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("while true; do echo 'VDD_NEW 5mW/5mW'; sleep 0.05; done", "no rail is known"),
        ("exit 1", "it wrote no line"),
    ],
)
def test_tegrastats_without_a_known_rail_is_no_counter(script, reason, tmp_path, monkeypatch):
    write_tegrastats(tmp_path, script)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for device in ("cpu", "cuda:0"):
        found = find_energy(device, tmp_path)
        assert isinstance(found, Reading)
        assert (found.value, found.unit) == (None, "J")
        assert reason in found.reason


def write_tegrastats(folder, script):
    program = folder / "tegrastats"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_a_meter_of_a_cpu(tmp_path):
    zone = "sys/class/powercap/intel-rapl:0"
    core = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    thermal = {"sys/class/thermal/thermal_zone0/type": "x86_pkg_temp", "sys/class/thermal/thermal_zone0/temp": "50000"}
    tree(tmp_path, {f"{zone}/max_energy_range_uj": "1000000000", f"{zone}/energy_uj": "5000000", core: "2"} | thermal)
    meter = Meter("cpu", tmp_path)
    assert meter.energy().value is None  # nothing was asked yet
    for joules, celsius in ((7, 70), (9, 60)):
        meter.start()
        tree(
            tmp_path, {f"{zone}/energy_uj": f"{joules}000000", "sys/class/thermal/thermal_zone0/temp": f"{celsius}000"}
        )
        meter.stop(10)
    tree(tmp_path, {core: "5"})
    assert meter.energy() == Reading(0.2, "J", "RAPL, CPU packages")
    assert meter.temperature().value == 70
    assert meter.throttled().value == 3
    assert meter.device_memory() == Reading(None, "bytes", "NVML", "the contender runs on the CPU")


def test_a_meter_of_a_machine_that_tells_nothing(tmp_path):
    meter = Meter("cpu", tmp_path)
    meter.start()
    meter.stop(3)
    for reading in (meter.energy(), meter.temperature(), meter.throttled(), meter.device_memory()):
        assert reading.value is None
        assert reading.reason


def test_a_meter_of_a_gpu(monkeypatch, tmp_path):
    library = FakeNvml(reasons=0x40)
    monkeypatch.setitem(sys.modules, "pynvml", library)
    meter = Meter("cuda:0", tmp_path)
    meter.start()
    library.answer = lambda name, value: value + 3000 if name == "energy" else value
    meter.stop(6)
    assert meter.energy() == Reading(0.5, "J", "NVML")
    assert (meter.temperature().value, meter.throttled().value, meter.device_memory().value) == (55, 1, 5 * 2**30)

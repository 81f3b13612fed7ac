"""The pictures of the benchmarking guide: a committed result's report as a browser shows it.

    python docs/report_screenshots.py benchmarks/results/0.1.0/cpu.json docs/images

Needs the extras [report] and [dev], and a Chromium on the path.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser, sync_playwright

from edge_harmony.benchmark.report.html import page
from edge_harmony.benchmark.result import read_result

SHOTS = {
    "report-wide": (1100, 1250, "light"),
    "report-dark": (1100, 1250, "dark"),
    "report-phone": (390, 1100, "light"),
}


def shoot(browser: Browser, address: str, width: int, height: int, scheme: str, path: Path) -> None:
    """One screenshot."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=1.5
    )
    tab = context.new_page()
    tab.goto(address)
    pixels = cv2.imdecode(np.frombuffer(tab.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    context.close()


def main() -> None:
    """Draw the page and photograph it."""
    result, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        report = Path(work) / "report.html"
        report.write_text(page(read_result(result)))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name, (width, height, scheme) in SHOTS.items():
            shoot(browser, report.as_uri(), width, height, scheme, folder / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()

"""``edge-harmony doctor``: what works on this machine, and how to install the rest."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from edge_harmony.cli.console import JsonOption, out, print_json
from edge_harmony.machine.doctor import examine


def doctor(json: JsonOption = False) -> None:
    """Report versions, backends and capabilities, with the command that installs each missing one."""
    report = examine()
    if json:
        print_json(report)
        return
    machine = report["machine"]
    out.print(
        f"edge-harmony {report['version']}, Python {machine['python']}, {machine['system']}, "
        f"{machine['cpus']} CPUs ({machine['cpu']}; {', '.join(machine['features']) or 'no int8 features known'})",
        soft_wrap=True,
    )
    if machine["jetson"]:
        facts = ", ".join(f"{name.replace('_', ' ')} {value or 'unknown'}" for name, value in machine["jetson"].items())
        out.print(facts, soft_wrap=True, markup=False)
    table = Table()
    for heading in ("capability", "here", "detail", "to get it"):
        table.add_column(heading)
    for row in report["capabilities"]:
        table.add_row(row["name"], "yes" if row["available"] else "no", escape(row["detail"]), escape(row["fix"]))
    out.print(table)

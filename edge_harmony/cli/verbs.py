"""The verbs by name. A verb's module is imported when it is called, so that help and light verbs start at once."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from edge_harmony.cli.streams import Interrupted

VERBS = {
    "harmonize": "Repaint the foreground so that it fits. Any size, 8 or 16 bits, alpha; the background does not "
    "change.",
    "evaluate": "Score a network and, for comparison, the unharmonized composite.",
    "train": "Train a network. A run can be stopped at any moment; --resume continues it, and the result does not "
    "change.",
    "calibrate": "Calibrate float weights for INT8 without training (post-training quantization).",
    "sensitivity": "Quantize one layer at a time, rank the layers, and propose which to keep in float.",
    "export": "Export a network for a target.",
    "build": "Build a TensorRT engine and time it, as trtexec does.",
    "check": "Examine a file layer by layer before it is built for a target, or runs there.",
    "compare": "Compare the results of an artifact with those of the PyTorch reference with its weights.",
    "benchmark": "Measure latency, throughput, memory, energy and accuracy. Exits with 4, 5 or 6 if limits are not "
    "kept.",
    "selftest": "Build, load, run, compare and time networks on this device, and write a report that you can send.",
    "import": "Convert a public checkpoint of HDNet, or of EfficientNet-lite0, the encoder of edge-s; only tensors are "
    "read.",
    "models": "List the networks: parameters, FLOPs, shipped weights and their quality.",
    "doctor": "Report versions, backends and capabilities, with the command that installs each missing one.",
    "demo": "Serve a page: drop a composite, paint or upload its mask, choose a network, compare before and after.",
    "serve": "Serve HTTP: POST /harmonize takes pictures and gives a picture; /healthz and /metrics for those who "
    "watch.",
}
"""Names and first paragraphs of the verbs' docstrings, which ``--help`` lists without importing the verbs."""

_MODULES = {"import": "import_checkpoint"}
"""Modules, and functions in them, whose names are not the verb's."""


def load_verb(name: str) -> Callable[..., None]:
    """The function of a verb, without the options that all verbs have.

    Raises:
        KeyError: there is no such verb.
    """
    if name not in VERBS:
        raise KeyError(name)
    function = _MODULES.get(name, name)
    gc.disable()  # what modules define stays: looking for garbage in it takes longer than the network does
    try:
        verb: Callable[..., None] = getattr(import_module(f"edge_harmony.cli.{function}"), function)
    finally:
        gc.freeze()
        gc.enable()
    return verb


_UNSET = ("help", "install_completion", "show_completion")
"""Flags that typer adds without a default."""


class _QuickFlags:
    """Gives typer's own flags a default: it would convert a value that is missing, and import Pydantic to do so."""

    def get_params(self, ctx: Any) -> list[Any]:
        """See ``click.Command``."""
        options: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for option in options:
            if option.name in _UNSET and option.is_flag:
                option.default = False
        return options


class _Verb(_QuickFlags, TyperCommand):
    """A single verb."""


class _Commands(MutableMapping[str, Any]):
    """The commands of the verbs, each made when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        verb = load_verb(name)
        from edge_harmony.cli.console import with_verbosity
        from edge_harmony.cli.trtexec import TrtexecCommand

        single = typer.Typer(add_completion=False)
        single.command(name, cls=TrtexecCommand if name == "build" else _Verb)(with_verbosity(verb))
        return typer.main.get_command(single)

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)

    def __contains__(self, name: object) -> bool:
        return name in VERBS

    def __setitem__(self, name: str, command: Any) -> None:
        raise TypeError("verbs are listed in VERBS")

    def __delitem__(self, name: str) -> None:
        raise TypeError("verbs are listed in VERBS")


@dataclass(frozen=True)
class Completion:
    """A verb for a shell, with the fields of ``click.shell_completion.CompletionItem``.

    Attributes:
        value: its name.
        help: what shells that can show it beside the name.
        type: ``plain``: no file.
    """

    value: str
    help: str
    type: str = "plain"


class Verbs(_QuickFlags, TyperGroup):
    """The group of all verbs, of which only the one that is called is imported."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """See ``click.Group``. The log is shown from here on.

        Raises:
            Interrupted: by Ctrl-C, which typer would answer without a word.
        """
        try:
            command = self.commands.get(cmd_name)
            if command is not None:
                from edge_harmony.cli.console import log_to_stderr

                log_to_stderr()
        except KeyboardInterrupt:
            raise Interrupted from None
        return command

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See ``click.Command``. Without arguments the help is shown, and the call counts as wrong."""
        if not args and not ctx.resilient_parsing:  # which is how shells ask for completions
            typer.echo(ctx.get_help())
            raise typer.Exit(2)
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """See ``click.Command``; names of verbs are completed without importing them."""
        if incomplete.startswith("-"):
            options: list[Any] = super().shell_complete(ctx, incomplete)
            return options
        return [Completion(name, text) for name, text in VERBS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """See ``click.Group``; the verbs are listed without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

"""What a plug-in lacks of a contract, said in a few words."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_origin, get_type_hints


def shortcoming(found: Any, contract: type, name: str) -> str:
    """The first thing that keeps ``found`` from being a complete subclass of ``contract``; empty if nothing does.

    Args:
        found: what an entry point led to.
        contract: the base class; its annotated class attributes say what types they must have.
        name: of the entry point, which the class must bear too.

    Returns:
        The end of a sentence that begins with the plug-in's name.
    """
    if not isinstance(found, type):
        return f"is no class but a {type(found).__name__}"
    if not issubclass(found, contract):
        return f"is not derived from {contract.__module__}.{contract.__name__}"
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        return f"lacks {' and '.join(f'{method}()' for method in missing)}"
    return _attributes(found, contract) or _methods(found, contract) or _name(found, name)


def _attributes(found: type, contract: type) -> str:
    for attribute, hint in get_type_hints(contract).items():
        if not hasattr(found, attribute):
            return f"lacks {attribute}"
        wanted = get_args(hint)[0]  # of ClassVar[...]
        if not _fits(getattr(found, attribute), wanted):
            shown = wanted.__name__ if isinstance(wanted, type) and not get_args(wanted) else str(wanted)
            return f"has {attribute} = {getattr(found, attribute)!r}, which is no {shown}"
    return ""


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value is of one of the types that contracts use: ``bool``, ``str``, ``tuple[X, ...]``, ``type[X]``."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is tuple:
        return isinstance(value, tuple) and all(isinstance(each, arguments[0]) for each in value)
    if origin is type:
        return isinstance(value, type) and issubclass(value, arguments[0])
    return isinstance(value, wanted)


def _methods(found: type, contract: type) -> str:
    """Methods that cannot be called as those of the contract are."""
    for name, ours in inspect.getmembers(contract, inspect.isfunction):
        if name.startswith("_"):
            continue
        theirs = getattr(found, name)
        if not callable(theirs):
            return f"has {name} = {theirs!r}, which is no method"
        bound = isinstance(inspect.getattr_static(found, name), classmethod | staticmethod)
        arguments = list(inspect.signature(ours).parameters)[1:]
        try:
            inspect.signature(theirs).bind(*arguments if bound else ("self", *arguments))
        except TypeError:
            called = f"{name}({', '.join(arguments)})"
            return f"has {name}{inspect.signature(theirs)}, which cannot be called as {called}"
        except ValueError:  # what is not written in Python may not tell
            continue
    return ""


def _name(found: Any, name: str) -> str:
    return "" if found.name == name else f"calls itself {found.name!r}"

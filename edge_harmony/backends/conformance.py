"""Where a plug-in departs from a contract: its class before it is made, and the answers of its methods."""

from __future__ import annotations

import inspect
import reprlib
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def shortcoming(found: Any, contract: type, name: str) -> str:
    """The first thing that keeps ``found`` from being a complete subclass of ``contract``; empty if nothing does.

    Args:
        found: the object that an entry point names.
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


def misfit(value: Any, wanted: Any, name: str) -> str:
    """How a value departs from a type hint; empty if it fits.

    The fields of dataclasses are looked at too, so that what is shown or written later has the types it should have.

    Args:
        value: the value.
        wanted: a type hint made of classes, ``list[X]``, ``tuple[X, ...]``, ``dict[X, Y]``, ``type[X]``, ``Literal``
            and ``X | Y``.
        name: of the value, such as ``probe()``; fields and items are named after it.
    """
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin in (Union, UnionType):
        problems = [misfit(value, each, name) for each in arguments]
        return "" if "" in problems else _no(value, wanted, name)
    if origin is Literal:
        return "" if value in arguments else f"{name} = {reprlib.repr(value)}, which is none of {arguments}"
    if origin in (list, tuple):
        if not isinstance(value, origin):
            return _no(value, wanted, name)
        return next(filter(None, (misfit(each, arguments[0], f"{name}[{k}]") for k, each in enumerate(value))), "")
    if origin is dict:
        if not isinstance(value, dict):
            return _no(value, wanted, name)
        pairs = [(key, arguments[0], f"a key of {name}") for key in value]
        pairs += [(each, arguments[1], f"{name}[{key!r}]") for key, each in value.items()]
        return next(filter(None, (misfit(*pair) for pair in pairs)), "")
    if origin is type:
        return "" if isinstance(value, type) and issubclass(value, arguments[0]) else _no(value, wanted, name)
    if not isinstance(value, wanted):
        return _no(value, wanted, name)
    if not is_dataclass(wanted):
        return ""
    hints = get_type_hints(wanted)
    found = (misfit(getattr(value, field.name), hints[field.name], f"{name}.{field.name}") for field in fields(wanted))
    return next(filter(None, found), "")


def _no(value: Any, wanted: Any, name: str) -> str:
    shown = wanted.__name__ if isinstance(wanted, type) and not get_args(wanted) else str(wanted)
    return f"{name} = {reprlib.repr(value)}, which is no {shown.replace('typing.', '')}"


def _attributes(found: type, contract: type) -> str:
    for attribute, hint in get_type_hints(contract).items():
        if not hasattr(found, attribute):
            return f"lacks {attribute}"
        problem = misfit(getattr(found, attribute), get_args(hint)[0], attribute)  # the hint is ClassVar[...]
        if problem:
            return f"has {problem}"
    return ""


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

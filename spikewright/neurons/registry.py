"""Registries: every kind of configuration by the name of its class, and by what users write.

A saved file, the command line, the account of energy, the tables of the documentation and the
contract suite read them, so a new kind is one file with `@register` above its class: nothing else
lists kinds. A class from outside the package is registered alike, before files that name it are
read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from spikewright.neurons.neuron import Neuron, Spelling

K = TypeVar("K")
C = TypeVar("C", bound="type[Any]")


WINDOW_IN_LABEL = ", T = "
"""What stands in a label before the steps of a neuron's own window."""


class Registry(Generic[K]):
    """The registered classes of one kind of configuration, by the name of the class."""

    def __init__(self, what: str) -> None:
        """Start without any.

        Args:
            what: the kind in words, for messages.
        """
        self.what = what
        self._kinds: dict[str, type[K]] = {}

    def register(self, kind: C) -> C:
        """Add a class; also a decorator. Defining the same class again replaces it.

        Raises:
            TypeError: for a class that is no frozen dataclass, as a file holds its fields.
            ValueError: for a name that another class has.
        """
        name = kind.__name__
        if not _frozen(kind):
            raise TypeError(
                f"{self.what} {name} must be a frozen dataclass: a file holds its fields"
            )
        known = self._kinds.get(name)
        if known is not None and known.__module__ != kind.__module__:
            raise ValueError(
                f"there is a {self.what} {name} already, of {known.__module__}: choose another name"
            )
        self._kinds[name] = cast(Any, kind)
        return kind

    def remove(self, kind: type[K]) -> None:
        """Take a class out again."""
        del self._kinds[kind.__name__]

    def __iter__(self) -> Iterator[type[K]]:
        return iter(tuple(self._kinds.values()))

    def __contains__(self, kind: object) -> bool:
        return kind in self._kinds.values()

    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(self._kinds)

    def get(self, name: str) -> type[K] | None:
        """The class of a name, or None."""
        return self._kinds.get(name)


def _frozen(kind: Any) -> bool:
    """Whether the class itself, not only a class it is derived from, is a frozen dataclass."""
    own = vars(kind).get("__dataclass_params__")
    return own is not None and own.frozen


NEURONS: Registry[Neuron] = Registry("neuron")
"""Every registered neuron."""

register = NEURONS.register
"""Registers a neuron: a decorator of its class."""


def spellings() -> dict[str, Spelling]:
    """What a command line calls the registered neurons, by name."""
    return {name: make for kind in NEURONS for name, make in kind.spellings().items()}


def labelled(label: str) -> Neuron | None:
    """The variant that tables call `label`, whatever its window, or None."""
    kind, _, _ = label.partition(WINDOW_IN_LABEL)
    return next((neuron for neuron in variants() if neuron.label == kind), None)


def window_in(label: str) -> int | None:
    """The steps of the neurons' own window that a label tells; None where theirs is the network's.

    Example:
        >>> window_in("nearest, binary, T = 3"), window_in("nearest, binary")
        (3, None)
    """
    steps = label.partition(WINDOW_IN_LABEL)[2]
    return int(steps) if steps.isdecimal() else None


def variants() -> tuple[Neuron, ...]:
    """The variants of every registered neuron."""
    return tuple(neuron for kind in NEURONS for neuron in kind.variants())

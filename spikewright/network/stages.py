"""How the step engine cuts a network: into stages that end where neurons wait for their input.

A waiting (two-phase) neuron emits only after the whole window of its input. All waiting sites with
k such sites before them on the longest path absorb their input in stage k, which runs through
the window once; in later stages they emit, and emit the same train each time they are asked. So
nothing but one charge per neuron is kept between stages, whatever T. A network of one-phase
neurons is a single stage.

Why stages, and not one pass: the second of two waiting layers cannot take in the first spike before
the first layer has taken in its last current, so at no step do both work on the same window. For
example, with waiting sites A and B, a branch around B, and T = 4:

    x -> conv -> A -> conv -> B -> add -> linear          depth of A: 1, of B: 2
                  `-----------------^

    stage 0, steps 0..3: conv feeds A.                      A absorbs.
    stage 1, steps 0..3: A emits, conv feeds B.             B absorbs.
    stage 2, steps 0..3: A emits again, B emits, add, linear: the answer.

In stage 2 step t of A's train meets step t of B's, as the branch wants it: on hardware A's train
would wait in a buffer for a window, here it is made again from A's charge and its draws, which is
why `rewind` must give the same train to the bit. Latency counts the three windows, 12 steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spikewright.graph.ir import Graph, Operation
from spikewright.neurons import Neuron


@dataclass(frozen=True)
class Stage:
    """One run through the window.

    Attributes:
        operations: what runs at every time chunk, in order.
        emitting: waiting sites whose trains are read.
        absorbing: waiting sites that take their input in this stage.
        outputs: the network's outputs that are read in this stage.
    """

    operations: tuple[Operation, ...]
    emitting: frozenset[str]
    absorbing: frozenset[str]
    outputs: frozenset[str]


def constant_in_time(graph: Graph, *, frames: bool = False) -> tuple[Operation, ...]:
    """The operations before any neuron: a constant input makes them constant.

    With `frames` the input varies, and so does everything that depends on it.
    """
    varying = {graph.signal.name} if frames else set[str]()
    for op in graph.operations:
        if op.site is not None or any(name in varying for name in op.inputs):
            varying.add(op.name)
    return tuple(op for op in graph.operations if op.name not in varying)


def steady_inputs(graph: Graph) -> list[str]:
    """The values that do not vary in time and are read by operations that do."""
    constant = constant_in_time(graph)
    names = {*(port.name for port in graph.inputs), *(op.name for op in constant)}
    varying = [op for op in graph.operations if op not in constant]
    read = (name for op in varying for name in op.inputs if name in names)
    return list(dict.fromkeys(read))


def paths_of(graph: Graph, neurons: Mapping[str, Neuron], steps: int) -> dict[str, tuple[int, ...]]:
    """The windows, in time steps, that must pass until each value is complete, by name.

    They are those on the path that takes longest: first one in which the input is shown, as long as
    that of the layer that reads it, then one for each waiting layer, its own included. They add up
    to the time at which the value is complete, unpipelined; empty where no layer has run.

    Args:
        graph: of the network.
        neurons: by site name.
        steps: T.
    """
    paths: dict[str, tuple[int, ...]] = {port.name: () for port in graph.inputs}
    for op in graph.operations:
        path = max((paths[name] for name in op.inputs), key=sum, default=())
        if op.site is not None:
            neuron = neurons[op.site.name]
            window = neuron.duration(steps)
            path = path or (window,)
            path = (*path, window) if neuron.waits else path
        paths[op.name] = path
    return paths


def longest_path(graph: Graph, neurons: Mapping[str, Neuron], steps: int) -> tuple[int, ...]:
    """The windows, in time steps, from the first input to the last output; they add up to it."""
    paths = paths_of(graph, neurons, steps)
    return max((paths[name] for name in graph.outputs), key=sum) or (steps,)


def depth_of(graph: Graph, neurons: Mapping[str, Neuron]) -> dict[str, int]:
    """The number of waiting sites on the longest path to each value, its own included."""
    depth = {port.name: 0 for port in graph.inputs}
    for op in graph.operations:
        before = max((depth[name] for name in op.inputs), default=0)
        waits = op.site is not None and neurons[op.site.name].waits
        depth[op.name] = before + waits
    return depth


def stages_of(
    graph: Graph, neurons: Mapping[str, Neuron], *, frames: bool = False
) -> tuple[Stage, ...]:
    """The stages of a network, in order; an output is read in that of its depth.

    With `frames` the input varies in time.
    """
    depth = depth_of(graph, neurons)
    steady = {op.name for op in constant_in_time(graph, frames=frames)}
    waiting = {op.name for op in graph.neurons if op.site and neurons[op.site.name].waits}
    last = max(depth[name] for name in graph.outputs)
    return tuple(_stage(graph, depth, steady, waiting, number) for number in range(last + 1))


def _stage(
    graph: Graph,
    depth: Mapping[str, int],
    steady: set[str],
    waiting: set[str],
    number: int,
) -> Stage:
    absorbing = {
        op.name for op in graph.operations if op.name in waiting and depth[op.name] == number + 1
    }
    outputs = {name for name in graph.outputs if depth[name] == number}
    needed = absorbing | outputs
    emitting: set[str] = set()
    operations: list[Operation] = []
    for op in reversed(graph.operations):
        if op.name not in needed or op.name in steady:
            continue
        operations.append(op)
        if op.name in waiting and op.name not in absorbing:
            emitting.add(op.name)
        else:
            needed.update(op.inputs)
    return Stage(
        tuple(reversed(operations)), frozenset(emitting), frozenset(absorbing), frozenset(outputs)
    )

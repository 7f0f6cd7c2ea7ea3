"""The spiking network of an architecture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikewright.errors import ModelError
from spikewright.recurrent import ALIF, Answer, ReadOut, State
from spikewright.recurrent.alif import decay, first_log_tau
from spikewright.search.motifs import CIRCUITS, INPUT, populations
from spikewright.search.space import Architecture, Cell


class SignedConvolution(nn.Module):
    """A convolution that only excites or only inhibits: `sign relu(norm(W * s))`.

    The norm is that of one image's currents in one time step. Batch statistics would not do: those
    of a synapse that acts a step later differ from step to step, and a network that was trained by
    the batch's own would answer by their mean.

    Args:
        inputs: channels of the spikes that come.
        channels: of the current that it makes.
        kernel: its width, odd, in pixels; the size of the map stays.
        sign: 1 excites, -1 inhibits.
    """

    def __init__(self, inputs: int, channels: int, kernel: int, sign: int) -> None:
        super().__init__()
        self.weights = nn.Conv2d(inputs, channels, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(1, channels)  # of one step of one image: no statistics to keep
        self.sign = sign

    def forward(self, spikes: Tensor) -> Tensor:
        """Currents `[B, C, H, W]`, all of one sign."""
        return self.sign * torch.relu(self.norm(self.weights(spikes)))

    def extra_repr(self) -> str:
        return f"sign={self.sign}"


class MotifCell(nn.Module):
    """The populations of a motif, one map of neurons each.

    Args:
        inputs: channels of the input.
        channels: of every population.
        cell: motif and kernels.
        neuron: what the neurons are; every channel has a time constant, which is trained.
    """

    def __init__(self, inputs: int, channels: int, cell: Cell, neuron: ALIF) -> None:
        super().__init__()
        self.synapses = CIRCUITS[cell.motif]
        self.populations = populations(cell.motif)
        self.channels = channels
        self.neuron = neuron
        self.operations = nn.ModuleList(
            SignedConvolution(inputs if s.source == INPUT else channels, channels, kernel, s.sign)
            for s, kernel in zip(self.synapses, cell.kernels, strict=True)
        )
        drawn = [first_log_tau(channels, neuron.time_constant) for _ in range(self.populations)]
        self.log_tau = nn.Parameter(torch.stack(drawn)[:, :, None, None])  # [P, C, 1, 1]

    @property
    def width(self) -> int:
        """Channels of all populations together."""
        return self.populations * self.channels

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The spikes `[T, B, C, H, W]` of every population for an input `[T, B, F, H, W]`."""
        wired = list(zip(self.synapses, self.operations, strict=True))
        outer = [  # the whole input is known: all of its steps at once
            (s.target, run(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
            for s, run in wired
            if s.source == INPUT
        ]
        alpha = decay(self.log_tau)
        nothing = x.new_zeros(x.shape[1], self.channels, *x.shape[3:])
        states = [State(nothing, nothing, nothing)] * self.populations
        trains: list[list[Tensor]] = [[] for _ in states]
        for t in range(len(x)):
            for p in range(self.populations):
                heard = [current[t] for target, current in outer if target == p]
                heard += [
                    run(states[s.source].spikes)
                    for s, run in wired
                    if s.target == p and s.source != INPUT
                ]
                current = torch.stack(heard).sum(0)
                states[p] = self.neuron.step(current, states[p], alpha[p], None)
                trains[p].append(states[p].spikes)
        return tuple(torch.stack(train) for train in trains)


class MotifNetwork(nn.Module):
    """A spiking network of motifs that classifies sequences of images.

    Each cell hears the channels of all cells that the architecture connects it to. Maps are halved
    by max pooling behind the first cell, so that spikes stay spikes. The means of the last maps go
    to leaky integrators, and the mean of their potentials over time is the answer.

    Args:
        architecture: the cells and connections.
        inputs: channels of the images, at least 1.
        classes: their number, at least 1.
        channels: of every population, at least 1.
        neuron: of all populations, without adaptation. Default: threshold 0.3, time constants
            that start at 2 time steps.

    Raises:
        ModelError: for a number below 1, or a neuron that adapts.

    Source: Pan, Zhao, Shen, Han, Zeng, arXiv 2304.10749.

    Example:
        >>> from spikewright.search import SearchSpace
        >>> space = SearchSpace(cells=2)
        >>> network = MotifNetwork(space.draw(torch.Generator().manual_seed(0)), 1, 10)
        >>> network(torch.rand(4, 5, 1, 8, 8)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self,
        architecture: Architecture,
        inputs: int,
        classes: int,
        *,
        channels: int = 8,
        neuron: ALIF | None = None,
    ) -> None:
        super().__init__()
        if min(inputs, classes, channels) < 1:
            raise ModelError(
                f"inputs, classes and channels must be at least 1, got {inputs}, {classes} and "
                f"{channels}"
            )
        neuron = neuron or ALIF(0.3, beta=0.0, time_constant=(2.0, 0.0))
        if neuron.adapts:
            raise ModelError(f"neurons of motifs do not adapt, got {neuron}; give it beta=0")
        self.architecture = architecture
        self.inputs = inputs
        cells: list[MotifCell] = []
        for number, cell in enumerate(architecture.cells):
            sources = architecture.sources(number)
            width = sum(cells[source].width for source in sources) or inputs
            cells.append(MotifCell(width, channels, cell, neuron))
        self.cells = nn.ModuleList(cells)
        last = architecture.sources(len(cells))
        self.read_out = ReadOut(sum(cells[s].width for s in last), classes, (2.0, 0.0))

    def forward(self, x: Tensor) -> Tensor:
        """Logarithms of the classes' probabilities, `[B, C]`.

        Args:
            x: `[T, B, F, H, W]`, H and W at least 2: an image at every time step.

        Raises:
            ModelError: for an input of another shape.
        """
        return self.observe(x).log_probabilities

    def observe(self, x: Tensor) -> Answer:
        """The answer, with the spikes `[T, B, C, H, W]` of every population; see `forward`."""
        if x.ndim != 5 or x.shape[2] != self.inputs or not len(x) or min(x.shape[3:]) < 2:
            raise ModelError(
                f"images over time have shape [T, B, {self.inputs}, H, W] with T at least 1, H and "
                f"W at least 2, got {tuple(x.shape)}; one image [B, F, H, W] for T steps is "
                "x.expand(T, *x.shape)"
            )
        sent: list[Tensor] = []
        trains: list[Tensor] = []
        for number, cell in enumerate(self.cells):
            heard = [sent[source] for source in self.architecture.sources(number)]
            found = cell(torch.cat(heard, 2) if heard else x)
            trains += found
            maps = torch.cat(found, 2)
            sent.append(maps if number else _halved(maps))
        last = torch.cat([sent[source] for source in self.architecture.sources(len(sent))], 2)
        potentials = self.read_out(last.mean((3, 4)))
        return Answer(torch.log_softmax(potentials.mean(0), 1), tuple(trains))


def _halved(maps: Tensor) -> Tensor:
    """Half of height and width, `[T, B, C, H, W]`."""
    return F.max_pool2d(maps.flatten(0, 1), 2).unflatten(0, maps.shape[:2])

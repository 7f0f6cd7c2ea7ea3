"""This project: the count engine, compiled and eager, and the step engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

import spikewright as sw
from benchmarks.contenders.base import Contender
from benchmarks.workloads import Subject
from spikewright.neurons import Neuron

COUNT_STEPS = (4, 16, 64)
"""Every T that the count engine is measured at."""


@dataclass
class Spiking(Contender):
    """A converted network.

    Contenders that differ in T alone run one network, designed for all of their T, so that one
    compilation serves them; the first of them has the time of conversion and compilation.

    Attributes:
        neuron: at every site.
        designed: every T that conversion designs, `steps` among them.
        engine: "counts" or "steps".
        compiled: whether `snn.compile()` is called.
        precision: of weights that meet spikes.
    """

    neuron: Neuron = field(kw_only=True)
    designed: tuple[int, ...] = field(kw_only=True)
    engine: str = field(kw_only=True)
    compiled: bool = field(kw_only=True)
    precision: str = field(default="float32", kw_only=True)
    _network: sw.SpikingNetwork = field(init=False, repr=False)

    def prepare(self, subject: Subject) -> None:
        key = f"{self.neuron.label}, {self.designed}, {self.compiled}, {self.precision}"
        self._network = subject.shared(key, lambda: self._converted(subject))

    def _converted(self, subject: Subject) -> sw.SpikingNetwork:
        settings = (subject.model, subject.calibration, self.neuron)
        network = sw.convert(*settings, steps=self.designed, precision=self.precision)
        return network.compile() if self.compiled else network

    def run(self, batch: Tensor) -> Tensor:
        return self._network(batch, steps=self.steps, engine=self.engine)

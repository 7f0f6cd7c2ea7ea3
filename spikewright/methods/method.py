"""What a conversion method is: one core, with a choice of neuron, threshold and correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.export import ExportedProgram

from spikewright.calibration import Correction, Threshold
from spikewright.convert import Batches, Prepared, convert
from spikewright.errors import ConversionError
from spikewright.network import Precision, SpikingNetwork
from spikewright.neurons import IntegrateFire, Neuron
from spikewright.processes import ALONE, Processes


@dataclass(frozen=True)
class Method:
    """A published recipe as a complete configuration of `convert`.

    Attributes:
        name: as in `--method`.
        paper: where it comes from.
        threshold: how firing thresholds are chosen; None where the correction chooses.
        correction: what is calibrated on top, layer after layer; None for nothing.
        one_phase: the integrate-and-fire neuron as the method starts it; what "IF" means under it.
        neuron: the method's own neuron; None when that is `one_phase`.
    """

    name: str
    paper: str
    threshold: Threshold | None
    correction: Correction | None = None
    one_phase: IntegrateFire = field(default_factory=IntegrateFire)
    neuron: Neuron | None = None

    @property
    def own(self) -> Neuron:
        """The neuron that the method was published with."""
        return self.one_phase if self.neuron is None else self.neuron

    def convert(
        self,
        model: nn.Module | ExportedProgram | Prepared,
        calibration: Tensor | Batches | None = None,
        steps: int | Sequence[int] = 16,
        neuron: Neuron | Mapping[str, Neuron] | None = None,
        seed: int = 0,
        processes: Processes = ALONE,
        precision: Precision | str = Precision.FLOAT32,
    ) -> SpikingNetwork:
        """Convert a model by this method.

        Args:
            model: as for `spikewright.convert`, with calibration data; or what
                `spikewright.prepare` made of both, to convert it by several methods.
            calibration: as for `spikewright.convert`; left out with a prepared model.
            steps: T of the design point, or several.
            neuron: another neuron under the method's thresholds and correction, or several by site
                as for `spikewright.convert`; its own when None. How charge is rounded is the
                neuron's business: `TwoPhase("nearest")` under `RTS` has its own half step, and no
                shift of the bias besides.
            seed: of the draws during calibration.
            processes: as for `spikewright.convert`; those of a prepared model stay its own.
            precision: as for `spikewright.convert`.

        Returns:
            The spiking network.

        Raises:
            ConversionError: as `spikewright.convert` does; `CalibrationError` among them when
                the method reads learned thresholds and the model has none; for calibration data
                or processes given with a prepared model.

        Example:
            >>> import torch, spikewright as sw
            >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(),
            ...                             torch.nn.Linear(8, 3)).eval()
            >>> sw.methods.RTS.convert(model, torch.rand(64, 4), steps=8)
            SpikingNetwork(1 sites of IF, shifted, T = 8)
        """
        neuron = self.own if neuron is None else neuron
        settings = (neuron, self.threshold, steps, self.correction, seed)
        if not isinstance(model, Prepared):
            return convert(model, calibration, *settings, processes, precision=precision)  # pyright: ignore[reportArgumentType]
        if calibration is not None or processes is not ALONE:
            raise ConversionError(
                "a prepared model has its calibration data and its processes: leave them out"
            )
        return model.convert(*settings, precision)

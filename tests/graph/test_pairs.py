"""Complex numbers as pairs of real ones: Fourier transforms, spectra, products."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikewright.graph import survey
from spikewright.graph.ir import Kind
from tests.builders import wired
from tests.graph.faithful import assert_faithful

LENGTH = 12
FILTER = torch.view_as_complex(
    torch.randn(LENGTH // 2 + 1, 2, generator=torch.Generator().manual_seed(3)).double()
)
MATRIX = torch.randn(5, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(4))


def filtered(m: nn.Module, x: Tensor) -> Tensor:
    """A global filter: a spectrum times weights, and back."""
    return torch.fft.irfft(torch.fft.rfft(x, dim=-1, norm="ortho") * FILTER, LENGTH, -1, "ortho")


def magnitudes(m: nn.Module, x: Tensor) -> Tensor:
    return torch.fft.fft(x, dim=1).abs()[:, 1:]


def powers(m: nn.Module, x: Tensor) -> Tensor:
    window = torch.hann_window(8, dtype=x.dtype)
    return torch.stft(x.flatten(1), 8, 4, window=window, return_complex=True).abs().pow(2)


def plane(m: nn.Module, x: Tensor) -> Tensor:
    """Fourier mixing of FNet: the real part over two dimensions."""
    return torch.fft.fft2(x).real - torch.fft.ifft(x, dim=1).imag


def moved(m: nn.Module, x: Tensor) -> Tensor:
    y = torch.fft.rfft2(x, norm="forward").transpose(1, 2)[:, 1:5].flip(1)
    y = torch.cat([y, y.conj()], 1) / 2 - torch.complex(x[:, :1, :5], x[:, 1:2, :5])
    return torch.view_as_real(torch.roll(-y, 1, 1) + x[:, :1, :1])


def products(m: nn.Module, x: Tensor) -> Tensor:
    y = torch.view_as_complex(x.reshape(-1, 5, 6, 2)).transpose(1, 2) @ MATRIX
    return torch.view_as_real(torch.einsum("bij,jk->bik", y * 1j / 2, MATRIX) + (1 - 2j))


def odd(m: nn.Module, x: Tensor) -> Tensor:
    return torch.fft.irfft2(torch.fft.rfft2(x[:, :, :7]) * 2, (5, 7))


def weighted(m: nn.Module, x: Tensor) -> Tensor:
    """Complex weights and biases, of a linear layer and of convolutions."""
    y = F.conv1d(torch.complex(x[:, :2], x[:, 2:4]), MATRIX[:4, :4].unflatten(1, (2, 2)), stride=2)
    y = F.conv2d(y[:, :, None], MATRIX[:3, :4, None, None], MATRIX[0, :3], padding=(1, 0))
    y = F.linear(y[..., :5], MATRIX, MATRIX[1]) + F.linear(y[..., 1:], MATRIX)
    return torch.view_as_real(y)


@pytest.mark.parametrize(
    "form", [filtered, magnitudes, powers, plane, moved, products, weighted, odd]
)
def test_what_is_complex_within_is_real_outside(
    form: Callable[[nn.Module, Tensor], Tensor],
) -> None:
    def wire(m: nn.Module, x: Tensor) -> Tensor:
        return torch.relu(form(m, m.mixed(x)) - 0.1).flatten(1).cumsum(1)

    x = torch.randn(3, 5, LENGTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert_faithful(wired(wire, mixed=nn.Linear(LENGTH, LENGTH)), x)


def test_a_product_of_two_complex_signals_is_four_products() -> None:
    def wire(m: nn.Module, x: Tensor) -> Tensor:
        first, second = (torch.fft.rfft(part, dim=-1) for part in m.mixed(x).unbind(1))
        return torch.fft.irfft(first * second.conj(), LENGTH, -1)

    x = torch.randn(3, 2, LENGTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    snn = assert_faithful(wired(wire, mixed=nn.Linear(LENGTH, LENGTH)), x)
    assert sum(op.function == "mul" for op in snn.graph.operations) == 4


@pytest.mark.parametrize("square", [torch.square, lambda z: z**2])
def test_the_square_of_a_complex_signal_is_its_product_with_itself(
    square: Callable[[Tensor], Tensor],
) -> None:
    def wire(m: nn.Module, x: Tensor) -> Tensor:
        return torch.fft.irfft(square(torch.fft.rfft(m.mixed(x), dim=-1)), LENGTH, -1)

    x = torch.randn(3, LENGTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    snn = assert_faithful(wired(wire, mixed=nn.Linear(LENGTH, LENGTH)), x)
    assert sum(op.kind is Kind.PRODUCT for op in snn.graph.operations) == 1
    assert [op.function for op in snn.graph.neurons].count("square") == 2


def test_what_pairs_cannot_say_is_refused() -> None:
    model = wired(lambda m, x: torch.relu(torch.fft.rfft(x, dim=-1).angle()))
    found = survey(model, torch.randn(2, LENGTH).double())
    assert [o.operator for o in found.offenders] == ["aten.atan2"]


@pytest.mark.parametrize("equation", ["bi->bi", "bi,ij,jk->bk"])
def test_an_equation_of_other_than_two_complex_operands_is_refused(equation: str) -> None:
    others = [MATRIX] * equation.count(",")

    def wire(m: nn.Module, x: Tensor) -> Tensor:
        z = torch.fft.rfft(torch.relu(x[:, :8]), dim=-1)
        return torch.einsum(equation, z, *others).real

    assert survey(wired(wire), torch.randn(2, LENGTH).double()).offenders

"""Models that move the batch, or merge it with other dimensions: their graphs keep it first."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph import survey
from tests.builders import wired

DIM = 6


def heads(m, x: Tensor) -> Tensor:
    """Queries, keys and values as vision transformers cut them: `[3, B, heads, N, D]`."""
    batch, tokens, width = x.shape
    q, k, v = m.qkv(x).reshape(batch, tokens, 3, 2, width // 2).permute(2, 0, 3, 1, 4).unbind(0)
    return m.out((F.relu(q) + k * 2 - v).transpose(1, 2).reshape(batch, tokens, width))


def windows(m, x: Tensor) -> Tensor:
    """Windows as Swin cuts them, `[B * windows, places, C]`, with constants for each window."""
    batch, high, wide, width = x.shape
    x = torch.roll(x, (-1, -1), (1, 2))
    cut = x.view(batch, high // 2, 2, wide // 2, 2, width).permute(0, 1, 3, 2, 4, 5)
    cut = F.relu(m.out(cut.reshape(-1, 4, width)) + m.place)
    cut = (cut.view(batch, 4, 4, width) + m.window).view(-1, 4, width)
    x = cut.view(batch, high // 2, wide // 2, 2, 2, width).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, high, wide, width)


def tokens_first(m, x: Tensor) -> Tensor:
    """Heads as `nn.MultiheadAttention` cuts them: `[N, B * heads, D]`."""
    x = x.transpose(0, 1)
    q = F.relu(m.out(x).view(x.shape[0], x.shape[1] * 2, DIM // 2).transpose(0, 1))
    return q.transpose(0, 1).reshape(x.shape[0], -1, DIM).transpose(0, 1)


def letters(m, x: Tensor) -> Tensor:
    """Positions of SAM's heads, `[B * heads, H, W, C]` contracted by einsum."""
    batch, high, wide, width = x.shape
    q = m.out(x).view(batch, high, wide, 2, width // 2).permute(0, 3, 1, 2, 4)
    q = F.relu(q.reshape(-1, high, wide, width // 2))
    at = torch.einsum("bhwc,hkc->bhwk", q, torch.ones(high, 2, width // 2, dtype=x.dtype))
    return torch.einsum("bhwk,bhwc->bhc", at, q).view(batch, 2, high, width // 2)


def two_views(m, x: Tensor) -> Tensor:
    """Two batches joined to one of twice the size."""
    joined = F.relu(m.out(torch.cat([x, x.flip(1)])))
    return joined.view(2, -1, *x.shape[1:]).sum(0)


def class_token(m, x: Tensor) -> Tensor:
    """Constants in which the size of the batch stands."""
    x = torch.cat([m.token.expand(x.shape[0], -1, -1), x], 1)
    places = torch.ones(x.shape[:2], dtype=x.dtype).cumsum(1)
    mask = torch.ones(x.shape[0], x.shape[1], x.shape[1], dtype=torch.bool).tril()
    y = F.relu(m.out(x + places[:, :, None]))
    return torch.where(mask, y.mean(-1, keepdim=True), torch.zeros_like(mask, dtype=y.dtype)).sum(
        -1
    )


def film(m, x: Tensor) -> Tensor:
    """A whole network for images on those of a film: norm, pooling, upsampling, transposed."""
    images = F.relu(m.norm(m.image(x.reshape(-1, DIM, 8, 8))))
    images = F.interpolate(F.max_pool2d(images, 2), scale_factor=2)
    images = F.avg_pool2d(F.relu(m.up(images)), 2)
    lines = F.relu(m.line(images.flatten(2)))
    return lines.reshape(x.shape[0], -1, DIM, lines.shape[-1]).mean((1, 3))


def halves(m, x: Tensor) -> Tensor:
    """Two batches joined, normalised plane by plane, and cut into two again."""
    planes = F.instance_norm(m.image(torch.cat([x, x.flip(2)])))
    first, second = torch.chunk(F.relu(planes), chunks=2, dim=0)
    return (first - 2 * second).mean((2, 3))


def relative(m, x: Tensor) -> Tensor:
    """Scores of heads, `[B * heads, N, places]`, gathered at places that all heads share."""
    scores = F.relu(m.out(x)).repeat(1, 1, 2).view(x.shape[0], -1, 2, DIM).transpose(1, 2)
    scores = scores.flatten(0, 1)
    at = (torch.arange(3) + torch.arange(scores.shape[1])[:, None]) % DIM
    found = torch.gather(scores, -1, at.expand(scores.shape[0], -1, -1))
    return found.view(x.shape[0], 2, *at.shape).sum(1)


def rows(m, x: Tensor) -> Tensor:
    """A matrix for each place, the batch among its rows; and copies of every sample."""
    place = F.relu(x).reshape(-1, 2, 5, DIM).permute(2, 0, 1, 3).flatten(1, 2)  # [5, B * 2, DIM]
    met = F.relu(torch.bmm(place, m.each)).view(5, -1, 2, DIM).permute(1, 2, 0, 3)
    copies = F.relu(m.out(x[:, :5])).repeat_interleave(2, 0).repeat_interleave(1, 0)
    return (met + copies.view(-1, 2, 5, DIM)).mean(1)


def averaged(m, x: Tensor) -> Tensor:
    """A constant that is computed for the batch: means of 2 and of 3 copies round differently."""
    copies = torch.full((x.shape[0], 1, 1), 0.1, dtype=x.dtype)
    return F.relu(m.out(x) + copies.mean(0, keepdim=True).expand(x.shape[0], -1, -1))


def learned_queries(m, x: Tensor) -> Tensor:
    """Attention whose queries are weights, one copy a sample."""
    queries = m.out(m.token.expand(x.shape[0], 3, -1))
    return torch.einsum("bij,bjd->bid", torch.einsum("bid,bjd->bij", queries, x).softmax(2), x)


def clips(m, x: Tensor) -> Tensor:
    """Clips of a film, `[B * clips, C, T, H, W]`, in a convolution over time."""
    films = F.relu(m.film(x.flatten(0, 1)))
    return films.view(x.shape[0], -1, *films.shape[1:]).mean((1, 3, 4))


def frames(m, x: Tensor) -> Tensor:
    """Images of a film taken as a batch of images: `[B * frames, C, H, W]`."""
    images = x.reshape(-1, DIM, 4, 4)
    return F.relu(m.image(images)).reshape(x.shape[0], -1, DIM, 2, 2).mean((1, 3, 4))


def borders(m, x: Tensor) -> Tensor:
    """Images of a film with borders of their own values."""
    images = x.flatten(0, 1)
    for mode in ("reflect", "replicate", "circular"):
        images = F.pad(images, (1, 0, 1, 1), mode=mode)
    return F.relu(m.image(images)).unflatten(0, (-1, x.shape[1])).mean((1, 3, 4))


def edges(m, x: Tensor) -> Tensor:
    """Planes of their own, `[B * n, H, W]`, with borders of their own values."""
    planes = F.relu(m.out(x)).unflatten(2, (2, -1)).flatten(0, 1)
    return F.pad(planes, (1, 1, 1, 1), "reflect").unflatten(0, (-1, 5)).mean(1)


def both_sides(m, x: Tensor) -> Tensor:
    """Indices on both sides of the batch, `[N, B, D]`, whose places come first either way."""
    places = torch.tensor([3, 0, 1])
    turned = F.relu(m.out(x)).transpose(0, 1)
    return turned[places, :, places].transpose(0, 1)


def pooled(m, x: Tensor) -> Tensor:
    """Attention of heads whose queries are weights, without a dimension for the batch."""
    keys = m.out(x).unflatten(-1, (3, DIM // 3)).transpose(1, 2)
    queries = m.each[:3, :1, : DIM // 3]
    return F.scaled_dot_product_attention(queries, keys, keys).flatten(1)


def rows_of_two(m, x: Tensor) -> Tensor:
    """Two batches of vectors joined, and cut by a dimension counted from the last."""
    first, second = F.relu(m.out(torch.cat([x, x.flip(1)]))).chunk(2, dim=-2)
    return first - 2 * second


def between_zeros(m, x: Tensor) -> Tensor:
    """A constant of the size of the batch that one call reads twice."""
    zeros = x.new_zeros(x.shape[0], 1, DIM)
    return m.out(torch.cat([zeros, F.relu(x), zeros], 1))


def model(forward) -> nn.Module:
    torch.manual_seed(0)
    parts = {
        "qkv": nn.Linear(DIM, 3 * DIM),
        "out": nn.Linear(DIM, DIM),
        "image": nn.Conv2d(DIM, DIM, 3, padding=1, stride=2),
        "norm": nn.BatchNorm2d(DIM),
        "film": nn.Conv3d(DIM, DIM, 3, padding=1, groups=3),
        "up": nn.ConvTranspose2d(DIM, DIM, 3, 2, output_padding=1),
        "line": nn.ConvTranspose1d(DIM, DIM, 3, padding=1, dilation=2, groups=2),
    }
    built = wired(forward, **parts)
    built.norm.running_mean.uniform_(-1, 1)
    built.norm.running_var.uniform_(0.5, 2)
    built.place = nn.Parameter(torch.randn(1, 4, DIM))
    built.window = nn.Parameter(torch.randn(4, 1, 1))
    built.each = nn.Parameter(torch.randn(5, DIM, DIM))
    built.token = nn.Parameter(torch.randn(1, 1, DIM))
    return built.double().eval()


CASES = {
    "heads": (heads, (5, DIM)),
    "windows": (windows, (4, 4, DIM)),
    "tokens first": (tokens_first, (5, DIM)),
    "letters": (letters, (4, 4, DIM)),
    "two views": (two_views, (5, DIM)),
    "class token": (class_token, (5, DIM)),
    "film": (film, (3, DIM, 8, 8)),
    "halves": (halves, (DIM, 6, 6)),
    "relative": (relative, (5, DIM)),
    "rows": (rows, (10, DIM)),
    "averaged": (averaged, (5, DIM)),
    "learned queries": (learned_queries, (5, DIM)),
    "clips": (clips, (2, DIM, 3, 4, 4)),
    "frames": (frames, (3, DIM, 4, 4)),
    "borders": (borders, (3, DIM, 4, 4)),
    "edges": (edges, (5, DIM)),
    "both sides": (both_sides, (5, DIM)),
    "pooled": (pooled, (5, DIM)),
    "rows of two": (rows_of_two, (DIM,)),
    "between zeros": (between_zeros, (5, DIM)),
}


@pytest.mark.parametrize("case", CASES)
def test_every_value_has_the_batch_first(case):
    forward, shape = CASES[case]
    torch.manual_seed(1)
    x = torch.randn(7, *shape, dtype=torch.float64)
    found = survey(model(forward), x)  # compares with the model on 7 samples
    assert not found.offenders
    graph = found.require_convertible()
    for op in graph.operations:
        assert all(isinstance(size, int) for size in op.shape)
    assert len(graph.shapes) == len(graph.operations) + 1  # each has a name of its own


@pytest.mark.parametrize("case", CASES)
def test_both_engines_agree_on_any_batch(case):
    forward, shape = CASES[case]
    torch.manual_seed(1)
    x = torch.randn(6, *shape, dtype=torch.float64)
    built = model(forward)
    snn = sw.convert(built, x, neuron=sw.TwoPhase("nearest", "binary"), steps=14)
    steps, counts = (snn(x, engine=engine) for engine in ("steps", "counts"))
    torch.testing.assert_close(steps, counts, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(snn(x[2:3]), counts[2:3], rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        answer = built(x)
    assert float((counts - answer).norm() / answer.norm()) < 1e-3


REFUSED = {
    "softmax over the batch": (lambda m, x: F.relu(m.out(x).transpose(0, 1)).mean(1), "batch"),
    "positions in the batch": (
        lambda m, x: F.relu(m.out(x)) + torch.arange(x.shape[0]).reshape(-1, 1, 1),
        "differs between the samples",
    ),
    "the batch where it cannot be": (
        lambda m, x: F.avg_pool1d(F.relu(m.out(x)).transpose(0, 1), 2).transpose(0, 1),
        "batch is not the first dimension",
    ),
    "ends of a batch that is merged on both sides": (
        lambda m, x: (
            F.pad(F.relu(x).unflatten(2, (2, -1)).transpose(0, 1).flatten(0, 2), (1, 1), "reflect")
            .unflatten(0, (5, -1, 2))
            .sum((0, 2))
        ),
        "pads by values of its input",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_mixes_samples_is_refused(case):
    forward, words = REFUSED[case]
    with pytest.raises(sw.UnsupportedOperation, match=words):
        sw.convert(model(forward), torch.randn(4, 5, DIM, dtype=torch.float64))

"""Networks of vectors, sets, points and graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from docs_tools.census.building import Build
from docs_tools.census.plain.made import fed, made


class PointNet(nn.Module):
    """The largest feature over the points (Qi et al. 2017); `turning`: a learned rotation first."""

    def __init__(self, turning: bool) -> None:
        super().__init__()
        self.turning = turning
        if turning:
            self.look = nn.Sequential(nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16), nn.ReLU())
            self.matrix = nn.Linear(16, 9)
        first = [nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16), nn.ReLU()]
        second = [nn.Conv1d(16, 32, 1), nn.BatchNorm1d(32), nn.ReLU()]
        self.features = nn.Sequential(*first, *second)
        head = [nn.Linear(32, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 5)]
        self.head = nn.Sequential(*head)

    def forward(self, x: Tensor) -> Tensor:
        if self.turning:
            turn = self.matrix(torch.max(self.look(x), 2)[0]).view(-1, 3, 3) + torch.eye(3)
            x = torch.bmm(x.transpose(1, 2), turn).transpose(1, 2)
        return self.head(torch.max(self.features(x), 2)[0])


class FixedGraph(nn.Module):
    """Graph convolutions on one graph."""

    links: Tensor

    def __init__(self) -> None:
        super().__init__()
        links = (torch.rand(6, 6) > 0.5).float()
        self.register_buffer("links", links / links.sum(1, keepdim=True).clamp_min(1))
        self.linear1, self.linear2 = nn.Linear(4, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(torch.matmul(self.links, self.linear1(x)))
        return torch.matmul(self.links, self.linear2(x)).mean(1)


class GraphInput(nn.Module):
    """Graph convolutions on a graph that comes with the input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(4, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor, links: Tensor) -> Tensor:
        x = F.relu(torch.bmm(links, self.linear1(x)))
        return torch.bmm(links, self.linear2(x)).mean(1)


class EdgeList(nn.Module):
    """Messages along a list of edges; the nodes of one graph are the rows of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(4, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        for last, linear in enumerate((self.linear1, self.linear2)):
            y = linear(x)
            x = torch.zeros_like(y).index_add_(0, edges[1], y[edges[0]])
            x = x if last else F.relu(x)
        return x.mean(0, keepdim=True)


class GraphAttention(nn.Module):
    """Attention over the neighbours (Velickovic et al. 2018)."""

    links: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("links", torch.rand(6, 6) > 0.4)
        self.linear, self.out = nn.Linear(4, 16), nn.Linear(16, 3)
        self.source, self.target = nn.Linear(16, 1), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.linear(x)
        scores = F.leaky_relu(self.source(h) + self.target(h).transpose(1, 2), 0.2)
        weights = torch.softmax(scores.masked_fill(~self.links, -1e9), -1)
        return self.out(F.elu(weights @ h).mean(1))


class SplineLayer(nn.Module):
    """A layer of a Kolmogorov-Arnold network: cubic B-splines by Cox and de Boor's recursion."""

    grid: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        grid = torch.arange(-3, 9) * 0.4 - 1
        self.register_buffer("grid", grid.expand(inputs, -1).contiguous())
        self.base = nn.Parameter(torch.randn(outputs, inputs) * 0.1)
        self.spline = nn.Parameter(torch.randn(outputs, inputs * 8) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        g, v = self.grid, x.unsqueeze(-1)
        b = ((v >= g[:, :-1]) & (v < g[:, 1:])).to(x.dtype)
        for k in range(1, 4):
            rising = (v - g[:, : -k - 1]) / (g[:, k:-1] - g[:, : -k - 1])
            falling = (g[:, k + 1 :] - v) / (g[:, k + 1 :] - g[:, 1:-k])
            b = rising * b[:, :, :-1] + falling * b[:, :, 1:]
        return F.linear(F.silu(x), self.base) + F.linear(b.view(x.size(0), -1), self.spline)


class Siren(nn.Module):
    """Sines for activations (Sitzmann et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(torch.sin(30 * self.b(torch.sin(30 * self.a(x)))))


class RadianceField(nn.Module):
    """NeRF's MLP: sines and cosines of the place in front, two activations at the end."""

    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2.0 ** torch.arange(4))
        hidden = [nn.Linear(27, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU()]
        self.net = nn.Sequential(*hidden, nn.Linear(32, 4))

    def forward(self, x: Tensor) -> Tensor:
        p = (x[..., None] * self.frequencies).flatten(1)
        y = self.net(torch.cat([x, p.sin(), p.cos()], -1))
        return torch.cat([torch.sigmoid(y[:, :3]), F.relu(y[:, 3:])], 1)


class ActorCritic(nn.Module):
    """Two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
        self.actor, self.critic = nn.Linear(32, 4), nn.Linear(32, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(x)
        return self.actor(h), self.critic(h)


class TwoTasks(nn.Module):
    """A dict of two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.kind, self.value = nn.Linear(32, 4), nn.Linear(32, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.body(x)
        return {"kind": self.kind(h), "value": self.value(h)}


class Recommender(nn.Module):
    """DLRM: numbers and bags of ids, multiplied with each other (Naumov et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        bags = [nn.EmbeddingBag(50, 8, mode="sum") for _ in range(3)]
        self.bags = nn.ModuleList(bags)
        self.bottom = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU())
        self.top = nn.Sequential(nn.Linear(14, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, numbers: Tensor, ids: Tensor) -> Tensor:
        x = self.bottom(numbers)
        bags = [bag(ids[:, i : i + 1]) for i, bag in enumerate(self.bags)]
        vectors = torch.stack([x, *bags], 1)
        rows, columns = torch.tril_indices(4, 4, -1)
        products = torch.bmm(vectors, vectors.transpose(1, 2))[:, rows, columns]
        return self.top(torch.cat([x, products], 1))


class Experts(nn.Module):
    """The two best of four experts."""

    def __init__(self) -> None:
        super().__init__()

        def expert() -> nn.Module:
            return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))

        self.gate, self.experts = nn.Linear(8, 4), nn.ModuleList([expert() for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        scores = self.gate(x)
        best, which = torch.topk(scores, 2, -1)
        gates = torch.zeros_like(scores).scatter(1, which, torch.softmax(best, -1))
        return (torch.stack([e(x) for e in self.experts], 1) * gates[..., None]).sum(1)


class EarlyExit(nn.Module):
    """Leaves out its second half where the first is sure."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.early = nn.Linear(8, 16), nn.Linear(16, 3)
        self.late = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.first(x))
        y = self.early(h)
        return y if torch.softmax(y, 1).max() > 0.9 else self.late(h)


class DeepSet(nn.Module):
    """The sum over a set's members (Zaheer et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU())
        self.rho = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.rho(self.phi(x).sum(1))


class HeadsByEinsum(nn.Module):
    """Every head has weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.out = nn.Parameter(torch.randn(4, 8, 16)), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(torch.einsum("bhi,hio->bho", x, self.weight)).mean(1))


class Highway(nn.Module):
    """A gate between a layer and its input (Srivastava et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.gate, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(x))
        return self.out(gate * F.relu(self.layer(x)) + (1 - gate) * x)


class Maxout(nn.Module):
    """The larger of two signals (Goodfellow et al. 2013)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.maximum(self.a(x), self.b(x)))


NETWORKS: dict[str, Build] = {
    "PointNet": made(PointNet, 3, 20, turning=False),
    "PointNet, learned rotation": made(PointNet, 3, 20, turning=True),
    "graph convolutions, fixed graph": made(FixedGraph, 6, 4),
    "graph convolutions, graph as input": fed(
        GraphInput, lambda: (torch.randn(2, 6, 4), torch.randn(2, 6, 6))
    ),
    "graph convolutions, list of edges": fed(
        EdgeList, lambda: (torch.randn(6, 4), torch.randint(0, 6, (2, 12)))
    ),
    "graph attention": made(GraphAttention, 6, 4),
    "KAN (B-splines)": lambda: (
        nn.Sequential(SplineLayer(4, 8), SplineLayer(8, 3)),
        (torch.rand(2, 4) * 1.8 - 0.9,),
    ),
    "SIREN": made(Siren, 2),
    "NeRF": made(RadianceField, 3),
    "actor-critic (2 outputs)": made(ActorCritic, 8),
    "two tasks (dict)": made(TwoTasks, 8),
    "DLRM (numbers and ids)": fed(
        Recommender, lambda: (torch.randn(2, 4), torch.randint(0, 50, (2, 3)))
    ),
    "mixture of experts (top-k)": made(Experts, 8),
    "early exit": made(EarlyExit, 8),
    "DeepSets": made(DeepSet, 10, 3),
    "einsum with weights": made(HeadsByEinsum, 4, 8),
    "highway": made(Highway, 8),
    "maxout": made(Maxout, 8),
}

"""`spikewright train-sequences`: a spiking recurrent network, trained through time."""

from __future__ import annotations

from pathlib import Path

from spikewright.cli.command import Deferred
from spikewright.cli.console import print_json, print_text
from spikewright.cli.running import RunOptions
from spikewright.decoding import encoded
from spikewright.measure import Counts
from spikewright.recurrent.recipe import SequenceRecipe, SRNNRecipe, SRNNRunRecipe
from spikewright.recurrent.run import SRNNCard, SRNNFolder
from spikewright.recurrent.sequence_names import SequenceDataRecipe
from spikewright.recurrent.training import train_srnn


def train_sequences(
    data: Deferred[SequenceDataRecipe],
    network: Deferred[SRNNRecipe],
    training: Deferred[SequenceRecipe],
    run: RunOptions,
) -> None:
    """Train a spiking recurrent network of adaptive neurons on sequences, or go on with a run.

    The network (SRNN) is trained through time from its first weights: it is no conversion, and
    'convert' and 'sweep' do not read its folder; spikewright.recurrent.load_srnn does. A run that
    is killed loses at most the epoch it was in. The best epoch is chosen on the validation split;
    the test split is read once, at the end.

    DIR receives run.json, data.json, metrics.jsonl, checkpoint.safetensors and, at the end,
    weights.safetensors and card.json.
    """
    place, recipe = run.asked(
        SRNNFolder,
        (data, network, training),
        lambda: SRNNRunRecipe(data.make(), network.make(), training.make()),
    )
    card = run.carried_out(train_srnn, place, recipe, recipe.data.open)
    if run.json:
        print_json(encoded(card))
    else:
        print_text(summary(card, place.path))


def summary(card: SRNNCard, folder: Path) -> str:
    """What a finished run came to, for people."""
    costs = card.costs
    lines = [
        f"weights of epoch {card.best_epoch} of {card.epochs}, best on validation",
        f"validation  {card.validation}",
        f"test        {card.test}",
        f"spikes      {costs.spikes:,.1f} a sequence; {costs.rate:.4f} of a neuron in a time step",
        f"operations  {_operations(costs.snn)}",
        f"an LSTM's   {_operations(costs.lstm)}, with as many layers and units",
        f"(spikes and operations: mean of {card.costed:,} test sequences)",
        f"in Python: spikewright.recurrent.load_srnn({str(folder)!r})",
    ]
    return "\n".join(lines)


def _operations(counts: Counts) -> str:
    return (
        f"{counts.additions:,.0f} additions, {counts.macs:,.0f} MACs, {counts.updates:,.0f} updates"
    )

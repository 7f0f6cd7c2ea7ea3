"""`spikewright train`: a network trained for conversion."""

from __future__ import annotations

from typing import Annotated

import typer

from spikewright.cli.console import print_json, results
from spikewright.cli.failures import WrongUsage, opening
from spikewright.cli.train_options import (
    ImageOptions,
    NetworkOptions,
    NumericsOptions,
    OptimisationOptions,
    RunOptions,
)


def train(
    network: NetworkOptions,
    images: ImageOptions,
    optimisation: OptimisationOptions,
    numerics: NumericsOptions,
    run: RunOptions,
    json: Annotated[
        bool, typer.Option("--json", help="Print the card as JSON on stdout, and nothing else.")
    ] = False,
) -> None:
    """Train a network for conversion, from its first weights or from where a run was stopped.

    A run that is killed loses at most the epoch it was in. The best epoch is chosen on images
    held out of the training set; the test split is read once, at the end. Several processes
    share every batch when they are started by 'torchrun --nproc-per-node N -m spikewright train
    ...' or 'accelerate launch --multi_gpu --num_processes N -m spikewright train ...', with
    --device cpu on CPUs. ('accelerate launch --cpu' starts one process alone.)

    DIR receives run.json, metrics.jsonl, checkpoint.safetensors and, at the end,
    weights.safetensors and card.json.
    """
    from spikewright.cli.device import usable_device
    from spikewright.cli.train import ProgressLine, recipe_of, refuse_recipe_options, summary
    from spikewright.decoding import encoded
    from spikewright.processes import is_main_process
    from spikewright.training import RunFolder
    from spikewright.training import train as carry_out
    from spikewright.training.train import open_data

    if run.resume is not None and run.output is not None:
        raise WrongUsage("--resume DIR and --output DIR both name the folder; give one of them")
    if run.resume is not None:
        refuse_recipe_options(network, images, optimisation, numerics)
        folder, recipe = run.resume, RunFolder(run.resume).read_recipe()
    elif run.output is not None:
        folder, recipe = run.output, recipe_of(network, images, optimisation, numerics)
    else:
        raise WrongUsage("--output DIR names the folder of the run; or go on with --resume DIR")
    usable_device(run.device)
    with opening():
        finished = RunFolder(folder).card.is_file()
        data = None if finished else open_data(recipe)
    card = carry_out(
        recipe,
        folder,
        data=data,
        device=run.device,
        tensorboard=run.tensorboard,
        progress=ProgressLine(),
    )
    if not is_main_process():
        return
    if json:
        print_json(encoded(card))
    else:
        results().print(summary(card, str(folder)), markup=False, soft_wrap=True)

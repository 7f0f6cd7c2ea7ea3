"""One simulation: the engine that was chosen, compiled where that is asked for and can be."""

from __future__ import annotations

from torch import Tensor

from spikewright.graph.full_precision import full_precision
from spikewright.graph.inputs import Batch
from spikewright.network.compiled import CompiledEngines
from spikewright.network.counts import run_counts
from spikewright.network.engine import Engine, checked_seed
from spikewright.network.frames import are_frames, mean_image
from spikewright.network.plan import Observer, Plan
from spikewright.network.steps import run_steps


@full_precision()
def simulate(
    plan: Plan,
    shown: Batch,
    engine: Engine,
    compiled: CompiledEngines | None,
    *,
    seed: int,
    sample_ids: Tensor,
    observer: Observer,
    memory_budget: int,
) -> tuple[Tensor, ...]:
    """The values of `Graph.outputs` for a batch `[B, *S]`, or for frames `[T, B, *S]`.

    Args:
        plan: the network at one T.
        shown: checked by `check_shown`.
        engine: `COUNTS` or `STEPS`.
        compiled: the network's compiled forms; None to run uncompiled. The step engine runs frames
            uncompiled: its compiled step takes what is constant in time from outside.
        seed: of the random draws.
        sample_ids: int64 `[B]`.
        observer: what to watch.
        memory_budget: see `run_steps`.

    Raises:
        ConversionError: for a seed that is no integer.
    """
    seed = checked_seed(seed)
    if engine is Engine.COUNTS:
        shown = mean_image(plan.source, shown)
    if compiled is not None and not are_frames(shown, plan.source):
        run = compiled.serving(plan, engine, observer)
        if run is not None:
            return run(plan, shown, seed=seed, sample_ids=sample_ids, observer=observer)
    if engine is Engine.COUNTS:
        return run_counts(plan, shown, seed=seed, sample_ids=sample_ids, observer=observer)
    return run_steps(
        plan,
        shown,
        seed=seed,
        sample_ids=sample_ids,
        observer=observer,
        memory_budget=memory_budget,
    )

"""The questions of the page: their answers turn with the numbers, and say what was not run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from paper.answers import FURTHER, QUESTIONS, Evidence, Question, answered
from paper.answers.costs import (
    how_many_images,
    how_much_energy,
    what_was_tried,
    which_code,
)
from paper.answers.evidence import listed, span
from paper.answers.neurons import (
    how_many_steps,
    lossless,
    misalignment,
    tpp_or_if,
    which_neuron,
)
from paper.answers.real_networks import Real, RealRow, what_is_left
from paper.answers.records import (
    AtSteps,
    BitsRow,
    BitsTuning,
    CodeRow,
    Codes,
    CodeSettings,
    GainRow,
    GainTuning,
    NQRow,
    NQTuning,
    TandemTuning,
    TrainedRow,
)
from paper.answers.tuning import what_tuning_gives
from paper.tables import NetworkTable
from spikewright.errors import ExperimentError
from tests.paper.made import LEVELS, entry, in_double, record, table

NOTHING = Evidence((table({}),))
"""A network of which not a single cell was run."""


def of(*tables: NetworkTable) -> Evidence:
    return Evidence(tables)


def both(**rights: int) -> dict[tuple[str, int], int]:
    """The same number of right images at both T."""
    return {(row, t): right for row, right in rights.items() for t in (2, LEVELS)}


def test_there_are_ten_questions_each_asked_once() -> None:
    assert len({question.asked for question in QUESTIONS}) == len(QUESTIONS) == 10
    assert all(question.asked.endswith("?") for question in (*QUESTIONS, *FURTHER))


@pytest.mark.parametrize("question", [*QUESTIONS, *FURTHER], ids=lambda question: question.asked)
@pytest.mark.parametrize("evidence", [NOTHING, Evidence(())], ids=["no cells", "no networks"])
def test_what_was_not_run_says_so(question: Question, evidence: Evidence) -> None:
    assert "not run" in question.answer(evidence).lower()


def test_what_is_left_of_other_peoples_networks_is_counted(tmp_path: Path) -> None:
    def put(name: str, figure: float, energy: float | None) -> None:
        digits = RealRow("nearest:digits", 3, figure, 0.02, energy)
        others = (replace(digits, longer="conv1"), replace(digits, weights="in 8 bits"))
        rows = (digits, *others, RealRow("if", 8, 0.1, 1.0, 2.0))
        text = json.dumps(asdict(Real(name, 0.9, rows)))
        (tmp_path / f"real-{name}.json").write_text(text)

    put("a", 0.9, 0.75)
    told = what_is_left(Evidence((), tmp_path))
    assert told == (
        "In three digits 1 of 1 networks stay within half a point of their own figure, with a "
        "relative error of 0.020 to 0.020, at 0.75 to 0.75 of the int8 ANN's energy."
    )
    put("b", 0.85, None)
    told = what_is_left(Evidence((), tmp_path))
    assert "1 of 2 networks stay within half a point of their own figure (b 5.0 points" in told


def test_answers_are_a_numbered_list_with_links() -> None:
    questions = [Question(asked, lambda evidence: "Yes.", "[it](#it)") for asked in ("A?", "B?")]
    told = "1. **A?** Yes. See [it](#it).\n2. **B?** Yes. See [it](#it).\n"
    assert answered(NOTHING, questions) == told


@pytest.mark.parametrize(
    ("rights", "steps", "time"),
    [
        (
            {"nearest": 150, "tpp": 100, "if": 100},
            "Where T counts, take `nearest`: at the same T `nearest` is above TPP in 2 and below "
            "in 0 of 2 comparisons.",
            "Where time counts, take `nearest`: `nearest` is above plain IF that answers no later "
            "in 2 and below in 0 of 2 comparisons (QCFS networks).",
        ),
        (
            {"nearest": 100, "tpp": 150, "if": 180},
            "take TPP: at the same T `nearest` is above TPP in 0 and below in 2 of 2",
            "take plain IF: `nearest` is above plain IF that answers no later in 0 and below in 2",
        ),
        (
            {"nearest": 100, "tpp": 103, "if": 97},
            "neither `nearest` nor TPP is ahead",
            "neither `nearest` nor plain IF is ahead",
        ),
        (
            {"nearest": 100, "tpp": 100, "if": 120, "srp": 140},
            "neither `nearest` nor TPP is ahead",
            "take SRP: SRP is above plain IF that answers no later in 2 and below in 0 of 2 "
            "comparisons (QCFS networks), `nearest` in 0 and 2 of 2.",
        ),
    ],
)
def test_the_neuron_to_take(rights: dict[str, int], steps: str, time: str) -> None:
    told = which_neuron(of(table(both(**rights))))
    assert steps in told
    assert time in told


@pytest.mark.parametrize(
    ("tpp", "base", "told"),
    [
        (150, 100, "Yes: TPP is above plain IF that answers no later in 2 and below in 0 of 2"),
        (100, 150, "No: TPP is above plain IF that answers no later in 0 and below in 2 of 2"),
        (103, 100, "Neither is ahead: TPP is above plain IF"),
    ],
)
def test_tpp_against_if(tpp: int, base: int, told: str) -> None:
    assert tpp_or_if(of(table(both(tpp=tpp, **{"if": base})))).startswith(told)


def test_tpp_may_lose_in_the_same_time_and_win_at_the_same_steps() -> None:
    """After 4 T steps TPP has T = 2, and IF has had T = 4 since long."""
    made = table({("tpp", 2): 120, ("if", 2): 100, ("if", LEVELS): 150})
    assert tpp_or_if(of(made)) == (
        "No: TPP is above plain IF that answers no later in 0 and below in 1 of 1 comparisons. "
        "At the same T, where TPP answers later, it is above plain IF in 1 and below in 0 of 1 "
        "comparisons."
    )


def test_mixed_verdicts_are_mostly_one() -> None:
    made = [table(both(tpp=tpp, **{"if": 150})) for tpp in (100, 100, 180)]
    assert tpp_or_if(of(*made)).startswith("Mostly no: TPP is above plain IF that answers no")


def test_the_least_steps_are_those_that_are_not_below_the_ann() -> None:
    """Of 200 images 180 are the ANN's: 171 are below it (p = 0.004), 173 are not (0.016)."""
    rights = {("nearest", 2): 171, ("nearest", LEVELS): 173, ("if", 2): 173}
    assert how_many_steps(of(table(rights))) == (
        "On QCFS networks `nearest` is not below the ANN from T = 4 (1 of 1 networks, T = L on 1), "
        "an answer after 16 time steps; on 200 images of each, `nearest` gets there after 16 steps "
        "(1 of 1) and plain IF gets there after 2 steps (1 of 1). On ReLU networks: not run."
    )


def test_neurons_beside_each_other_are_compared_on_the_same_images() -> None:
    """Of the first 100 images `nearest` lacks 9 at T = 2, which 100 images tell from none (0.004),

    and 7, which they do not (0.016); all 200 lack 9 there.
    """
    made = table({("nearest", 2): 171, ("nearest", LEVELS): 180, ("if", 2): 173})
    fewer = replace(made, configuration={**made.configuration, "one_phase_images": 60})
    told = how_many_steps(of(fewer))
    assert "not below the ANN from T = 4" in told
    assert "on 60 images of each, `nearest` gets there after 8 steps (1 of 1)" in told


def test_steps_that_are_never_enough_say_so() -> None:
    qcfs = table(both(nearest=171))
    relu = table({("rts-nearest", 2): 180, ("rts-if", 2): 100}, levels=None)
    assert how_many_steps(of(qcfs, relu)) == (
        "On QCFS networks `nearest` is below the ANN up to T = 4. On ReLU networks `nearest` is "
        "not below the ANN from T = 2 (1 of 1 networks), an answer after 8 time steps; on 200 "
        "images of each, `nearest` gets there after 8 steps (1 of 1) and plain IF is below it up "
        "to T = 2."
    )


@pytest.mark.parametrize(
    ("shuffled", "told"),
    [
        (
            {2: 120, 4: 130},
            "Yes, with one-phase neurons: on QCFS networks shuffled IF is above plain IF at T = 2 "
            "and 4 on all (+10.0 to +15.0 points).",
        ),
        ({2: 120, 4: 100}, "at T = 2 on all (+10.0 points) and at T = 4 on 0 of 1."),
        ({2: 100, 4: 80}, "No: on QCFS networks shuffled IF is above plain IF at T = 2 on 0 of 1"),
        ({4: 80}, "at T = 4 on 0 of 1, below on 1."),
    ],
)
def test_misalignment_is_told_by_steps(shuffled: dict[int, int], told: str) -> None:
    rights = {("shuffled", t): right for t, right in shuffled.items()}
    assert told in misalignment(of(table(both(**{"if": 100}) | rights)))


def test_lossless_is_what_differs_nowhere() -> None:
    made = in_double(table({("nearest", LEVELS): 180, ("tpp", LEVELS): 150}), 0)
    relu = table({("rts-nearest", 4): 150, ("snnc-nearest", 4): 180}, levels=None, name="other")
    assert lossless(of(made, relu)) == (
        "Lossless is `nearest` at T = L on QCFS networks: in float64 every answer is the ANN's on "
        "1 of 1 networks; in float32 0 of 200 images get another. Below the ANN are TPP at T = L "
        "on 1 of 1 QCFS networks and `nearest` at T = 4 on `other` with 1 of 2 calibrations."
    )
    told = lossless(of(made, in_double(made, 3)))
    assert told.startswith("Not lossless everywhere is `nearest`")
    assert "on 1 of 2 networks" in told


def _codes(*rows: CodeRow) -> Evidence:
    return Evidence((), codes=(Codes("Small, made up", CodeSettings(1000), rows),))


def test_the_code_to_take_has_most_of_the_answers_of_the_ann() -> None:
    binary, digits = CodeRow("binary", 8, 160, 0.5, 0.98), CodeRow("digits", 3, 60, 0.7, 0.98)
    assert which_code(_codes(digits, binary)) == (
        "On Small, take `binary` with T = 8: the ANN's answer to 98.0 % of 1,000 samples, after "
        "160 time steps, for 0.50 of an int8 ANN's energy; `digits` with T = 3 is within a point, "
        "after 60 steps."
    )
    first = CodeRow("first-spike", 16, 320, 0.3, 0.975)
    assert "; `first-spike` with T = 16 is within a point, for 0.30 of it;" in which_code(
        _codes(digits, binary, first)
    )
    behind = replace(first, same=0.96)
    assert which_code(_codes(digits, binary, behind)) == which_code(_codes(digits, binary))
    assert "take `digits` with T = 3" in which_code(_codes(replace(digits, same=0.99), binary))


def test_energy_is_that_of_the_least_steps() -> None:
    """In int8 the ANN takes 14 nJ, with the 2 bits of T = 2 it takes 8, the network 7 T."""
    rights = {("nearest", 2): 180, ("nearest", LEVELS): 180}
    assert how_much_energy(of(table(rights))) == (
        "`nearest` at the least T that is not below the ANN takes, in integer arithmetic, 1.00 "
        "times the energy of an int8 ANN (less on 0 of 1 networks), and 1.75 times that of an ANN "
        "with only the bits that T asks for (less on 0 of 1 networks). With memory traffic, in "
        "single precision, it takes 0.90 times that of the ANN (less on 1 of 1 networks)."
    )
    later = how_much_energy(of(table(rights | {("nearest", 2): 100})))
    assert "2.00 times the energy of an int8 ANN" in later
    one = how_much_energy(of(table({("nearest", 2): 180})))  # a width alone tells no other
    assert "in integer arithmetic, (the energy of an int8 ANN: not run), and 1.75 times" in one


def test_calibration_images_are_the_fewest_within_a_point() -> None:
    """A point of 200 images is 2 of them."""
    sizes = {16: 150, 64: 178, 1024: 180}
    rights = {(f"auto-nearest-{n}", 4): right for n, right in sizes.items()}
    assert how_many_images(of(table(rights, levels=None))) == (
        "With Auto, 64 images come within a point of 1,024 (`nearest`, T = 4): 89.00 % and 90.00 "
        "%; 16 give 75.00 %."
    )
    rights["auto-nearest-16", 4] = 178
    assert "With Auto, 16 images come within" in how_many_images(of(table(rights, levels=None)))
    made = table(rights, levels=None)
    seeds = entry(record("auto-nearest-16", 4, 178), record("auto-nearest-16", 4, 180, seed=1))
    spread = replace(made, entries={**made.entries, ("auto-nearest-16", 4): seeds})
    assert "89.50 ± 0.71 % and 90.00 %" in how_many_images(of(spread))
    alone = table({("auto-nearest-16", 4): 150}, levels=None)
    assert how_many_images(of(alone)) == "Not run."


def _noisy(*rows: NQRow) -> str:
    record = NQTuning(rows)
    return what_tuning_gives(Evidence((), nq=(record,)))


def test_what_fine_tuning_gives_over_conversion_is_the_mean_over_seeds() -> None:
    better, same = NQRow(2, 100, 40, 60), NQRow(2, 100, 40, 40)
    missing = "Not run: `distil`, `dsr`, `tandem` and `bits`."
    assert _noisy(better, same, NQRow(4, 100, 60, 57)) == (
        "`nq` (+10.0 at T = 2 from 40.0 %) gives more than a point, and `nq` (-3.0 at T = 4 from "
        f"60.0 %) gives no more than a point. {missing}"
    )
    assert _noisy(better, replace(better, steps=4)) == (
        "`nq` (+20.0 at T = 2 from 40.0 %, +20.0 at T = 4 from 40.0 %) gives more than a point. "
        f"{missing}"
    )


def test_what_tandem_learning_and_the_sparsity_loss_give() -> None:
    rows = (
        TrainedRow("Min", None, 200, 130),
        TrainedRow("Tandem, percentile 99", "Min", 200, 170),
        TrainedRow("DSR", "Min", 200, 171),
    )
    tandem = TandemTuning(AtSteps(8), rows)
    three = (BitsRow(3, None, 200, 180, 90.0), BitsRow(3, 0.1, 200, 179, 60.0))
    four = (BitsRow(4, None, 200, 180, 90.0), BitsRow(4, 0.0, 200, 182, 89.0))
    bits = BitsTuning((*three, *four, BitsRow(4, 0.1, 200, 184, 50.0)))
    assert what_tuning_gives(Evidence((), tandem=(tandem,), bits=(bits,))) == (
        "`dsr` (+20.5 at T = 8 from 65.0 %) and `tandem` (+20.0 at T = 8 from 65.0 %) give more "
        "than a point. `bits` gives 1.50 times fewer spikes for -0.50 points at T = 3 and 1.80 "
        "times fewer spikes for +2.00 points at T = 4. Not run: `distil` and `nq`."
    )


def test_what_fine_tuning_by_every_method_gives() -> None:
    rows = (GainRow(200, 130, 170), GainRow(200, 132, 132))
    gain = GainTuning(AtSteps(4), rows)
    told = "`dsr` (+10.0 at T = 4 from 65.5 %) gives more than a point."
    assert what_tuning_gives(Evidence((), dsr=(gain,))) == (
        f"{told} Not run: `distil`, `tandem`, `bits` and `nq`."
    )
    assert told.replace("dsr", "distil") in what_tuning_gives(Evidence((), distil=(gain,)))


def test_what_was_tried_and_what_was_not() -> None:
    made = table(both(**{"if": 100}))
    told = what_was_tried(of(made, table({("rts-if", 2): 10}, levels=None)))
    assert told.startswith(
        "ResNet-18 (3 layers of neurons) on CIFAR-10: 1 with QCFS (L = 4) and 1 with ReLU. Not "
        "run: ResNet-20, ResNet-34, VGG-16 and RegNetX-400MF, and "
    )
    assert f"{2 * 12 - 2 + 2 * 16 - 1} cells" in told
    other = replace(made, configuration={**made.configuration, "architecture": "VGG-16"})
    assert "Not run: ResNet-20, ResNet-34 and RegNetX-400MF" in what_was_tried(of(made, other))


def test_records_beside_the_page_are_read(tmp_path: Path) -> None:
    row = {"neuron": "if", "steps": 2, "latency": 2, "energy_integer": 1.5, "same": 0.5, "more": 1}
    text = json.dumps({"title": "T", "config": {"samples": 10}, "rows": [row]})
    (tmp_path / "codes-b.json").write_text(text)
    (tmp_path / "codes-a.json").write_text(text.replace('"T"', '"A"'))
    evidence = Evidence.of([], tmp_path)
    assert [codes.title for codes in evidence.codes] == ["A", "T"]
    assert evidence.codes[0].rows == (CodeRow("if", 2, 2, 1.5, 0.5),)
    assert evidence.nq == ()
    (tmp_path / "nq-a.json").write_text("{}")
    with pytest.raises(ExperimentError, match=r"nq-a\.json'.*no record of nq; measure it again"):
        Evidence.of([], tmp_path)


def test_words() -> None:
    assert [listed(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert span([3, 1000, 2]) == "2 to 1,000"
    assert span([0.501, 0.499], "{:.1f}".format) == "0.5"

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

import spikewright as sw
from spikewright.measure import RunClock


def test_a_record_tells_where_numbers_come_from() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    clock = RunClock()
    record = clock.finish(torch.device("cpu"), seed=3, samples=7, configuration={"limit": 7})
    assert before <= datetime.fromisoformat(record.started) <= datetime.now(UTC)
    assert record.started.endswith("+00:00")
    assert 0 <= record.seconds < 60
    assert (record.spikewright, record.torch) == (sw.__version__, torch.__version__)
    assert (record.python, record.device) == (platform.python_version(), "cpu")
    assert record.threads == torch.get_num_threads()
    assert (record.seed, record.samples, record.configuration) == (3, 7, {"limit": 7})
    assert json.loads(json.dumps(record.to_dict())) == record.to_dict()


def test_a_configuration_that_no_file_can_hold_is_refused() -> None:
    with pytest.raises(sw.AnalysisError, match=r"plain JSON values.*PosixPath.*into strings"):
        RunClock().finish(torch.device("cpu"), seed=0, samples=1, configuration={"data": Path("x")})

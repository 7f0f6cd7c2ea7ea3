"""Why torch.export refused a model, in words that say how to mend it."""

from __future__ import annotations

import re
import traceback

from spikewright.errors import ConversionError
from spikewright.graph.origins import is_of_user, short_path


def _cause(error: Exception) -> str:
    """Where the user's code stands that raised an error, such as ", at a.py:86 in forward"."""
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if is_of_user(frame.filename)]
    where = [f", at {short_path(f.filename)}:{f.lineno} in {f.name}" for f in users]
    return where[-1] if where else ""


def fixes_batch(message: str) -> bool:
    """Whether torch.export says that a model takes batches of one size alone."""
    if re.search(r"onstraint|specializ|dynamic dim|marked .* as dynamic", message):
        return True
    view = re.search(r"shape '\[(.*)\]' is invalid for input of size .*s\d", message)
    return view is not None and not re.search(r"s\d", view[1])


def capture_failure(error: Exception) -> str:
    """What a user is told of an error that was raised while a model was exported."""
    message = str(error)
    if isinstance(error, ConversionError):
        return message
    lines = [line.strip(" -") for line in message.splitlines() if line.strip()] or ["no message"]
    first = next((line for line in lines if "generated guard" in line), lines[0])
    first = first if len(first) <= 200 else f"{first[:200]} ..."
    if re.search(r"data-dependent|guard on|unbacked|DataDependent", message):
        return (
            "the model's control flow depends on the values of its input (an `if`, a loop, .item() "
            f"or an index on tensor data{_cause(error)}), so it is not one fixed graph; convert "
            "the part of the model before that choice, and make the choice on the network's "
            f"answer. torch.export says: {first}"
        )
    if "fake tensor in the exported program constant" in message:
        return (
            "the model reads `.data` of a tensor, which torch.export cannot follow; write the "
            "tensor itself, such as self.weight, or self.weight.detach()"
        )
    if fixes_batch(message):
        return (
            "the model fixes its batch size, or torch.export takes it for fixed (such as "
            "x.view(32, -1), a loop over the batch, chunks of it, or len(x), which is a plain "
            "number); write x.flatten(1), x.view(x.size(0), -1) or y[:x.size(0)]. "
            f"torch.export says: {first}"
        )
    return (
        "torch.export could not trace the model, which runs on this input itself: it may go "
        f"another way while it is traced. torch.export says: {first}"
    )

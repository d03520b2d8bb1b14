"""Attributes of which exactly one holds, such as the colours of the upper clothing."""

from collections.abc import Iterable

import torch
from torch import Tensor


def group_log_odds(logits: Tensor, groups: Iterable[slice]) -> Tensor:
    """Turn a group's logits into log-odds whose sigmoid is the softmax over the group.

    log(p / (1 − p)) of p = softmax(z)ₖ is zₖ − log Σ_{j≠k} exp(zⱼ): whoever applies a sigmoid to
    attribute outputs need not know of groups.

    Args:
        logits: shape (N, attributes).
        groups: positions of mutually exclusive attributes, two at least in each.
    """
    parts, done = [], 0
    for group in sorted(groups, key=lambda group: group.start):
        values = logits[:, group]
        itself = torch.eye(values.shape[1], dtype=torch.bool, device=logits.device)
        others = torch.where(itself, float("-inf"), values[:, None])
        parts += [logits[:, done : group.start], values - others.logsumexp(dim=2)]
        done = group.stop
    return torch.cat([*parts, logits[:, done:]], dim=1)

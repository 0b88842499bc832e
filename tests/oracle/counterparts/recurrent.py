"""Recurrent networks in PyTorch: loops over its cells, which return the states of all steps."""

from tests.oracle.pytorch import torch


def _unroll(cell, x, state, parameters, reverse):
    """Return the states of all steps, one (L, N, H) per part, or the state after one step."""
    if x.ndim == 2:
        found = cell(x, state if len(state) == 2 else state[0], *parameters)
        return found if isinstance(found, tuple) else (found,)
    order = range(len(x))[:: -1 if reverse else 1]
    states = []
    for step in order:
        given = state if len(state) == 2 else state[0]
        found = cell(x[step], given, *parameters)
        state = found if isinstance(found, tuple) else (found,)
        states.append(state)
    return [torch.stack(part[:: -1 if reverse else 1]) for part in zip(*states, strict=True)]


def _lstm(x, h, c, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, reverse):
    parameters = _with_biases(weight_ih, weight_hh, bias_ih, bias_hh)
    return torch.stack(_unroll(torch.lstm_cell, x, (h, c), parameters, reverse))


def _gru(x, h, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, reverse):
    parameters = _with_biases(weight_ih, weight_hh, bias_ih, bias_hh)
    return _unroll(torch.gru_cell, x, (h,), parameters, reverse)[0]


def _rnn(x, h, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, relu, reverse):
    cell = torch.rnn_relu_cell if relu else torch.rnn_tanh_cell
    parameters = _with_biases(weight_ih, weight_hh, bias_ih, bias_hh)
    return _unroll(cell, x, (h,), parameters, reverse)[0]


def _with_biases(weight_ih, weight_hh, bias_ih, bias_hh):
    """Return the parameters with zeros for a bias that is None: PyTorch needs both or neither."""
    zeros = weight_ih.new_zeros(len(weight_ih))
    biases = (zeros if bias is None else bias for bias in (bias_ih, bias_hh))
    return weight_ih, weight_hh, *biases


TABLE = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}
